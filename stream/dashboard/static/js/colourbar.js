// The scale beside the map: histogram, colours, ticks; the legend of the classes; the range by hand.

import { crisp, font, ink } from "./canvas.js";
import { colourAt, discreteColour, isDiscrete } from "./colours.js";
import { exponentOf, percent, tickLabel, ticks, times, unitText } from "./format.js";
import { idOf } from "./maplist.js";

const byId = (id) => document.getElementById(id);
const BINS = 64;
const STRIP = 14;
const MOST_NAMES = 13; // a legend of more says nothing

function histogram(data, [low, high]) {
  const counts = new Uint32Array(BINS);
  for (const value of data) {
    if (!Number.isFinite(value)) continue;
    const bin = Math.floor(((value - low) / (high - low)) * BINS);
    if (bin >= 0 && bin < BINS) counts[bin] += 1;
    else if (value === high) counts[BINS - 1] += 1;
  }
  return counts;
}

// Along the bar t goes from 0 to 1; upright on a wide page, lying on a phone.
function drawBar(context, width, height, { plane, planeEntry, limits }) {
  const upright = height > width;
  const pad = upright ? 18 : 8;
  const length = (upright ? height : width) - 2 * pad;
  const rect = (from, to, depth, thick) =>
    upright
      ? context.fillRect(depth, pad + length * (1 - to), thick, length * (to - from) + 0.6)
      : context.fillRect(pad + length * from, 46 - depth - thick, length * (to - from) + 0.6, thick);
  for (let i = 0; i < 256; i++) {
    context.fillStyle = colourAt(planeEntry.palette, i / 255);
    rect(i / 256, (i + 1) / 256, 0, STRIP);
  }
  const counts = histogram(plane.data, limits);
  const most = Math.max(1, ...counts);
  const room = upright ? Math.min(46, width - STRIP - 62) : 28;
  const depth = upright ? STRIP + 60 : STRIP + 3;
  context.fillStyle = ink("muted");
  // the square root lets small classes be seen beside the empty ones
  counts.forEach((n, i) => n && rect(i / BINS, (i + 0.85) / BINS, depth, Math.max(1, Math.sqrt(n / most) * room)));
  drawTicks(context, { upright, pad, length, limits, unit: planeEntry.unit });
}

function drawTicks(context, { upright, pad, length, limits: [low, high], unit }) {
  const power = exponentOf((Math.abs(low) + Math.abs(high)) / 2);
  const { step, values } = ticks(low, high, upright ? 6 : 4);
  context.fillStyle = ink("text");
  context.font = font(12);
  for (const value of values) {
    const t = (value - low) / (high - low);
    const label = tickLabel(value, step, power);
    if (upright) {
      context.fillRect(STRIP, pad + length * (1 - t) - 0.5, 4, 1);
      context.fillText(label, STRIP + 8, pad + length * (1 - t) + 4);
    } else {
      context.textAlign = "center";
      context.fillRect(pad + length * t - 0.5, 46, 1, 3);
      context.fillText(label, Math.min(pad + length - 4, Math.max(pad + 4, pad + length * t)), 61);
    }
  }
  const suffix = [times(power), unitText(unit)].filter(Boolean).join(" ");
  context.fillStyle = ink("muted");
  context.textAlign = upright ? "left" : "right";
  context.fillText(suffix, upright ? 0 : pad + length, upright ? 10 : 76);
  context.textAlign = "left";
}

export const labelOf = (entry, value) => entry.labels?.[value] ?? `${entry.name.replace("_index", "")} ${value}`;

function showLegend({ plane, planeEntry: entry }) {
  const counts = new Map();
  for (const value of plane.data) if (value >= 0) counts.set(value, (counts.get(value) ?? 0) + 1);
  const all = [...counts.values()].reduce((sum, n) => sum + n, 0);
  const every = entry.name === "class_index" ? Object.keys(entry.labels).map(Number) : [...counts.keys()];
  const shown = every.filter((value) => value >= 0).sort((a, b) => a - b);
  byId("legend").replaceChildren(
    ...(shown.length > MOST_NAMES ? [] : shown).map((value) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = discreteColour(entry.palette, value);
      const name = document.createElement("span");
      name.textContent = labelOf(entry, value);
      const share = document.createElement("b");
      share.textContent = percent((counts.get(value) ?? 0) / all);
      item.append(swatch, name, share);
      return item;
    }),
  );
}

function showRange(state) {
  const whole = isDiscrete(state.planeEntry.palette);
  byId("legend").hidden = !whole;
  byId("range").hidden = byId("colourbar").hidden = whole;
  byId("auto").setAttribute("aria-pressed", !state.manual[idOf(state.planeEntry)]);
  if (byId("range").contains(document.activeElement) && document.activeElement !== byId("auto")) return;
  const plain = (x) => (exponentOf(x) ? x.toExponential(2) : String(Number(x.toPrecision(4))));
  byId("low").value = plain(state.limits[0]);
  byId("high").value = plain(state.limits[1]);
}

function takeRange(store) {
  const limits = ["low", "high"].map((id) => Number(byId(id).value.replace("−", "-").replace(",", ".")));
  const good = limits.every(Number.isFinite) && limits[1] > limits[0];
  for (const id of ["low", "high"]) byId(id).setAttribute("aria-invalid", !good);
  if (good) store.set({ manual: { ...store.state.manual, [idOf(store.state.planeEntry)]: limits } });
}

export function startColourBar(store) {
  const redraw = crisp(byId("colourbar"), (context, width, height) => {
    if (store.state.plane && !isDiscrete(store.state.planeEntry.palette)) drawBar(context, width, height, store.state);
  });
  store.on(["plane", "limits", "theme"], (state) => {
    if (!state.plane) return;
    showRange(state);
    if (isDiscrete(state.planeEntry.palette)) showLegend(state);
    redraw();
  });
  byId("range").addEventListener("change", () => takeRange(store));
  byId("range").addEventListener("submit", (event) => {
    event.preventDefault();
    takeRange(store);
  });
  byId("auto").addEventListener("click", () => {
    if (!store.state.planeEntry) return;
    const { [idOf(store.state.planeEntry)]: _, ...manual } = store.state.manual;
    store.set({ manual });
  });
}

