// The large map: its picture, zoomed and moved; voxels chosen by a click, a line by dragging.

import { crisp } from "./canvas.js";
import { paint } from "./colours.js";
import { unitText } from "./format.js";
import { startHand } from "./hand.js";
import { drawField, drawLine, drawScaleBar, drawVoxel } from "./mapmarks.js";
import { enter, layout, magnified, showing, toWhole, WHOLE } from "./place.js";

const byId = (id) => document.getElementById(id);
const STILL = 4; // pixels that a click may move

// The voxel under a pointer, null beside the map.
export function voxelUnder(canvas, event, grid, view) {
  const box = canvas.getBoundingClientRect();
  const { cell } = layout(grid, box.width);
  const at = toWhole(view, box.width, event.clientX - box.left, event.clientY - box.top);
  const [x, y] = [Math.floor(at.x / cell.x), Math.floor(at.y / cell.y)];
  return Math.min(x, y) >= 0 && x < grid.x.length && y < grid.y.length ? { x, y } : null;
}

// A picture of a map as a view shows it.
export function drawPicture(context, size, grid, view, picture) {
  const { width, height } = layout(grid, size);
  context.save();
  enter(context, size, view);
  context.drawImage(picture, 0, 0, width, height);
  context.restore();
}

function showTitle({ planeEntry: entry, plane, status, composite }) {
  if (!entry) return;
  byId("map-title").textContent = composite ? "Composite" : entry.title;
  const unit = !composite && unitText(entry.unit) ? `in ${unitText(entry.unit)}` : "";
  const part = status.frames_used ? `${Math.round((100 * status.frames_used) / status.frames.expected)} % of frames` : "";
  byId("map-sub").textContent = [unit, entry.plane ? "" : part].filter(Boolean).join(", ");
  const what = composite ? `Composite of ${composite.channels.map(({ entry: own }) => own.title).join(", ")}` : `Map of ${entry.title}`;
  byId("map").setAttribute("aria-label", `${what}, revision ${plane.meta.revision}; arrow keys move the voxel`);
}

function startTools(store) {
  const zoom = (factor) => store.set({ view: magnified(store.state.view, factor) });
  byId("zoom-in").addEventListener("click", () => zoom(1.5));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  byId("zoom-whole").addEventListener("click", () => store.set({ view: WHOLE }));
  byId("line").addEventListener("click", () => store.set({ lining: !store.state.lining }));
  store.on(["lining"], ({ lining }) => {
    byId("line").setAttribute("aria-pressed", lining);
    byId("map").dataset.lining = lining;
  });
  store.on(["view"], ({ view }) => (byId("map").dataset.zoom = view.zoom.toFixed(2)));
}

export function startMapView(store) {
  const canvas = byId("map");
  let picture = null;
  let pressed = null;
  const redraw = crisp(canvas, (context, size) => {
    const { plane, entryId, status, view, hover, voxel, line, drawn } = store.state;
    if (!picture || !status?.grid) return;
    drawField(context, size, status.grid, view);
    drawPicture(context, size, status.grid, view, picture);
    drawScaleBar(context, size, status.grid, view);
    drawLine(context, size, status.grid, view, drawn ?? line);
    drawVoxel(context, size, status.grid, view, hover, false);
    drawVoxel(context, size, status.grid, view, voxel, true);
    canvas.dataset.revision = plane.meta.revision;
    canvas.dataset.map = entryId;
  });

  store.on(["plane", "limits", "composite"], (state) => {
    if (!state.plane) return;
    picture = state.composite?.picture ?? paint(state.plane, state.planeEntry.palette, state.limits);
    showTitle(state);
  });
  store.on(["plane", "limits", "composite", "hover", "voxel", "theme", "view", "line", "drawn"], redraw);
  store.on(["voxel"], ({ voxel, view, status, hover }) => {
    if (!voxel || hover) return; // chosen by the keyboard or from a table
    const { cell } = layout(status.grid, 1);
    store.set({ view: showing(view, { x: (voxel.x + 0.5) * cell.x, y: (voxel.y + 0.5) * cell.y }) });
  });

  const under = (event) => (store.state.plane ? voxelUnder(canvas, event, store.state.status.grid, store.state.view) : null);
  function drag(event, phase) {
    const voxel = under(event);
    const { drawn, lining } = store.state;
    if (phase === "start") {
      if (!voxel || !(lining || event.shiftKey)) return false;
      store.set({ drawn: { from: voxel, to: voxel } });
    } else if (phase === "move") store.set({ drawn: { from: drawn.from, to: voxel ?? drawn.to } });
    else if (phase === "end" && (drawn.from.x !== drawn.to.x || drawn.from.y !== drawn.to.y)) store.set({ line: drawn, drawn: null });
    else store.set({ drawn: null });
    return phase === "start" || phase === "move";
  }
  startHand(canvas, { view: () => store.state.view, change: (view) => store.set({ view }), drag });

  canvas.addEventListener("pointerdown", (event) => (pressed = event));
  canvas.addEventListener("pointermove", (event) => store.set({ hover: under(event) }));
  canvas.addEventListener("pointerleave", () => store.set({ hover: null }));
  canvas.addEventListener("click", (event) => {
    if (pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) > STILL) return;
    const voxel = under(event);
    if (voxel) store.set({ voxel });
  });
  startTools(store);
}
