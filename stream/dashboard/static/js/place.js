// Where the voxels of a map lie: in µm, and on a square canvas that shows them to scale, whole or a part of it.

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

// A view of a square: its corner in fractions of the side, and how many times larger it is drawn.
export const WHOLE = { left: 0, top: 0, zoom: 1 };
const MOST = 40;
const kept = (corner, zoom) => Math.min(1 - 1 / zoom, Math.max(0, corner));

// Larger by a factor, with what is at (x, y), in fractions of the canvas, left where it is.
export function magnified({ left, top, zoom }, factor, { x, y } = { x: 0.5, y: 0.5 }) {
  const now = Math.min(MOST, Math.max(1, zoom * factor));
  const gain = 1 / zoom - 1 / now;
  return { left: kept(left + x * gain, now), top: kept(top + y * gain, now), zoom: now };
}

// Moved by fractions of the canvas, as a hand moves a sheet of paper.
export function moved({ left, top, zoom }, dx, dy) {
  return { left: kept(left - dx / zoom, zoom), top: kept(top - dy / zoom, zoom), zoom };
}

// Moved just so far that a point, in fractions of the whole, is seen.
export function showing({ left, top, zoom }, { x, y }) {
  const near = (corner, at) => kept(Math.min(at - 0.1 / zoom, Math.max(at - 0.9 / zoom, corner)), zoom);
  return { left: near(left, x), top: near(top, y), zoom };
}

// Let what follows draw in pixels of the whole square.
export function enter(context, size, { left, top, zoom }) {
  context.scale(zoom, zoom);
  context.translate(-left * size, -top * size);
}

// A point of the canvas, in pixels, as pixels of the whole square, and back.
export const toWhole = ({ left, top, zoom }, size, x, y) => ({ x: x / zoom + left * size, y: y / zoom + top * size });
export const toCanvas = ({ left, top, zoom }, size, x, y) => ({ x: (x - left * size) * zoom, y: (y - top * size) * zoom });
