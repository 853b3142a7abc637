// The keyboard: arrows move the voxel, brackets change the map, digits choose a small one.

import { chooseMultiple } from "./multiples.js";
import { step } from "./maplist.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const typing = (target) => target.matches("input, select");

function move(store, [dy, dx], by) {
  const { grid } = store.state.status;
  const last = { y: grid.y.length - 1, x: grid.x.length - 1 };
  const { y, x } = store.state.voxel ?? { y: (last.y >> 1) - dy * by, x: (last.x >> 1) - dx * by };
  const kept = (i, end) => Math.min(end, Math.max(0, i));
  store.set({ voxel: { y: kept(y + dy * by, last.y), x: kept(x + dx * by, last.x) }, hover: null });
}

export function startKeys(store, toggleTheme) {
  const map = document.getElementById("map");
  const actions = {
    "[": () => step(store, -1),
    "]": () => step(store, 1),
    l: () => store.set({ log: !store.state.log }),
    t: toggleTheme,
    Escape: () => store.set({ voxel: null }),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (typing(event.target) && event.key !== "Escape") return;
    // without a chosen voxel the arrows scroll the page, unless the map has the focus
    if (event.key in ARROWS && store.state.plane && (store.state.voxel || event.target === map)) {
      event.preventDefault();
      move(store, ARROWS[event.key], event.shiftKey ? 10 : 1);
    } else if (/^[1-9]$/.test(event.key)) chooseMultiple(store, Number(event.key) - 1);
    else actions[event.key]?.();
  });
}
