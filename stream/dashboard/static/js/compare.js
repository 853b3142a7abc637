// Another run beside this one: the chosen map of both on one scale, their mean patterns, their cells and widths.

import { getArray, getJson, mapPath, scanPath } from "./api.js";
import { crisp } from "./canvas.js";
import { paint } from "./colours.js";
import { count, withError, words } from "./format.js";
import { drawField, drawScaleBar } from "./mapmarks.js";
import { drawPicture } from "./mapview.js";
import { phaseMarks } from "./pattern.js";
import { makePlot, positive } from "./plot.js";
import { startHand } from "./hand.js";
import { latest } from "./store.js";
import { key, row } from "./table.js";

const byId = (id) => document.getElementById(id);
const SIDES = ["own", "other"];
const FULL = 4 * Math.PI;

// The run as a person calls it: the text of the chosen option.
const nameOf = (select) => select.selectedOptions[0].text;

// The axis as q in 1/Å, in which runs of any wavelength compare.
export function toQ({ axis, unit, wavelength }) {
  if (unit === "q_A^-1") return axis;
  if (unit === "q_nm^-1") return axis.map((q) => q / 10);
  return axis.map((angle) => (FULL / wavelength) * Math.sin((angle * Math.PI) / 360));
}

// Values given at x (rising) as they are at `at`, null beyond its ends.
export function interpolated(x, values, at) {
  let i = 0;
  return at.map((q) => {
    while (i + 2 < x.length && x[i + 1] < q) i += 1;
    const t = (q - x[i]) / (x[i + 1] - x[i]);
    const [before, after] = [values[i], values[i + 1]];
    return t < 0 || t > 1 || before === null || after === null ? null : before + t * (after - before);
  });
}

function tableRows({ own, other }) {
  const theirs = new Map(other.quantities.map((entry) => [entry.name, entry]));
  const cell = ({ mean, sigma, unit }) => withError(mean, sigma, unit);
  return own.quantities.filter(({ name }) => theirs.has(name)).map((mine) => {
    const yours = theirs.get(mine.name);
    const error = Math.hypot(mine.sigma / Math.sqrt(mine.n), yours.sigma / Math.sqrt(yours.n));
    const found = row([mine.title, cell(mine), cell(yours), withError(yours.mean - mine.mean, error, mine.unit)]);
    found.title = `${count(mine.n)} and ${count(yours.n)} voxels`;
    return found;
  });
}

export function startCompare(store) {
  const select = byId("compare-run");
  const classes = byId("compare-class");
  const pictures = {};
  let plot = null;
  const redraws = SIDES.map((side) =>
    crisp(byId(`compare-${side}`), (context, size) => {
      const { compared, view } = store.state;
      if (!compared || !pictures[side]) return;
      drawField(context, size, compared[side].grid, view);
      drawPicture(context, size, compared[side].grid, view, pictures[side]);
      drawScaleBar(context, size, compared[side].grid, view);
    }),
  );
  const redraw = () => redraws.forEach((each) => each());

  // The same map of both runs between the same ends.
  const refreshMaps = latest(async () => {
    const { compared, plane, planeEntry: entry, limits, slice } = store.state;
    if (!compared || !plane) return;
    const there = Math.min(slice, compared.other.grid.slices.length - 1);
    const found = await getArray(mapPath(select.value, there, entry)).catch(() => null);
    pictures.own = paint(plane, entry.palette, limits);
    pictures.other = found && paint(found, entry.palette, limits);
    byId("compare-note").textContent = found ? `${entry.title}, on one scale` : `${nameOf(select)} has no map ${entry.title}`;
    byId("compare-other").dataset.map = found ? entry.name : "";
    redraw();
  });

  function drawPatterns({ compared, log, reflections }) {
    const [own, other] = SIDES.map((side) => compared[side]);
    const labels = Object.keys(own.patterns).filter((label) => label in other.patterns);
    if (labels.join() !== [...classes.options].map(({ value }) => value).join()) {
      const chosen = classes.value || "particle";
      classes.replaceChildren(...labels.map((label) => new Option(words(label), label)));
      if (labels.includes(chosen)) classes.value = chosen;
    }
    plot?.destroy();
    plot = null;
    if (!classes.value) return;
    const q = toQ(own);
    const lines = [{ ink: "accent" }, { ink: "line-b" }];
    const inQ = ({ lines: found }) => found.map(({ d }) => (2 * Math.PI) / d);
    const marks = phaseMarks(reflections).map((mark) => ({ ...mark, at: inQ(reflections[mark.name]) }));
    plot = makePlot(byId("compare-plot"), { height: 220, lines, log, marks: () => marks, xLabel: "q (Å⁻¹)", yLabel: "mean intensity" });
    const theirs = interpolated(toQ(other), other.patterns[classes.value].pattern, q);
    const scale = log ? positive : (values) => values;
    plot.setData([q, scale(own.patterns[classes.value].pattern), scale(theirs)]);
    byId("compare-key").replaceChildren(
      ...key([
        { text: `this run, ${count(own.patterns[classes.value].voxels)} voxels`, colour: "var(--accent)" },
        { text: `${nameOf(select)}, ${count(other.patterns[classes.value].voxels)} voxels`, colour: "var(--line-b)" },
        ...marks.map(({ name, colour }) => ({ text: name, colour, mark: "tick" })),
      ]),
    );
  }

  function show(state) {
    const { compared } = state;
    byId("compare-body").hidden = !compared;
    if (!compared) return;
    byId("compare-own-name").textContent = `this run: ${compared.own.sample || compared.own.scan}`;
    byId("compare-other-name").textContent = `${nameOf(select)}: ${compared.other.sample || compared.other.scan}`;
    drawPatterns(state);
    byId("compare-table").replaceChildren(row(["mean ± σ of the voxels", "this run", nameOf(select), "difference ± error"], "th"), ...tableRows(compared));
    refreshMaps();
  }

  const offer = latest(async () => {
    const names = await getJson("beside");
    byId("compare").hidden = !names.length;
    const chosen = select.value;
    if (names.join() === [...select.options].slice(1).map(({ value }) => value).join()) return;
    select.replaceChildren(new Option("with no run", ""), ...names.map((name) => new Option(name.slice(1), name)));
    select.value = names.includes(chosen) ? chosen : "";
  });

  const refresh = latest(async () => {
    const { status, revision, slice } = store.state;
    if (!revision) return;
    if (!select.value) return store.set({ compared: null });
    const name = select.value;
    const [own, other] = await Promise.all([getJson(scanPath(status.scan, `summary?slice=${slice}`)), getJson(scanPath(name, "summary"))]);
    if (select.value === name) store.set({ compared: { own, other } });
  });
  for (const side of SIDES) {
    startHand(byId(`compare-${side}`), { view: () => store.state.view, change: (view) => store.set({ view }) });
  }
  select.addEventListener("change", refresh);
  select.addEventListener("focus", offer); // runs may have come since
  store.on(["entries"], offer);
  classes.addEventListener("change", () => drawPatterns(store.state));
  store.on(["revision", "slice"], refresh);
  store.on(["compared", "theme", "log", "reflections"], show);
  store.on(["plane", "limits"], refreshMaps);
  store.on(["view", "theme"], redraw);
}
