// The large map: pixels, field of view, scale bar, cursor; the pointer's value under it.

import { crisp, font, ink } from "./canvas.js";
import { labelOf } from "./colourbar.js";
import { isDiscrete, paint } from "./colours.js";
import { signed, ticks, unitText, withError, words } from "./format.js";
import { inField, layout } from "./place.js";

const byId = (id) => document.getElementById(id);

function drawField(context, size, grid) {
  const { width, height } = layout(grid, size);
  context.beginPath();
  if (grid.raster) context.rect(0.5, 0.5, width - 1, height - 1);
  else context.arc(size / 2, size / 2, size / 2 - 0.5, 0, 2 * Math.PI);
  context.strokeStyle = ink("line");
  context.lineWidth = 1;
  context.stroke();
}

// In the corner that the circle leaves free.
function drawScaleBar(context, size, grid) {
  const { scale } = layout(grid, size);
  const length = ticks(0, size / scale, 7).step;
  const pixels = length * scale;
  context.fillStyle = ink("text");
  context.fillRect(2, size - 6, pixels, 3);
  context.font = font(12);
  context.fillText(`${length} µm`, 2, size - 12);
}

function drawVoxel(context, size, grid, voxel, strong) {
  if (!voxel) return;
  const { cell, width: right, height: bottom } = layout(grid, size);
  const [x, y] = [(voxel.x + 0.5) * cell.x, (voxel.y + 0.5) * cell.y];
  const [width, height] = [Math.max(cell.x, 5), Math.max(cell.y, 5)];
  const box = [x - width / 2, y - height / 2, width, height];
  if (strong) {
    context.strokeStyle = "rgb(128 128 128 / 0.75)"; // seen on every colour of every theme
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(right, y);
    context.moveTo(x, 0);
    context.lineTo(x, bottom);
    context.stroke();
  }
  context.lineWidth = strong ? 4 : 3;
  context.strokeStyle = "rgb(0 0 0 / 0.75)";
  context.strokeRect(...box);
  context.lineWidth = strong ? 2 : 1;
  context.strokeStyle = "white";
  context.strokeRect(...box);
}

// Why there is no number here, as far as the page knows.
function whyMasked({ planeEntry: entry, mask, status }, voxel, at) {
  const { grid } = status;
  if (!inField(grid, voxel)) return "outside the field of view";
  const code = mask?.data[at];
  const reason = code === 0 ? entry.unmasked : status.mask_reasons?.[code];
  return reason ? `masked: ${reason}` : "no value here";
}

export function valueText(state, voxel) {
  const { planeEntry: entry, plane, errors, classes, status } = state;
  const columns = plane.shape[1];
  if (columns !== status.grid.x.length) return "";
  const at = voxel.y * columns + voxel.x;
  const value = plane.data[at];
  if (isDiscrete(entry.palette)) return labelOf(entry, value);
  const text = Number.isFinite(value) ? withError(value, errors?.data[at], entry.unit) : whyMasked(state, voxel, at);
  const label = status.classes?.[classes?.data[at]];
  return label ? `${text}  ·  ${words(label)}` : text;
}

function showReadout(state) {
  const voxel = state.hover ?? state.voxel;
  const readout = byId("readout");
  if (!voxel || !state.plane) {
    readout.textContent = state.plane ? "Point at the map for values" : "";
    return;
  }
  const { grid } = state.status;
  const place = document.createElement("span");
  place.textContent = `x ${signed(grid.x[voxel.x])} µm   y ${signed(grid.y[voxel.y])} µm`;
  const value = document.createElement("strong");
  value.textContent = valueText(state, voxel);
  readout.replaceChildren(place, value);
}

const WAITING = {
  waiting: (status) => `Waiting for the first frame from ${status.config?.detector.endpoint ?? "the detector"}`,
  acquiring: (status) =>
    `${status.frames.integrated} frames are in; the first maps come when the first projection is reconstructed`,
  finishing: () => "The final result is being computed",
  aborted: () => "The run was aborted before it had maps",
  failed: () => "The run failed before it had maps; its log says why",
};

function showEmpty(state) {
  const empty = byId("empty");
  empty.hidden = Boolean(state.plane);
  document.body.dataset.maps = state.plane ? "some" : "none";
  if (state.plane) return;
  const text = state.status ? WAITING[state.status.status]?.(state.status) : null;
  empty.textContent = state.problem ?? text ?? "Looking for the run";
}

function showTitle({ planeEntry: entry, plane, status }) {
  if (!entry) return;
  byId("map-title").textContent = entry.title;
  const unit = unitText(entry.unit) ? `in ${unitText(entry.unit)}` : "";
  const part = status.frames_used ? `${Math.round((100 * status.frames_used) / status.frames.expected)} % of the frames` : "";
  byId("map-sub").textContent = [unit, entry.plane ? "" : part].filter(Boolean).join(", ");
  byId("map").setAttribute("aria-label", `Map of ${entry.title}, revision ${plane.meta.revision}; arrow keys move the voxel`);
}

export function startMapView(store) {
  const canvas = byId("map");
  let picture = null;
  const redraw = crisp(canvas, (context, size) => {
    const { state } = store;
    if (!picture || !state.status?.grid) return;
    const { width, height } = layout(state.status.grid, size);
    drawField(context, size, state.status.grid);
    context.drawImage(picture, 0, 0, width, height);
    drawScaleBar(context, size, state.status.grid);
    drawVoxel(context, size, state.status.grid, state.hover, false);
    drawVoxel(context, size, state.status.grid, state.voxel, true);
  });

  store.on(["plane", "limits"], (state) => {
    picture = paint(state.plane, state.planeEntry.palette, state.limits);
    canvas.dataset.revision = state.plane.meta.revision;
    canvas.dataset.map = state.entryId;
    showTitle(state);
  });
  store.on(["plane", "limits", "hover", "voxel", "theme"], (state) => {
    redraw();
    showReadout(state);
  });
  store.on(["plane", "status", "link"], showEmpty);

  const under = (event) => {
    const grid = store.state.status?.grid;
    if (!store.state.plane) return null;
    const box = canvas.getBoundingClientRect();
    const { cell } = layout(grid, box.width);
    const x = Math.floor((event.clientX - box.left) / cell.x);
    const y = Math.floor((event.clientY - box.top) / cell.y);
    const inside = Math.min(x, y) >= 0 && x < grid.x.length && y < grid.y.length;
    return inside ? { x, y } : null;
  };
  canvas.addEventListener("pointermove", (event) => store.set({ hover: under(event) }));
  canvas.addEventListener("pointerleave", () => store.set({ hover: null }));
  canvas.addEventListener("click", (event) => {
    const voxel = under(event);
    if (voxel) store.set({ voxel });
  });
}
