// Along a line on the map: the patterns of its voxels as colours or curves, and the map's own values.

import { getJson, scanPath } from "./api.js";
import { crisp } from "./canvas.js";
import { isDiscrete } from "./colours.js";
import { number, RADIAL, unitText } from "./format.js";
import { drawAxes, drawCurves, heatmap, inner } from "./heatmap.js";
import { makePlot, positive } from "./plot.js";
import { latest } from "./store.js";

const byId = (id) => document.getElementById(id);
const at = ({ y, x }) => `${y},${x}`;
const PROFILE_HEIGHT = 130;

export function startProfile(store) {
  const canvas = byId("profile-map");
  let picture = null;
  let plot = null;
  let errors = [];
  let curves = false;

  const shown = ({ log, profile }) => profile.patterns.map((row) => (row && log ? positive(row).map((v) => (v === null ? null : Math.log10(v))) : row));
  const ends = ({ axis, points }) => ({ low: axis[0], high: axis.at(-1), far: points.at(-1).distance_um });

  const redraw = crisp(canvas, (context, width, height) => {
    const { profile } = store.state;
    if (!profile || !picture) return;
    const box = inner(width, height);
    const { low, high, far } = ends(profile);
    const [name, unit] = RADIAL[profile.unit];
    if (curves) drawCurves(context, box, shown(store.state), [0, profile.axis.length]);
    else {
      context.save();
      context.translate(0, 2 * box.top + box.height);
      context.scale(1, -1); // the first voxel below
      context.drawImage(picture, box.left, box.top, box.width, box.height);
      context.restore();
    }
    drawAxes(context, box, { low, high, label: `${name} (${unit})` }, { low: 0, high: far || 1, label: "along the line (µm)" });
  });

  // The map's own values along the line, with their errors.
  function drawValues({ profile, plane, planeEntry: entry, errors: errorPlane, theme }) {
    const usable = profile && plane && !isDiscrete(entry.palette);
    byId("profile-plot").hidden = !usable;
    if (!usable) return;
    const columns = plane.shape[1];
    const take = (data) => profile.points.map(({ y, x }) => data[y * columns + x]).map((v) => (Number.isFinite(v) ? v : null));
    errors = errorPlane ? take(errorPlane.data) : null;
    plot?.destroy();
    const label = [entry.short, unitText(entry.unit)].filter(Boolean).join(", ");
    plot = makePlot(byId("profile-plot"), {
      height: PROFILE_HEIGHT, lines: [{ ink: "accent", width: 1.5 }], cursor: false, errors: () => [errors], xLabel: "along the line (µm)", yLabel: label,
    });
    plot.setData([profile.points.map(({ distance_um: d }) => d), take(plane.data)]);
    byId("profile-plot").dataset.theme = theme;
  }

  function pointAt(event) {
    const { profile } = store.state;
    const box = inner(canvas.clientWidth, canvas.clientHeight);
    const [u, v] = [(event.offsetX - box.left) / box.width, 1 - (event.offsetY - box.top) / box.height];
    if (!profile || Math.min(u, v) < 0 || Math.max(u, v) >= 1) return null;
    return { bin: Math.floor(u * profile.axis.length), row: Math.floor(v * profile.points.length) };
  }

  const refresh = latest(async () => {
    const { line, slice, status, revision } = store.state;
    if (!line || !revision) return;
    const profile = await getJson(scanPath(status.scan, `profile?slice=${slice}&from=${at(line.from)}&to=${at(line.to)}`));
    if (store.state.line === line) store.set({ profile });
  });
  store.on(["line"], ({ line }) => {
    byId("profile").hidden = !line;
    if (!line) store.set({ profile: null });
  });
  store.on(["line", "slice", "revision"], refresh);
  store.on(["profile", "log", "theme"], (state) => {
    if (!state.profile) return;
    const { points } = state.profile;
    const there = state.profile.patterns.some(Boolean);
    picture = there ? heatmap(shown(state), state.log) : null;
    canvas.dataset.points = points.length;
    const length = `${points.length} voxels, ${number(points.at(-1).distance_um, 3)} µm`;
    byId("profile-note").textContent = there ? length : `${length}: their patterns are not there yet`;
    canvas.setAttribute("aria-label", `Patterns of ${points.length} voxels along the line`);
    redraw();
  });
  store.on(["profile", "plane", "theme"], drawValues);
  byId("profile-curves").addEventListener("click", () => {
    curves = !curves;
    byId("profile-curves").setAttribute("aria-pressed", curves);
    redraw();
  });
  byId("profile-close").addEventListener("click", () => store.set({ line: null }));
  canvas.addEventListener("pointermove", (event) => {
    const { profile } = store.state;
    const found = pointAt(event);
    const [name, unit] = RADIAL[profile?.unit] ?? [];
    byId("profile-readout").textContent = found
      ? `${number(profile.points[found.row].distance_um, 3)} µm   ${name} ${profile.axis[found.bin].toFixed(3)} ${unit}   ${number(profile.patterns[found.row]?.[found.bin] ?? null)}`
      : "";
  });
  canvas.addEventListener("click", (event) => {
    const found = pointAt(event);
    if (!found) return;
    const { y, x } = store.state.profile.points[found.row];
    store.set({ voxel: { y, x }, hover: null });
  });
}
