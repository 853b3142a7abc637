// What is under the cursor, in words and numbers; and what there is to say where no map is yet.

import { labelOf } from "./colourbar.js";
import { isDiscrete } from "./colours.js";
import { number, signed, withError, words } from "./format.js";
import { inField } from "./place.js";

const byId = (id) => document.getElementById(id);

// Why there is no number here, as far as the page knows.
function whyMasked({ planeEntry: entry, mask, status }, voxel, at) {
  const { grid } = status;
  if (!inField(grid, voxel)) return "outside the field of view";
  const code = mask?.data[at];
  const reason = code === 0 ? entry.unmasked : status.mask_reasons?.[code];
  return reason ? `masked: ${reason}` : ["acquiring", "finishing"].includes(status.status) ? "nothing here yet" : "no value here";
}

function valueText(state, voxel) {
  const { planeEntry: entry, plane, errors, classes, composite, status } = state;
  const columns = plane.shape[1];
  if (columns !== status.grid.x.length) return "";
  const at = voxel.y * columns + voxel.x;
  if (composite) return composite.channels.map(({ entry: own, plane: { data } }) => `${own.short} ${number(data[at])}`).join("   ");
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

export function startReadout(store) {
  store.on(["plane", "composite", "hover", "voxel"], showReadout);
  store.on(["plane", "status", "link"], showEmpty);
}
