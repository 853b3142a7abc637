// The elements of the fluorescence stream: what each goes together with, and the chosen voxel's spectrum.

import { words } from "./format.js";
import { makePlot, positive } from "./plot.js";
import { row } from "./table.js";

const byId = (id) => document.getElementById(id);

// Columns: every phase, and the strain within every class, that some element is compared with.
function columns(correlations) {
  const all = (kind) => [...new Set(Object.values(correlations).flatMap((entry) => Object.keys(entry[kind])))];
  return [...all("phases").map((name) => ["phases", name, name]), ...all("strain").map((name) => ["strain", name, `ε in ${words(name)}`])];
}

function line(store, element, entry, shown) {
  const found = row([element, ...shown.map(([kind, name]) => entry[kind][name]?.r.toFixed(2).replace("-", "−") ?? "–")]);
  shown.forEach(([kind, name], i) => (found.children[i + 1].title = entry[kind][name] ? `${entry[kind][name].n} voxels` : ""));
  found.tabIndex = 0;
  found.title = `Show the map of ${element}`;
  const go = () => store.set({ entryId: `xrf_${element}` });
  found.addEventListener("click", go);
  found.addEventListener("keydown", (event) => event.key === "Enter" && go());
  return found;
}

export function startElements(store) {
  let plot = null;
  let drawn = null;
  store.on(["status"], ({ status }) => {
    const correlations = status.fluorescence?.correlations ?? {};
    const shown = columns(correlations);
    byId("elements").hidden = !shown.length;
    const now = JSON.stringify(correlations);
    if (!shown.length || now === drawn) return;
    drawn = now;
    const head = row(["", ...shown.map(([, , title]) => title)], "th");
    byId("elements-table").replaceChildren(head, ...Object.entries(correlations).map(([name, entry]) => line(store, name, entry, shown)));
  });
  store.on(["voxelData", "log", "theme"], ({ voxelData, log }) => {
    const found = voxelData?.fluorescence;
    byId("spectrum").hidden = !found?.spectrum;
    if (!found?.spectrum) return;
    plot?.destroy();
    plot = makePlot(byId("spectrum-plot"), { height: 150, log, cursor: false, lines: [{ ink: "accent" }], xLabel: "energy (keV)" });
    plot.setData([found.energy, log ? positive(found.spectrum) : found.spectrum]);
  });
}
