// How well the reconstruction explains the data, update by update.

import { number } from "./format.js";
import { makePlot } from "./plot.js";

const byId = (id) => document.getElementById(id);

export function startResidual(store) {
  let plot = null;
  let drawn = null;
  store.on(["status", "theme"], ({ status, theme }) => {
    if (!status) return;
    const trace = status.residual_trace ?? [];
    byId("residual-now").textContent = status.residual === null ? "nothing yet" : number(status.residual, 3);
    const now = `${theme} ${trace.length} ${trace.at(-1)}`;
    if (!trace.length || now === drawn) return;
    drawn = now;
    plot?.destroy();
    plot = makePlot(byId("residual-plot"), { height: 150, log: true, lines: [{ ink: "accent", width: 1.5 }], xLabel: "step", whole: true });
    plot.setData([trace.map((_, i) => i + 1), trace]);
  });
}
