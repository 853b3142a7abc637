// What is drawn upon a map: field of view, scale bar, voxels, the line of a profile.

import { font, ink } from "./canvas.js";
import { ticks } from "./format.js";
import { layout, toCanvas } from "./place.js";

const SHADOW = "rgb(0 0 0 / 0.75)";

export function drawField(context, size, grid, view) {
  const { width, height } = layout(grid, size);
  const corner = toCanvas(view, size, 0, 0);
  context.beginPath();
  if (grid.raster) context.rect(corner.x + 0.5, corner.y + 0.5, width * view.zoom - 1, height * view.zoom - 1);
  else context.arc(...Object.values(toCanvas(view, size, size / 2, size / 2)), (size * view.zoom) / 2 - 0.5, 0, 2 * Math.PI);
  context.strokeStyle = ink("line");
  context.lineWidth = 1;
  context.stroke();
}

// In the corner that the circle leaves free; on a ground of its own where the map is zoomed into.
export function drawScaleBar(context, size, grid, view) {
  const scale = layout(grid, size).scale * view.zoom;
  const length = ticks(0, size / scale, 7).step;
  const pixels = length * scale;
  const text = `${Number(length.toPrecision(3))} µm`;
  context.font = font(12);
  if (view.zoom > 1) {
    context.fillStyle = ink("panel");
    context.fillRect(0, size - 28, Math.max(pixels, context.measureText(text).width) + 8, 28);
  }
  context.fillStyle = ink("text");
  context.fillRect(4, size - 6, pixels, 3);
  context.fillText(text, 4, size - 12);
}

function centre(grid, size, view, { x, y }) {
  const { cell } = layout(grid, size);
  return toCanvas(view, size, (x + 0.5) * cell.x, (y + 0.5) * cell.y);
}

export function drawVoxel(context, size, grid, view, voxel, strong) {
  if (!voxel) return;
  const { cell } = layout(grid, size);
  const { x, y } = centre(grid, size, view, voxel);
  const [width, height] = [Math.max(cell.x * view.zoom, 5), Math.max(cell.y * view.zoom, 5)];
  const box = [x - width / 2, y - height / 2, width, height];
  if (strong) {
    context.strokeStyle = "rgb(128 128 128 / 0.75)"; // seen on every colour of every theme
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(size, y);
    context.moveTo(x, 0);
    context.lineTo(x, size);
    context.stroke();
  }
  context.lineWidth = strong ? 4 : 3;
  context.strokeStyle = SHADOW;
  context.strokeRect(...box);
  context.lineWidth = strong ? 2 : 1;
  context.strokeStyle = "white";
  context.strokeRect(...box);
}

export function drawLine(context, size, grid, view, line) {
  if (!line) return;
  const [from, to] = [line.from, line.to].map((voxel) => centre(grid, size, view, voxel));
  for (const [width, colour] of [[5, SHADOW], [2, "white"]]) {
    context.lineWidth = width;
    context.strokeStyle = context.fillStyle = colour;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    context.beginPath();
    context.arc(from.x, from.y, 1.5 + width, 0, 2 * Math.PI); // where it starts
    context.fill();
  }
}
