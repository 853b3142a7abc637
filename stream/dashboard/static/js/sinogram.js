// One sinogram: rows are angles in the order of the config, columns positions; what is not measured stays free.

import { getArray, getJson, scanPath } from "./api.js";
import { crisp } from "./canvas.js";
import { autoscale, paint } from "./colours.js";
import { number } from "./format.js";
import { latest } from "./store.js";

const byId = (id) => document.getElementById(id);

export function startSinogram(store) {
  const canvas = byId("sinogram");
  const select = byId("sinogram-name");
  let found = null;
  let picture = null;
  let pointed = null; // in fractions of the canvas
  const redraw = crisp(canvas, (context, width, height) => {
    if (picture) context.drawImage(picture, 0, 0, width, height);
  });

  function offer(names) {
    if (names.join() === [...select.options].map((option) => option.value).join()) return;
    const { sinogram } = store.state;
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    if (names.includes(sinogram)) select.value = sinogram;
  }

  // What is under the pointer, in the newest revision too.
  function tell() {
    const note = byId("sinogram-note");
    if (!pointed) return note.replaceChildren();
    const [angles, positions] = found.shape;
    const row = Math.min(angles - 1, Math.floor(pointed.v * angles));
    const column = Math.min(positions - 1, Math.floor(pointed.u * positions));
    const value = found.data[row * positions + column];
    const { angles: omega, motor } = store.state.status.grid;
    note.textContent = `${number(motor[column], 3)} µm   ${number(omega[row], 4)}°   ${Number.isFinite(value) ? number(value) : "not measured"}`;
  }

  const refresh = latest(async () => {
    const { status, revision, slice } = store.state;
    if (!revision) return;
    offer((await getJson(scanPath(status.scan, "sinograms"))).sinograms);
    if (!select.value) return;
    found = await getArray(scanPath(status.scan, `sinograms/${encodeURIComponent(select.value)}?slice=${slice}`));
    picture = paint(found, "viridis", autoscale(found.data));
    canvas.setAttribute("aria-label", `Sinogram ${select.value}, ${found.shape.join(" angles by ")} positions`);
    canvas.dataset.sinogram = select.value;
    tell();
    redraw();
  });
  store.on(["revision", "slice", "sinogram"], refresh);
  store.on(["sinogram"], ({ sinogram }) => (select.value = sinogram));
  select.addEventListener("change", () => store.set({ sinogram: select.value }));
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    pointed = { u: offsetX / canvas.clientWidth, v: offsetY / canvas.clientHeight };
    if (found) tell();
  });
  canvas.addEventListener("pointerleave", () => {
    pointed = null;
    if (found) tell();
  });
}
