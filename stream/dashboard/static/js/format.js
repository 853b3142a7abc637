// Numbers as a person reads them.

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
export const DASH = "–";

export const superscript = (n) => [...String(n)].map((c) => SUPERSCRIPT[c]).join("");
const minus = (text) => text.replace("-", "−");
export const count = (n) => (n === null || n === undefined ? DASH : n.toLocaleString("en").replaceAll(",", " "));
export const percent = (x) => (Number.isFinite(x) ? `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %` : DASH);
export const signed = (x, digits = 1) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(digits);
export const words = (name) => name.replaceAll("_", " ");

// Units as metadata spell them, as print spells them.
const PRINTED = { 1: "", arbitrary: "", um: "µm", degree: "°", Angstrom: "Å", Angstrom3: "Å³" };
// The radial axis: its name and its unit.
export const RADIAL = { "2th_deg": ["2θ", "°"], "q_A^-1": ["q", "Å⁻¹"], "q_nm^-1": ["q", "nm⁻¹"] };
export function unitText(unit) {
  if (unit in PRINTED) return PRINTED[unit];
  const [, axis] = /^intensity (\S+)\/um$/.exec(unit) ?? [];
  return axis in RADIAL ? `counts·${RADIAL[axis][1]}/µm` : unit;
}

// The power of ten that a set of values is best told in, 0 for ordinary ones.
export function exponentOf(largest) {
  if (!Number.isFinite(largest) || largest === 0) return 0;
  const power = Math.floor(Math.log10(Math.abs(largest)));
  return power < -2 || power > 4 ? power : 0;
}

export const times = (power) => (power ? `×10${superscript(power)}` : "");

export function number(x, digits = 4) {
  if (x === null || !Number.isFinite(x)) return DASH;
  if (x === 0) return "0";
  const power = exponentOf(x);
  const scaled = x / 10 ** power;
  const before = Math.floor(Math.log10(Math.abs(scaled))) + 1;
  return minus(scaled.toFixed(Math.max(0, digits - before))) + (power ? `\u2009${times(power)}` : "");
}

// Value and standard error to the error's second digit: 7.92 ± 0.30 ×10⁻⁴
export function withError(x, error, unit = "") {
  const tail = unitText(unit) ? `\u2009${unitText(unit)}` : "";
  if (x === null || !Number.isFinite(x)) return DASH;
  if (!error || !Number.isFinite(error)) return number(x, unit.startsWith("Angstrom") ? 6 : 4) + tail;
  const power = exponentOf(x);
  const scale = 10 ** power;
  const digits = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(error / scale))));
  const both = `${minus((x / scale).toFixed(digits))} ± ${(error / scale).toFixed(digits)}`;
  return (power ? `(${both})\u2009${times(power)}` : both) + tail;
}

export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return DASH;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export const clock = (date) => date.toLocaleTimeString("en-GB");

// At most `most` round ticks between low and high.
export function ticks(low, high, most = 5) {
  const rough = (high - low) / most;
  const base = 10 ** Math.floor(Math.log10(rough));
  const step = base * [1, 2, 5, 10].find((m) => m * base >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return { step, values: found };
}

export function tickLabel(value, step, power) {
  const digits = Math.max(0, -Math.floor(Math.log10(step / 10 ** power) + 1e-9));
  const text = (value / 10 ** power).toFixed(Math.min(8, digits));
  return minus(Number(text) === 0 ? text.replace("-", "") : text);
}
