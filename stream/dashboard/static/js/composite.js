// Up to three maps in one picture: red, green and blue, each between the ends of its own scale.

import { getMap } from "./api.js";
import { isDiscrete, paintRgb } from "./colours.js";
import { number, unitText } from "./format.js";
import { limitsOf } from "./mapdata.js";
import { idOf } from "./maplist.js";
import { latest } from "./store.js";

const byId = (id) => document.getElementById(id);
const CHANNELS = ["red", "green", "blue"];
const NOTHING = "";

const fit = (entries) => entries.filter((entry) => !isDiscrete(entry.palette));
const firstChoice = (entries) => CHANNELS.map((_, i) => fit(entries).filter(({ name }) => name.startsWith("phase_"))[i]).map((entry) => (entry ? idOf(entry) : NOTHING));

function offer(entries, rgb) {
  const groups = () =>
    [...Map.groupBy(fit(entries), (entry) => entry.group)].map(([name, own]) => {
      const group = document.createElement("optgroup");
      group.label = name;
      group.append(...own.map((entry) => new Option(entry.short, idOf(entry))));
      return group;
    });
  CHANNELS.forEach((channel, i) => {
    byId(channel).replaceChildren(new Option("–", NOTHING), ...groups());
    byId(channel).value = rgb?.[i] ?? NOTHING;
  });
}

export function startComposite(store) {
  const refresh = latest(async () => {
    const { state } = store;
    const { rgb, entries } = state;
    if (!rgb) return store.set({ composite: null });
    const chosen = rgb.map((id) => entries.find((entry) => idOf(entry) === id) ?? null);
    const found = await Promise.all(
      chosen.map(async (entry, channel) => {
        if (!entry) return null;
        const plane = await getMap(state, entry);
        return { entry, plane, channel, limits: limitsOf(state, entry, plane) };
      }),
    );
    const channels = found.filter(Boolean);
    for (const { channel, limits, entry } of channels) {
      byId(`${CHANNELS[channel]}-range`).textContent = `${number(limits[0], 3)} – ${number(limits[1], 3)} ${unitText(entry.unit)}`;
    }
    if (store.state.rgb === rgb) store.set({ composite: channels.length ? { channels, picture: paintRgb(channels) } : null });
  });
  const toggle = () => store.set({ rgb: store.state.rgb ? null : firstChoice(store.state.entries) });

  byId("rgb").addEventListener("click", toggle);
  for (const channel of CHANNELS) {
    byId(channel).addEventListener("change", () => store.set({ rgb: CHANNELS.map((name) => byId(name).value) }));
  }
  store.on(["entries", "rgb"], ({ entries, rgb }) => offer(entries, rgb));
  store.on(["rgb"], ({ rgb }) => {
    byId("rgb").setAttribute("aria-pressed", Boolean(rgb));
    document.body.dataset.composite = Boolean(rgb);
    for (const channel of CHANNELS) byId(`${channel}-range`).textContent = "";
  });
  store.on(["rgb", "plane", "manual"], refresh);
  store.on(["entryId"], () => store.set({ rgb: null })); // a map chosen from the list is the map shown
  return toggle;
}
