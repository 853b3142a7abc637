// Colour maps from the table that the server's pictures use too; planes to pixels.

const table = await (await fetch("/static/colours.json")).json();
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function interpolate(anchors) {
  const colours = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (anchors.length - 1);
    const left = Math.min(Math.floor(at), anchors.length - 2);
    for (let c = 0; c < 3; c++) {
      colours[3 * i + c] = anchors[left][c] + (at - left) * (anchors[left + 1][c] - anchors[left][c]);
    }
  }
  return colours;
}

const sequential = Object.fromEntries(
  Object.entries(table.sequential).map(([name, anchors]) => [name, interpolate(anchors.map(rgb))]),
);
const discrete = { classes: [...Object.values(table.classes), ...table.others], reasons: table.reasons };
const discreteRgb = Object.fromEntries(Object.entries(discrete).map(([name, colours]) => [name, colours.map(rgb)]));

export const isDiscrete = (palette) => palette in discrete;
export const discreteColour = (palette, index) => discrete[palette][index % discrete[palette].length];
export const classColour = (label) => table.classes[label];

export function colourAt(palette, t) {
  const i = 3 * Math.round(255 * Math.min(1, Math.max(0, t)));
  const [r, g, b] = sequential[palette].subarray(i, i + 3);
  return `rgb(${r} ${g} ${b})`;
}

// What is masked (NaN, class -1) stays transparent.
export function paint({ data, shape }, palette, [low, high]) {
  const [rows, columns] = shape;
  const image = new ImageData(columns, rows);
  const pixels = image.data;
  const scale = 255 / (high - low);
  const whole = discreteRgb[palette];
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    if (!Number.isFinite(value) || (whole && value < 0)) continue;
    const [source, at] = whole
      ? [whole[value % whole.length], 0]
      : [sequential[palette], 3 * Math.max(0, Math.min(255, Math.round((value - low) * scale)))];
    pixels[4 * i] = source[at];
    pixels[4 * i + 1] = source[at + 1];
    pixels[4 * i + 2] = source[at + 2];
    pixels[4 * i + 3] = 255;
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

// 1st and 99th percentile of what is finite, or another upper one.
export function autoscale(data, upper = 0.99) {
  const finite = Float64Array.from(data.filter(Number.isFinite)).sort();
  if (!finite.length) return [0, 1];
  const at = (q) => finite[Math.round(q * (finite.length - 1))];
  const [low, high] = [at(0.01), at(upper)];
  return high > low ? [low, high] : [low, low + (Math.abs(low) || 1)];
}
