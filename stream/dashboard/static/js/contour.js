// Lines of equal value through a field on a grid, by marching squares, a linear crossing on each edge.

const FINEST = 160; // cells a side that are looked at

// field: {data, shape}; gives a Path2D in the grid's coordinates, a pixel's middle at + 0.5
export function contours({ data, shape: [rows, columns] }, levels) {
  const path = new Path2D();
  const step = Math.max(1, Math.floor(Math.max(rows, columns) / FINEST));
  const sorted = [...levels].sort((a, b) => a - b);
  for (let y = 0; y + step < rows; y += step) {
    for (let x = 0; x + step < columns; x += step) {
      const corners = [[x, y], [x + step, y], [x + step, y + step], [x, y + step]];
      const values = corners.map(([i, j]) => data[j * columns + i]);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      if (sorted.at(-1) < low || sorted[0] >= high) continue;
      for (const level of sorted) if (low <= level && level < high) segment(path, corners, values, level);
    }
  }
  return path;
}

function segment(path, corners, values, level) {
  const points = [];
  for (let i = 0; i < 4; i++) {
    const j = (i + 1) % 4;
    if (values[i] <= level === values[j] <= level) continue;
    const t = (level - values[i]) / (values[j] - values[i]);
    points.push(corners[i].map((from, axis) => from + t * (corners[j][axis] - from) + 0.5));
  }
  for (let k = 0; k + 1 < points.length; k += 2) {
    path.moveTo(...points[k]);
    path.lineTo(...points[k + 1]);
  }
}
