// Line plots in the theme's inks, over uPlot (https://github.com/leeoniya/uPlot).

import { font, ink } from "./canvas.js";

const { uPlot } = window;

const axis = (label, size) => ({
  label,
  labelSize: label ? 18 : 0,
  labelFont: font(12),
  font: font(11),
  size,
  gap: 4,
  stroke: () => ink("muted"),
  grid: { stroke: () => ink("grid"), width: 1 },
  ticks: { stroke: () => ink("grid"), width: 1, size: 4 },
});

function shade(regions) {
  return (plot) => {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(left, top, width, height);
    plot.ctx.clip();
    plot.ctx.fillStyle = ink("shade");
    for (const { range } of regions()) {
      const [from, to] = range.map((x) => plot.valToPos(x, "x", true));
      plot.ctx.fillRect(from, top, to - from, height);
    }
    plot.ctx.restore();
  };
}

const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

// lines: [{ink, width}], one for each row of data after x
export function makePlot(place, { height, xLabel = "", whole = false, lines, log = false, regions = () => [], onCursor, onZoom }) {
  const options = {
    width: Math.max(80, place.clientWidth),
    height,
    legend: { show: false },
    padding: [6, 10, 0, 0],
    cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
    scales: { x: { time: false }, y: { distr: log ? 3 : 1, range: log ? undefined : (_, low, high) => padded(low, high) } },
    axes: [{ ...axis(xLabel, 24), ...(whole ? { incrs: COUNTS } : {}) }, { ...axis("", 46), values: (_, found) => found.map(short) }],
    series: [{}, ...lines.map((line) => ({ stroke: () => ink(line.ink), width: line.width ?? 1.25, points: { show: false } }))],
    hooks: {
      drawClear: [shade(regions)],
      setCursor: onCursor ? [(plot) => onCursor(plot.cursor.idx, plot.data)] : [],
      setScale: onZoom ? [(plot, name) => name === "x" && onZoom(plot.scales.x)] : [],
    },
  };
  const plot = new uPlot(options, [[], ...lines.map(() => [])], place);
  new ResizeObserver(() => plot.setSize({ width: Math.max(80, place.clientWidth), height })).observe(place);
  return plot;
}

const padded = (low, high) => {
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
};

function short(value) {
  if (value === null) return "";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(0).replace("e+", "e").replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

// A logarithmic axis has no place for what is not positive.
export const positive = (values) => values.map((value) => (value > 0 ? value : null));
