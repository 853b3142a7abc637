// The strain of each class: histograms with the Gaussian of their core, and the numbers.

import { classColour } from "./colours.js";
import { DASH, count, exponentOf, times, words } from "./format.js";
import { makePlot } from "./plot.js";
import { key, row } from "./table.js";

const byId = (id) => document.getElementById(id);
const FINE = 12; // points of the curves in each bin

const gaussian = (x, mean, sigma) => Math.exp(-(((x - mean) / sigma) ** 2) / 2) / (sigma * Math.sqrt(2 * Math.PI));

// Steps and Gaussians on one fine axis, in units of 10^power: [x, steps, curve, steps, curve, …].
function curves(classes, power) {
  const { edges } = classes[0][1].histogram;
  const width = edges[1] - edges[0];
  const x = Array.from({ length: FINE * (edges.length - 1) }, (_, i) => edges[0] + ((i + 0.5) * width) / FINE);
  const rows = classes.flatMap(([, { mean, sigma, inliers, histogram }]) => [
    x.map((_, i) => histogram.counts[Math.floor(i / FINE)]),
    x.map((at) => inliers * width * gaussian(at, mean, sigma)),
  ]);
  return [x.map((at) => at / 10 ** power), ...rows];
}

function showTable(classes, power) {
  const scaled = (x) => (Number.isFinite(x) ? (x / 10 ** power).toFixed(2) : DASH);
  byId("strain-table").replaceChildren(
    row([`ε ${times(power)}`, "mean", "σ", "median", "voxels"], "th"),
    ...classes.map(([label, { mean, sigma, median, n }]) => row([words(label), scaled(mean), scaled(sigma), scaled(median), count(n)])),
  );
}

export function startStrain(store) {
  let plot = null;
  let drawn = null;
  store.on(["status", "theme"], ({ status, theme }) => {
    const classes = Object.entries(status?.strain ?? {}).filter(([, found]) => found.histogram && Number.isFinite(found.mean));
    byId("strain").hidden = !classes.length;
    const now = `${theme} ${JSON.stringify(status?.strain)}`;
    if (!classes.length || now === drawn) return;
    drawn = now;
    const power = exponentOf(Math.max(...classes.map(([, { mean }]) => mean)));
    byId("strain-key").replaceChildren(...key(classes.map(([label]) => ({ text: words(label), colour: classColour(label) }))));
    showTable(classes, power);
    const lines = classes.flatMap(([label]) => [
      { colour: classColour(label), width: 1, fill: `${classColour(label)}40` },
      { colour: classColour(label), width: 2 },
    ]);
    plot?.destroy();
    plot = makePlot(byId("strain-plot"), { height: 210, lines, cursor: false, xLabel: `ε (${times(power) || "1"})`, yLabel: "voxels" });
    plot.setData(curves(classes, power));
  });
}
