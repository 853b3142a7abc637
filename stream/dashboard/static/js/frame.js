// The latest detector frame, reduced, on a logarithmic scale: masked pixels in a colour of their own, rings where
// lines are to be expected, 2θ, q and d under the cursor.

import { getArray, scanPath } from "./api.js";
import { crisp, ink } from "./canvas.js";
import { autoscale, paint } from "./colours.js";
import { contours } from "./contour.js";
import { count } from "./format.js";
import { startHand } from "./hand.js";
import { enter, toWhole, WHOLE } from "./place.js";
import { latest } from "./store.js";

const byId = (id) => document.getElementById(id);

// Where a frame lies on a square canvas: pixels of the canvas for one of the frame, and the corner.
function fitted({ shape: [rows, columns] }, size) {
  const scale = size / Math.max(rows, columns);
  return { scale, left: (size - columns * scale) / 2, top: (size - rows * scale) / 2 };
}

function describe({ frame, angles }, row, column) {
  const at = row * frame.shape[1] + column;
  const value = frame.data[at];
  const counts = Number.isFinite(value) ? `${count(value)} counts` : "masked";
  if (!angles) return counts;
  const theta = (angles.data[at] * Math.PI) / 360;
  const d = angles.meta.wavelength / (2 * Math.sin(theta));
  return `${counts}   2θ ${angles.data[at].toFixed(3)}°   q ${((2 * Math.PI) / d).toFixed(3)} Å⁻¹   d ${d.toFixed(3)} Å`;
}

export function startFrame(store) {
  const canvas = byId("frame");
  const select = byId("rings");
  let told = null;
  let view = WHOLE;
  let shown = null; // {frame, angles, picture}
  let rings = null;

  const redraw = crisp(canvas, (context, size) => {
    if (!shown) return;
    const { scale, left, top } = fitted(shown.frame, size);
    enter(context, size, view);
    context.translate(left, top);
    context.scale(scale, scale);
    context.fillStyle = ink("mask");
    context.fillRect(0, 0, shown.picture.width, shown.picture.height);
    context.drawImage(shown.picture, 0, 0);
    if (!rings) return;
    context.strokeStyle = ink("ring");
    context.lineWidth = 1.2 / (scale * view.zoom);
    context.stroke(rings);
  });

  function showRings() {
    const lines = store.state.reflections?.[select.value]?.lines;
    rings = lines && shown?.angles ? contours(shown.angles, lines.map(({ two_theta: angle }) => angle)) : null;
    redraw();
  }

  const refresh = latest(async () => {
    const { status } = store.state;
    if (status?.frame_time === null || status?.frame_time === undefined || status.frame_time === told) return;
    const frame = await getArray(scanPath(status.scan, "frame"));
    const same = shown?.angles?.meta.factor === frame.meta.factor;
    const angles = same ? shown.angles : await getArray(scanPath(status.scan, "frame/two_theta")).catch(() => null);
    told = status.frame_time;
    // one is added so that a pixel without a photon keeps a place
    const brightness = frame.data.map((value) => Math.log10(1 + Math.max(0, value)));
    const picture = paint({ data: brightness, shape: frame.shape }, "magma", [0, autoscale(brightness)[1]]);
    shown = { frame, picture, angles: angles && angles.shape.join() === frame.shape.join() ? angles : null };
    const { meta } = frame;
    byId("frame-number").textContent = `frame ${count(meta.frame)}`;
    byId("frame-note").textContent =
      `Brightest pixel ${count(meta.maximum)}, saturated ${count(meta.saturated)}, masked ${count(meta.masked)}; ` +
      `shown 1:${meta.factor}, logarithmic`;
    canvas.setAttribute("aria-label", `Detector frame ${meta.frame}`);
    showRings();
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!shown) return;
    const size = canvas.clientWidth;
    const { scale, left, top } = fitted(shown.frame, size);
    const at = toWhole(view, size, event.offsetX, event.offsetY);
    const [row, column] = [Math.floor((at.y - top) / scale), Math.floor((at.x - left) / scale)];
    const inside = row >= 0 && column >= 0 && row < shown.frame.shape[0] && column < shown.frame.shape[1];
    byId("frame-readout").textContent = inside ? describe(shown, row, column) : "";
  });
  const change = (now) => {
    view = now;
    redraw();
  };
  startHand(canvas, { view: () => view, change });
  canvas.addEventListener("dblclick", () => change(WHOLE));
  select.addEventListener("change", showRings);
  store.on(["status"], refresh);
  store.on(["theme"], redraw);
  store.on(["reflections"], ({ reflections }) => {
    const names = Object.keys(reflections);
    if (select.options.length === names.length + 1) return showRings();
    select.replaceChildren(new Option("no rings", ""), ...names.map((name) => new Option(name, name)));
  });
}
