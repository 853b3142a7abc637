// Small multiples: the maps that matter most, side by side, growing with the scan.

import { getMap } from "./api.js";
import { crisp } from "./canvas.js";
import { paint } from "./colours.js";
import { limitsOf } from "./mapdata.js";
import { idOf } from "./maplist.js";
import { drawPicture } from "./mapview.js";
import { latest } from "./store.js";

const MOST = 8;

// Amounts first, then strain, classes, and what says how far to trust them.
function important(entries) {
  const rank = (entry) => {
    if (entry.name.startsWith("phase_")) return 0;
    if (entry.name.startsWith("strain_") && !entry.name.startsWith("strain_error_")) return 1;
    return { class_index: 2, global: 3, coverage: 4, fit_quality: 5 }[entry.name] ?? 9;
  };
  return entries
    .filter((entry) => entry.plane === null && rank(entry) < 9)
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, MOST);
}

function makeCell(store, entry, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "multiple";
  button.dataset.map = idOf(entry);
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  const title = document.createElement("span");
  title.textContent = entry.short;
  button.title = entry.title;
  const digit = document.createElement("kbd");
  digit.textContent = index + 1;
  button.append(canvas, title, digit);
  button.addEventListener("click", () => store.set({ entryId: idOf(entry) }));
  const cell = { entry, button, picture: null };
  cell.redraw = crisp(canvas, (context, size) => {
    if (cell.picture) drawPicture(context, size, store.state.status.grid, store.state.view, cell.picture);
  });
  return cell;
}

export function chooseMultiple(store, index) {
  const entry = important(store.state.entries)[index];
  if (entry) store.set({ entryId: idOf(entry) });
}

export function startMultiples(store) {
  const strip = document.getElementById("multiples");
  let cells = [];

  const refresh = latest(async () => {
    const { state } = store;
    await Promise.all(
      cells.map(async (cell) => {
        const plane = await getMap(state, cell.entry);
        cell.picture = paint(plane, cell.entry.palette, limitsOf(state, cell.entry, plane));
        cell.redraw();
      }),
    );
  });
  const mark = ({ entryId }) => {
    for (const { button } of cells) button.setAttribute("aria-pressed", button.dataset.map === entryId);
  };
  store.on(["entries"], (state) => {
    cells = important(state.entries).map((entry, index) => makeCell(store, entry, index));
    strip.replaceChildren(...cells.map((cell) => cell.button));
    mark(state);
    refresh();
  });
  store.on(["revision", "slice", "manual"], refresh);
  store.on(["entryId"], mark);
  store.on(["view"], () => cells.forEach((cell) => cell.redraw()));
}
