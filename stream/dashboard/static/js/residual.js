// How well the reconstruction explains the data, update by update; and the strain of each class.

import { DASH, exponentOf, number, count, times, words } from "./format.js";
import { makePlot } from "./plot.js";

const byId = (id) => document.getElementById(id);

function row(cells, tag = "td") {
  const found = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement(tag);
    cell.textContent = text;
    found.append(cell);
  }
  return found;
}

function showStrain({ strain }) {
  const classes = Object.entries(strain ?? {}).filter(([, found]) => Number.isFinite(found.mean));
  byId("strain").hidden = !classes.length;
  const power = exponentOf(Math.max(...classes.map(([, { mean }]) => mean)));
  const scaled = (x) => (Number.isFinite(x) ? (x / 10 ** power).toFixed(2) : DASH);
  byId("strain-title").textContent = `Microstrain ε by class, ${times(power)}`;
  byId("strain-table").replaceChildren(
    row(["class", "mean", "spread", "voxels"], "th"),
    ...classes.map(([label, { mean, sigma, n }]) => row([words(label), scaled(mean), scaled(sigma), count(n)])),
  );
}

export function startResidual(store) {
  let plot = null;
  let drawn = null;
  store.on(["status", "theme"], ({ status, theme }) => {
    if (!status) return;
    showStrain(status);
    const trace = status.residual_trace ?? [];
    byId("residual-now").textContent = status.residual === null ? "nothing yet" : number(status.residual, 3);
    const now = `${theme} ${trace.length} ${trace.at(-1)}`;
    if (!trace.length || now === drawn) return;
    drawn = now;
    plot?.destroy();
    plot = makePlot(byId("residual-plot"), { height: 150, lines: [{ ink: "accent", width: 1.5 }], xLabel: "step", whole: true });
    plot.setData([trace.map((_, i) => i + 1), trace]);
  });
}
