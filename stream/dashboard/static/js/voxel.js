// What is known of the chosen voxel: class probabilities, values with errors; its pattern is in pattern.js.

import { getJson, scanPath } from "./api.js";
import { classColour } from "./colours.js";
import { percent, signed, withError, words } from "./format.js";
import { latest } from "./store.js";

const byId = (id) => document.getElementById(id);

function element(tag, text = "", className = "") {
  const found = document.createElement(tag);
  found.textContent = text;
  if (className) found.className = className;
  return found;
}

function showClass({ classes }) {
  const chip = byId("voxel-class");
  chip.hidden = !classes;
  if (!classes) return byId("voxel-classes").replaceChildren();
  chip.textContent = classes.label ? words(classes.label) : "unknown";
  chip.style.setProperty("--chip", classes.label ? classColour(classes.label) : "transparent");
  const rows = Object.entries(classes.probabilities).map(([label, share]) => {
    const row = element("div", "", "probability");
    const bar = element("i");
    bar.style.width = `${100 * (share ?? 0)}%`;
    bar.style.background = classColour(label);
    const track = element("span", "", "track");
    track.append(bar);
    row.append(element("span", words(label)), track, element("b", share === null ? "–" : percent(share)));
    return row;
  });
  return byId("voxel-classes").replaceChildren(...rows);
}

function showValues({ values }) {
  const told = ({ name, value, masked }) => value !== null || (masked && /^strain_(?!error_)/.test(name)); // one reason a phase
  const known = values.filter((entry) => told(entry) && !/_index$|^strain_error_|^mask_/.test(entry.name));
  const body = element("tbody");
  let group = null;
  for (const { group: own, title, value, error, unit, masked } of known) {
    if (own !== group) {
      const head = element("th", own);
      head.colSpan = 2;
      head.scope = "rowgroup";
      body.append(element("tr", "", "group"));
      body.lastChild.append(head);
      group = own;
    }
    const row = element("tr");
    row.append(element("td", title), value === null ? element("td", masked, "why") : element("td", withError(value, error, unit)));
    body.append(row);
  }
  byId("voxel-values").replaceChildren(body);
}

function noteOf({ inside, pattern, fit_refused: refused }) {
  if (!inside) return "Outside the field of view";
  if (pattern === null) return "The pattern of this voxel is not there yet";
  return refused ? `Not fitted: ${refused}` : "";
}

const placeText = (y, x) => `x ${signed(x)} µm   y ${signed(y)} µm`;

export function startVoxel(store) {
  const refresh = latest(async () => {
    const { voxel, slice, status, revision } = store.state;
    if (!voxel || !revision) return;
    const path = scanPath(status.scan, `voxels/${slice}/${voxel.y}/${voxel.x}`);
    const found = await getJson(path);
    if (store.state.voxel === voxel) store.set({ voxelData: found });
  });
  store.on(["voxel"], (state) => {
    byId("voxel-hint").hidden = Boolean(state.voxel);
    byId("voxel-body").hidden = !state.voxel;
    if (!state.voxel) {
      byId("voxel-place").textContent = "";
      byId("voxel-class").hidden = true;
      store.set({ voxelData: null });
      return;
    }
    const { x, y } = state.status.grid;
    byId("voxel-place").textContent = placeText(y[state.voxel.y], x[state.voxel.x]);
    byId("voxel-body").ariaBusy = true; // what is seen is the last voxel's
  });
  store.on(["voxel", "slice", "revision"], refresh);
  store.on(["voxelData"], ({ voxelData: found }) => {
    if (!found) return;
    byId("voxel-place").textContent = placeText(found.position_um.y, found.position_um.x);
    byId("voxel-body").ariaBusy = false;
    byId("voxel-body").dataset.voxel = `${found.slice},${found.y},${found.x}`;
    byId("voxel-note").textContent = noteOf(found);
    byId("voxel-plot").hidden = found.pattern === null;
    showClass(found);
    showValues(found);
  });
}
