// Loads what the map view shows: the list of maps, the chosen plane, its errors, the classes, the scale.

import { getJson, getMap, scanPath } from "./api.js";
import { autoscale } from "./colours.js";
import { chosenEntry, idOf } from "./maplist.js";
import { latest } from "./store.js";

const FIRST_CHOICE = ["Phases", "Intensity"];
const find = (state, name) => state.entries.find((entry) => entry.name === name && entry.plane === null);

async function refreshEntries(store) {
  const { maps } = await getJson(scanPath(store.state.status.scan, "maps"));
  const same = JSON.stringify(maps) === JSON.stringify(store.state.entries);
  if (!same) store.set({ entries: maps });
  if (chosenEntry(store.state) === null && maps.length) {
    const preferred = FIRST_CHOICE.map((group) => maps.find((entry) => entry.group === group)).find(Boolean);
    store.set({ entryId: idOf(preferred ?? maps[0]) });
  }
}

export function limitsOf(state, entry, plane) {
  return state.manual[idOf(entry)] ?? entry.limits ?? autoscale(plane.data);
}

async function refreshPlane(store) {
  const state = store.state;
  const entry = chosenEntry(state);
  if (!entry) return;
  const other = (name) => (name && find(state, name) ? getMap(state, find(state, name)) : null);
  const [plane, errors, mask, classes] = await Promise.all([
    getMap(state, entry), other(entry.error), other(entry.mask), other("class_index"),
  ]);
  store.set({ plane, planeEntry: entry, errors, mask, classes, limits: limitsOf(state, entry, plane) });
}

export function startMapData(store) {
  const entries = latest(async () => {
    if (store.state.revision) await refreshEntries(store);
  });
  const plane = latest(() => refreshPlane(store));
  store.on(["revision"], async () => {
    await entries();
    plane();
  });
  store.on(["entryId", "slice"], plane);
  store.on(["manual"], (state) => {
    if (state.plane) store.set({ limits: limitsOf(state, state.planeEntry, state.plane) });
  });
}
