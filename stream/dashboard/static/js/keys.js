// The keyboard: arrows move the voxel, brackets change the map, digits choose a small one, plus and minus zoom.

import { chooseMultiple } from "./multiples.js";
import { step } from "./maplist.js";
import { magnified, WHOLE } from "./place.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const typing = (target) => target.matches("input, select");

function move(store, [dy, dx], by) {
  const { grid } = store.state.status;
  const last = { y: grid.y.length - 1, x: grid.x.length - 1 };
  const { y, x } = store.state.voxel ?? { y: (last.y >> 1) - dy * by, x: (last.x >> 1) - dx * by };
  const kept = (i, end) => Math.min(end, Math.max(0, i));
  store.set({ voxel: { y: kept(y + dy * by, last.y), x: kept(x + dx * by, last.x) }, hover: null });
}

// The first time marks where a line starts, the second time where it ends.
function line(store) {
  const { voxel, drawn } = store.state;
  if (!voxel) return;
  if (!drawn) store.set({ drawn: { from: voxel, to: voxel } });
  else store.set({ line: { from: drawn.from, to: voxel }, drawn: null });
}

function changeSlice(store, by) {
  const last = store.state.status.grid.slices.length - 1;
  store.set({ slice: Math.min(last, Math.max(0, store.state.slice + by)) });
}

export function startKeys(store, toggles) {
  const map = document.getElementById("map");
  const zoom = (factor) => store.set({ view: magnified(store.state.view, factor) });
  const actions = {
    "+": () => zoom(1.5),
    "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    0: () => store.set({ view: WHOLE }),
    ",": () => changeSlice(store, -1),
    ".": () => changeSlice(store, 1),
    p: () => line(store),
    c: toggles.composite,
    r: toggles.regions,
    "[": () => step(store, -1),
    "]": () => step(store, 1),
    l: () => store.set({ log: !store.state.log }),
    t: toggles.theme,
    Escape: () => store.set({ voxel: null, line: null, drawn: null, regioning: false, region: null }),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (typing(event.target) && event.key !== "Escape") return;
    // without a chosen voxel the arrows scroll the page, unless the map has the focus
    if (event.key in ARROWS && store.state.plane && (store.state.voxel || event.target === map)) {
      event.preventDefault();
      move(store, ARROWS[event.key], event.shiftKey ? 10 : 1);
      const { voxel, drawn } = store.state;
      if (drawn) store.set({ drawn: { from: drawn.from, to: voxel } });
    } else if (/^[1-9]$/.test(event.key)) chooseMultiple(store, Number(event.key) - 1);
    else if (event.key in actions) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}
