// Where the voxels of a map lie: in µm, and on a square canvas that shows them to scale.

const pitch = (axis, step) => (axis.length > 1 ? Math.abs(axis[1] - axis[0]) : step);

// CSS pixels of a voxel and of the whole map on a canvas of that size, and pixels a µm.
export function layout(grid, size) {
  const [dx, dy] = [pitch(grid.x, grid.step), pitch(grid.y, grid.step)];
  const scale = size / Math.max(grid.x.length * dx, grid.y.length * dy);
  const cell = { x: dx * scale, y: dy * scale };
  return { scale, cell, width: grid.x.length * cell.x, height: grid.y.length * cell.y };
}

// The circle of a tomography; all of a raster.
export function inField(grid, { x, y }) {
  return grid.raster || Math.hypot(grid.x[x], grid.y[y]) <= (grid.x.length * grid.step) / 2;
}
