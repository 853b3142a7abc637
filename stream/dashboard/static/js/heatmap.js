// Many patterns in one picture with axes: colours, or curves one above the other.

import { font, ink } from "./canvas.js";
import { autoscale, colourAt, paint } from "./colours.js";
import { tickLabel, ticks } from "./format.js";

const PAD = { left: 46, right: 8, top: 6, bottom: 34 };
const RISE = 0.75; // of a curve's height that the next one stands above it, in steps of the stack

export const inner = (width, height) => ({ left: PAD.left, top: PAD.top, width: width - PAD.left - PAD.right, height: height - PAD.top - PAD.bottom });

// rows: patterns, or their logarithms; what is not there yet stays free; the root shows weak lines beside strong ones
export function heatmap(rows, log) {
  const bins = rows.find(Boolean)?.length ?? 0;
  const flat = rows.flatMap((row) => row ?? new Array(bins).fill(NaN));
  const data = Float32Array.from(flat, (value) => (log ? (value ?? NaN) : Math.sqrt(Math.max(0, value ?? NaN))));
  return paint({ data, shape: [rows.length, bins] }, "magma", autoscale(data, 0.999));
}

export function drawCurves(context, { left, top, width, height }, rows, [from, to]) {
  const known = rows.flatMap((row) => row?.slice(from, to) ?? []).filter(Number.isFinite);
  const most = known.reduce((a, b) => Math.max(a, b), 0) || 1;
  const step = height / (rows.length + RISE * 4);
  rows.forEach((row, i) => {
    if (!row) return;
    context.beginPath();
    for (let k = from; k < to; k++) {
      const y = top + height - step * i - (row[k] / most) * step * RISE * 5;
      context.lineTo(left + ((k - from + 0.5) / (to - from)) * width, y);
    }
    context.strokeStyle = colourAt("viridis", rows.length > 1 ? 0.15 + (0.75 * i) / (rows.length - 1) : 0.5);
    context.lineWidth = 1;
    context.stroke();
  });
}

// x and y: {low, high, label}; y grows upwards
export function drawAxes(context, box, x, y) {
  context.font = font(11);
  context.fillStyle = ink("muted");
  const across = ticks(x.low, x.high, 6);
  context.textAlign = "center";
  for (const value of across.values) {
    const at = box.left + ((value - x.low) / (x.high - x.low)) * box.width;
    context.fillRect(at, box.top + box.height, 1, 4);
    context.fillText(tickLabel(value, across.step, 0), at, box.top + box.height + 15);
  }
  context.fillText(x.label, box.left + box.width / 2, box.top + box.height + 29);
  const up = ticks(y.low, y.high, 4);
  context.textAlign = "right";
  for (const value of up.values) {
    const at = box.top + box.height * (1 - (value - y.low) / (y.high - y.low));
    context.fillRect(box.left - 4, at, 4, 1);
    context.fillText(tickLabel(value, up.step, 0), box.left - 7, at + 4);
  }
  context.save();
  context.translate(11, box.top + box.height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(y.label, 0, 0);
  context.restore();
}
