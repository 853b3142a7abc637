// Colour maps from the table that the server's pictures use too; planes to pixels.

const CELLS = 1024;
const table = await (await fetch("/static/colours.json")).json();
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function interpolate(anchors) {
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (anchors.length - 1);
    const left = Math.min(Math.floor(at), anchors.length - 2);
    return anchors[left].map((from, c) => Math.round(from + (at - left) * (anchors[left + 1][c] - from)));
  });
}

const each = (palettes, change) => Object.fromEntries(Object.entries(palettes).map(([name, own]) => [name, change(own)]));
const sequential = each(table.sequential, (anchors) => interpolate(anchors.map(rgb)));
const discrete = { classes: [...Object.values(table.classes), ...table.others], reasons: table.reasons };
// A pixel as one number of 32 bits, its lowest byte first as in every machine that has a browser.
const packed = (colours) => Uint32Array.from(colours, ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r);
const pixelsOf = { ...each(sequential, packed), ...each(discrete, (colours) => packed(colours.map(rgb))) };

export const isDiscrete = (palette) => palette in discrete;
export const discreteColour = (palette, index) => discrete[palette][index % discrete[palette].length];
export const classColour = (label) => table.classes[label];

export function colourAt(palette, t) {
  const [r, g, b] = sequential[palette][Math.round(255 * Math.min(1, Math.max(0, t)))];
  return `rgb(${r} ${g} ${b})`;
}

// What is masked (NaN, class -1) stays transparent.
export function paint({ data, shape }, palette, [low, high]) {
  const [rows, columns] = shape;
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = pixelsOf[palette];
  const scale = 255 / (high - low);
  if (isDiscrete(palette)) for (let i = 0; i < data.length; i++) pixels[i] = data[i] < 0 ? 0 : colours[data[i] % colours.length];
  else {
    for (let i = 0; i < data.length; i++) {
      const level = (data[i] - low) * scale;
      if (Number.isFinite(level)) pixels[i] = colours[level < 0 ? 0 : level > 255 ? 255 : Math.round(level)];
    }
  }
  const canvas = new OffscreenCanvas(columns, rows);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// channels: [{plane, limits, channel}]; where every one of them is masked it stays transparent.
export function paintRgb(channels) {
  const [rows, columns] = channels[0].plane.shape;
  const image = new ImageData(columns, rows);
  for (const { plane: { data }, limits: [low, high], channel } of channels) {
    for (let i = 0; i < data.length; i++) {
      if (!Number.isFinite(data[i])) continue;
      image.data[4 * i + channel] = (255 * (data[i] - low)) / (high - low); // the array keeps to 0 and 255
      image.data[4 * i + 3] = 255;
    }
  }
  const canvas = new OffscreenCanvas(columns, rows);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Gives the k-th smallest value, exactly: values are counted in cells of equal width, and only its cell is sorted.
function ranked(values) {
  let [least, most] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < least) least = values[i];
    if (values[i] > most) most = values[i];
  }
  const scale = (CELLS - 1) / (most - least || 1);
  const cellOf = (value) => Math.floor((value - least) * scale);
  const counts = new Uint32Array(CELLS);
  for (let i = 0; i < values.length; i++) counts[cellOf(values[i])]++;
  return (k) => {
    let [cell, below] = [0, 0];
    while (below + counts[cell] <= k) below += counts[cell++];
    return values.filter((value) => cellOf(value) === cell).sort()[k - below];
  };
}

// 1st and 99th percentile of what is finite, or another upper one.
export function autoscale(data, upper = 0.99) {
  const finite = data.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  const value = ranked(finite);
  const [low, high] = [0.01, upper].map((q) => value(Math.round(q * (finite.length - 1))));
  return high > low ? [low, high] : [low, low + (Math.abs(low) || 1)];
}
