// Particle by particle: strain against size, contact with carbon/binder told by colour; the table goes to the voxel.

import { getJson, scanPath } from "./api.js";
import { ink } from "./canvas.js";
import { DASH, count, exponentOf, percent, times } from "./format.js";
import { makePlot } from "./plot.js";
import { latest } from "./store.js";
import { key, row } from "./table.js";

const byId = (id) => document.getElementById(id);
const LISTED = 60;

const inks = () => ({ touching: ink("line-b"), free: ink("accent") });

function draw(plot, particles, power) {
  const known = particles.filter(({ strain }) => strain !== null).sort((a, b) => a.diameter_um - b.diameter_um);
  const scaled = (value) => value / 10 ** power;
  const rows = [true, false].map((touching) => known.map((p) => (p.contact > 0 === touching ? scaled(p.strain) : null)));
  plot.setData([known.map((p) => p.diameter_um), ...rows]);
}

function tell({ diameter, contact }) {
  const one = ({ rho, p, n }, name) => `ρ ${rho.toFixed(2).replace("-", "−")} with ${name} (p ${p < 0.001 ? "< 0.001" : p.toFixed(3)}, n ${n})`;
  const parts = [diameter && one(diameter, "diameter"), contact && one(contact, "contact")].filter(Boolean);
  return parts.length ? `Spearman's rank correlation of ε: ${parts.join("; ")}` : "";
}

function showTable(store, particles, power) {
  const scaled = (value) => (value === null ? DASH : (value / 10 ** power).toFixed(2));
  const both = (value, error) => (value === null ? DASH : `${scaled(value)} ± ${scaled(error)}`);
  const body = particles.slice(0, LISTED).map((p) => {
    const cells = [
      p.index, p.diameter_um.toFixed(1), percent(p.contact), both(p.strain, p.strain_error),
      both(p.strain_surface, p.strain_error_surface), both(p.strain_interior, p.strain_error_interior),
    ];
    const found = row(cells);
    found.tabIndex = 0;
    found.title = "Show the voxel in its middle";
    const go = () => store.set({ slice: p.slice, voxel: { x: p.column, y: p.row } });
    found.addEventListener("click", go);
    found.addEventListener("keydown", (event) => event.key === "Enter" && go());
    return found;
  });
  const head = row(["", "Ø µm", "contact", `ε ${times(power)}`, "at surface", "inside"], "th");
  byId("particles-table").replaceChildren(head, ...body);
  byId("particles-more").textContent = particles.length > LISTED ? `The ${LISTED} largest of ${particles.length} listed` : "";
}

export function startParticles(store) {
  let plot = null;
  let drawn = null;
  let found = { particles: [], particle_correlation: {} };
  function show() {
    const { particles, particle_correlation: correlation } = found;
    byId("particles").hidden = !particles.length;
    if (!particles.length) return;
    const strained = particles.some(({ strain }) => strain !== null);
    byId("particles-plot").hidden = byId("particles-key").hidden = !strained;
    const largest = Math.max(...particles.map(({ strain }) => strain ?? 0));
    const power = exponentOf(largest);
    if (!plot || drawn !== `${store.state.theme} ${power}`) {
      plot?.destroy();
      const { touching, free } = inks();
      const lines = [{ colour: touching, mark: 7 }, { colour: free, mark: 6, fill: "transparent" }];
      const labels = { xLabel: "equivalent diameter (µm)", yLabel: `ε (${times(power) || "1"})` };
      plot = makePlot(byId("particles-plot"), { height: 230, lines, cursor: false, ...labels });
      byId("particles-key").replaceChildren(
        ...key([{ text: "touches carbon/binder", colour: touching, mark: "point" }, { text: "does not", colour: free, mark: "ring" }]),
      );
      drawn = `${store.state.theme} ${power}`;
    }
    byId("particles-note").textContent = `${count(particles.length)} sections`;
    byId("particles-rank").textContent = tell(correlation);
    draw(plot, particles, power);
    showTable(store, particles, power);
  }
  const refresh = latest(async () => {
    if (!store.state.revision) return;
    found = await getJson(scanPath(store.state.status.scan, "particles"));
    show();
  });
  store.on(["revision"], refresh);
  store.on(["theme"], show);
}
