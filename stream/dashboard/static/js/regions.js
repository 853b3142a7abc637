// Regions of the pattern: drawn by a drag upon it or typed in; each becomes a sinogram and a map.

import { key, post, scanPath } from "./api.js";
import { RADIAL } from "./format.js";

const byId = (id) => document.getElementById(id);
const ENDS = ["region-low", "region-high"];
const value = (id) => Number.parseFloat(byId(id).value.replace(",", "."));

export function startRegions(store) {
  const form = byId("region-form");
  const note = byId("region-note");
  let awaited = null;
  const toggle = () => store.set({ regioning: !store.state.regioning, region: null });

  async function send(event) {
    event.preventDefault();
    const name = byId("region-name").value.trim();
    try {
      await post(scanPath(store.state.status.scan, "regions"), { regions: [{ name, range: ENDS.map(value) }] });
      awaited = name;
      note.textContent = `${name} is asked for; its map comes with the next revision.`;
    } catch (error) {
      note.textContent = error.message;
    }
  }

  byId("region").addEventListener("click", toggle);
  form.addEventListener("submit", send);
  for (const id of ENDS) {
    byId(id).addEventListener("input", () => {
      const range = ENDS.map(value);
      if (range.every(Number.isFinite)) store.set({ region: range });
    });
  }
  byId("region-add").disabled = !key;
  store.on(["regioning"], ({ regioning, pattern }) => {
    byId("region").setAttribute("aria-expanded", regioning);
    form.hidden = !regioning;
    const [name, unit] = RADIAL[pattern?.unit] ?? ["", ""];
    byId("region-axis").textContent = `${name} (${unit})`;
    note.textContent = key ? "Drag over the pattern, name the region, add it." : "To add regions, open the link printed at the start: it carries the key.";
    if (regioning) byId("region-name").focus();
  });
  store.on(["region"], ({ region }) => {
    if (!region || ENDS.includes(document.activeElement?.id)) return;
    ENDS.forEach((id, i) => (byId(id).value = region[i].toFixed(3)));
  });
  store.on(["entries"], ({ entries }) => {
    if (!entries.some(({ name }) => name === awaited)) return;
    store.set({ entryId: awaited, sinogram: awaited, regioning: false, region: null });
    awaited = null;
  });
  return toggle;
}
