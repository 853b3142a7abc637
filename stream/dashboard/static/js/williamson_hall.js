// Williamson and Hall's plot of the chosen voxel: the points of single lines, their own line and the whole pattern's.

import { ink } from "./canvas.js";
import { withError } from "./format.js";
import { makePlot } from "./plot.js";
import { key } from "./table.js";

const byId = (id) => document.getElementById(id);
const MRAD = 1e3;

const size = (nm) => (Number.isFinite(nm) ? `, D ${nm.toFixed(0)} nm` : "");

function describe({ strain, strain_error: error, size: nm }) {
  return `ε ${withError(strain, error)}${size(nm)}`;
}

// From the axis on to the last point, the lines are drawn where points are.
function rows({ x, y, y_error: error, intercept, strain, whole_pattern: whole }) {
  const order = x.map((_, i) => i).sort((a, b) => x[a] - x[b]);
  const at = [0, ...order.map((i) => x[i])];
  const along = (line) => at.map((u) => (line && Number.isFinite(line.intercept) ? MRAD * (line.intercept + line.strain * u) : null));
  return {
    data: [at, [null, ...order.map((i) => MRAD * y[i])], along({ intercept, strain }), along(whole)],
    errors: [null, ...order.map((i) => MRAD * error[i])],
  };
}

function legend(found) {
  const { whole_pattern: whole } = found;
  const entries = [
    { text: "single lines", colour: ink("line-b"), mark: "point" },
    { text: `through them: ${describe(found)}`, colour: ink("line-b") },
  ];
  if (Number.isFinite(whole?.strain)) entries.push({ text: `whole pattern: ${describe(whole)}`, colour: ink("line-c"), mark: "dash" });
  return key(entries);
}

export function startWilliamsonHall(store) {
  const place = byId("wh-plot");
  let plot = null;
  let errors = [];
  let theme = null;
  store.on(["voxelData", "theme"], ({ voxelData, theme: now }) => {
    const fit = voxelData?.fit;
    const found = fit?.williamson_hall;
    byId("wh").hidden = !fit || (!found && !fit.williamson_hall_refused);
    byId("wh-title").textContent = found ? `Williamson–Hall, ${found.phase}` : "Williamson–Hall";
    byId("wh-note").textContent = found?.whole_pattern?.masked ? `No line of the whole pattern: ${found.whole_pattern.masked}` : fit?.williamson_hall_refused ?? "";
    place.hidden = byId("wh-key").hidden = !found;
    if (!found) return;
    if (!plot || theme !== now) {
      plot?.destroy();
      const lines = [{ ink: "line-b", mark: 6 }, { ink: "line-b" }, { ink: "line-c", width: 2, dash: [6, 4] }];
      plot = makePlot(place, { height: 180, lines, cursor: false, errors: () => [errors], xLabel: "4 sin θ", yLabel: "β cos θ (mrad)" });
      theme = now;
    }
    const drawn = rows(found);
    errors = drawn.errors;
    plot.setData(drawn.data);
    byId("wh-key").replaceChildren(...legend(found));
  });
}
