// The sum pattern and under it the chosen voxel's, on one axis: zoom and scale are shared; where the phases' lines lie.

import { getJson, scanPath } from "./api.js";
import { ink } from "./canvas.js";
import { number, RADIAL } from "./format.js";
import { makePlot, positive } from "./plot.js";
import { latest } from "./store.js";
import { key } from "./table.js";

const byId = (id) => document.getElementById(id);
const NOTHING = byId("sum-readout").textContent;

const INKS = 4; // of phases

// Ticks of the phases, in the order of the config: [{name, at, colour}].
export function phaseMarks(reflections) {
  const phases = Object.entries(reflections ?? {}).filter(([, { phase }]) => phase);
  return phases.map(([name, { lines }], i) => ({ name, at: lines.map(({ x }) => x), colour: ink(`phase-${i % INKS}`) }));
}

export function startPatterns(store) {
  let plots = [];
  let zooming = false;
  let built = null; // the scale and theme of the plots there are

  function onZoom({ min, max }) {
    if (zooming || min === null) return;
    zooming = true;
    for (const plot of plots) if (plot.scales.x.min !== min || plot.scales.x.max !== max) plot.setScale("x", { min, max });
    zooming = false;
  }

  function onCursor(index, [axis, ...rows]) {
    const [name, unit] = RADIAL[store.state.pattern.unit];
    const value = rows.find((row) => row[index] !== undefined)?.[index];
    byId("sum-readout").textContent =
      index === null || index === undefined ? "" : `${name} ${axis[index].toFixed(3)} ${unit}   ${number(value)}`;
  }

  function build({ log, pattern }) {
    for (const plot of plots) plot.destroy();
    const [name, unit] = RADIAL[pattern.unit];
    const drawn = () => (store.state.region ? [{ range: store.state.region }] : []);
    const regions = () => [...store.state.pattern.regions, ...drawn()];
    const marks = () => phaseMarks(store.state.reflections);
    const common = { log, onZoom, onCursor, regions, marks, onSelect: (range) => store.set({ region: range }) };
    plots = [
      makePlot(byId("sum-plot"), { ...common, height: 190, lines: [{ ink: "accent" }], xLabel: `${name} (${unit})` }),
      makePlot(byId("voxel-plot"), { ...common, height: 170, lines: [{ ink: "line-b" }, { ink: "line-c" }], xLabel: `${name} (${unit})` }),
    ];
    mode(store.state);
  }

  function mode({ regioning }) {
    for (const plot of plots) plot.cursor.drag.setScale = !regioning;
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
  const refreshLines = latest(async () => {
    if (store.state.revision) store.set(await getJson(scanPath(store.state.status.scan, "reflections")));
  });
  store.on(["revision"], refresh);
  store.on(["revision"], refreshLines);
  store.on(["regioning"], mode);
  store.on(["region", "reflections"], () => plots.forEach((plot) => plot.redraw(false)));
  store.on(["reflections", "theme"], ({ reflections }) => {
    byId("phases-key").replaceChildren(...key(phaseMarks(reflections).map(({ name, colour }) => ({ text: name, colour, mark: "tick" }))));
  });
  store.on(["pattern", "voxelData", "log", "theme"], (state) => {
    byId("log").setAttribute("aria-pressed", state.log);
    if (!state.pattern) return;
    const form = `${state.log} ${state.theme}`;
    if (built !== form) build(state);
    built = form;
    fill(state);
    if (byId("sum-readout").textContent === NOTHING) byId("sum-readout").textContent = "";
  });
  byId("log").addEventListener("click", () => store.set({ log: !store.state.log }));
}
