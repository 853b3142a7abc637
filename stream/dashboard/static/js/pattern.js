// The sum pattern and under it the chosen voxel's, on one axis: zoom and scale are shared.

import { getJson, scanPath } from "./api.js";
import { number } from "./format.js";
import { makePlot, positive } from "./plot.js";
import { latest } from "./store.js";

const byId = (id) => document.getElementById(id);
const NOTHING = byId("sum-readout").textContent;
const AXES = { "2th_deg": ["2θ", "°"], "q_A^-1": ["q", "Å⁻¹"], "q_nm^-1": ["q", "nm⁻¹"] };

export function startPatterns(store) {
  let plots = [];
  let zooming = false;

  function onZoom({ min, max }) {
    if (zooming || min === null) return;
    zooming = true;
    for (const plot of plots) if (plot.scales.x.min !== min || plot.scales.x.max !== max) plot.setScale("x", { min, max });
    zooming = false;
  }

  function onCursor(index, [axis, ...rows]) {
    const [name, unit] = AXES[store.state.pattern.unit];
    const value = rows.find((row) => row[index] !== undefined)?.[index];
    byId("sum-readout").textContent =
      index === null || index === undefined ? "" : `${name} ${axis[index].toFixed(3)} ${unit}   ${number(value)}`;
  }

  function build({ log, pattern }) {
    for (const plot of plots) plot.destroy();
    const [name, unit] = AXES[pattern.unit];
    const common = { log, onZoom, onCursor, regions: () => store.state.pattern.regions };
    plots = [
      makePlot(byId("sum-plot"), { ...common, height: 190, lines: [{ ink: "accent" }], xLabel: `${name} (${unit})` }),
      makePlot(byId("voxel-plot"), { ...common, height: 170, lines: [{ ink: "line-b" }, { ink: "line-c" }], xLabel: `${name} (${unit})` }),
    ];
  }

  function fill({ log, pattern, voxelData }) {
    const shown = log ? positive : (values) => values;
    const zoomed = (plot) => plot.data[0].length > 0 && (plot.scales.x.min > plot.data[0][0] || plot.scales.x.max < plot.data[0].at(-1));
    plots[0].setData([pattern.axis, shown(pattern.sum_pattern)], !zoomed(plots[0]));
    byId("voxel-key").hidden = !voxelData?.fit?.curve;
    if (!voxelData?.pattern) return;
    const curve = voxelData.fit?.curve ?? voxelData.axis.map(() => null);
    plots[1].setData([voxelData.axis, shown(voxelData.pattern), shown(curve)], !zoomed(plots[1]));
  }

  const refresh = latest(async () => {
    if (store.state.revision) store.set({ pattern: await getJson(scanPath(store.state.status.scan, "pattern")) });
  });
  store.on(["revision"], refresh);
  store.on(["pattern", "voxelData", "log", "theme"], (state) => {
    byId("log").setAttribute("aria-pressed", state.log);
    if (!state.pattern) return;
    if (!plots.length || state.drawn !== `${state.log} ${state.theme}`) {
      build(state);
      state.drawn = `${state.log} ${state.theme}`;
    }
    fill(state);
    if (byId("sum-readout").textContent === NOTHING) byId("sum-readout").textContent = "";
  });
  byId("log").addEventListener("click", () => store.set({ log: !store.state.log }));
}
