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

// Vertical bars of ±error about the points of a series; errors: one array for each series, null for none.
function errorBars(errors) {
  return (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.setLineDash([]);
    ctx.lineWidth = devicePixelRatio;
    for (const [i, own] of errors().entries()) {
      if (!own) continue;
      ctx.strokeStyle = plot.series[i + 1].stroke();
      ctx.beginPath();
      plot.data[i + 1].forEach((y, k) => {
        if (y === null || !Number.isFinite(own[k])) return;
        const x = plot.valToPos(plot.data[0][k], "x", true);
        const [from, to] = [y - own[k], y + own[k]].map((end) => plot.valToPos(end, "y", true));
        ctx.moveTo(x, from);
        ctx.lineTo(x, to);
      });
      ctx.stroke();
    }
    ctx.restore();
  };
}

// Ticks where lines lie, a row for each phase, upon the axis: [{at, colour}].
const TICK = 7;
function drawMarks(marks) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const height = TICK * devicePixelRatio;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    marks().forEach(({ at, colour }, row) => {
      const top = bbox.top + bbox.height - (row + 1) * (height + devicePixelRatio);
      ctx.strokeStyle = colour;
      ctx.beginPath();
      for (const x of at) {
        if (x < plot.scales.x.min || x > plot.scales.x.max) continue;
        const left = Math.round(plot.valToPos(x, "x", true)) + 0.5;
        ctx.moveTo(left, top);
        ctx.lineTo(left, top + height);
      }
      ctx.stroke();
    });
    ctx.restore();
  };
}

// A drag means a window, not a zoom, while it is listened to.
function takeSelection(onSelect) {
  return (plot) => {
    const { left, width } = plot.select;
    if (plot.cursor.drag.setScale || width === 0) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    onSelect([left, left + width].map((x) => plot.posToVal(x, "x")));
  };
}

function series({ ink: name, colour, width = 1.25, dash, fill, mark }) {
  const stroke = () => colour ?? ink(name);
  if (!mark) return { stroke, width, dash, fill: fill ? () => fill : undefined, points: { show: false } };
  return { stroke, paths: () => null, points: { show: true, size: mark, width: 1.5, stroke, fill: fill ?? stroke } };
}

const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

// What the error bars reach beyond the points.
const reach = (errors) => Math.max(0, ...(errors?.() ?? []).flat().filter(Number.isFinite));

// lines: [{ink or colour, width, dash, fill, mark}], one for each row of data after x; with a mark (its size) points alone
export function makePlot(place, options) {
  const { height, xLabel = "", yLabel = "", whole = false, lines, log = false, cursor = true } = options;
  const { regions = () => [], marks = () => [], errors, onCursor, onZoom, onSelect } = options;
  const plot = new uPlot({
    width: Math.max(80, place.clientWidth),
    height,
    legend: { show: false },
    padding: [6, 10, 0, 0],
    cursor: cursor ? { y: false, points: { size: 6 }, drag: { x: true, y: false } } : { show: false },
    scales: { x: { time: false, range: lines.some(({ mark }) => mark) ? (_, low, high) => padded(low, high) : undefined }, y: { distr: log ? 3 : 1, range: log ? undefined : (_, low, high) => above(padded(low - reach(errors), high + reach(errors)), marks().length) } },
    axes: [{ ...axis(xLabel, 24), ...(whole ? { incrs: COUNTS } : {}) }, { ...axis(yLabel, 46), values: (_, found) => found.map(short) }],
    series: [{}, ...lines.map(series)],
    hooks: {
      drawClear: [shade(regions)],
      draw: [drawMarks(marks), ...(errors ? [errorBars(errors)] : [])],
      setSelect: onSelect ? [takeSelection(onSelect)] : [],
      setCursor: onCursor ? [(plot) => onCursor(plot.cursor.idx, plot.data)] : [],
      setScale: onZoom ? [(plot, name) => name === "x" && onZoom(plot.scales.x)] : [],
    },
  }, [[], ...lines.map(() => [])], place);
  new ResizeObserver(() => plot.setSize({ width: Math.max(80, place.clientWidth), height })).observe(place);
  return plot;
}

const padded = (low, high) => {
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
};

// Room for rows of ticks below what is drawn.
const above = ([low, high], rows) => [low - 0.06 * rows * (high - low), high];

function short(value) {
  if (value === null) return "";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(0).replace("e+", "e").replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

// A logarithmic axis has no place for what is not positive.
export const positive = (values) => values.map((value) => (value > 0 ? value : null));
