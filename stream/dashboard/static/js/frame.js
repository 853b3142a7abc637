// The latest detector frame, reduced, on a logarithmic scale.

import { getArray, scanPath } from "./api.js";
import { crisp } from "./canvas.js";
import { autoscale, paint } from "./colours.js";
import { count } from "./format.js";
import { latest } from "./store.js";

export function startFrame(store) {
  const byId = (id) => document.getElementById(id);
  const canvas = byId("frame");
  let picture = null;
  let told = null;
  const redraw = crisp(canvas, (context, width, height) => {
    if (!picture) return;
    const scale = Math.min(width / picture.width, height / picture.height);
    const [w, h] = [picture.width * scale, picture.height * scale];
    context.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
  });

  const refresh = latest(async () => {
    const { status } = store.state;
    if (status?.frame_time === null || status?.frame_time === undefined || status.frame_time === told) return;
    const { data, shape, meta } = await getArray(scanPath(status.scan, "frame"));
    told = status.frame_time;
    // one is added so that a pixel without a photon keeps a place
    const brightness = data.map((value) => Math.log10(1 + Math.max(0, value)));
    picture = paint({ data: brightness, shape }, "magma", [0, autoscale(brightness)[1]]);
    byId("frame-number").textContent = `frame ${count(meta.frame)}`;
    byId("frame-note").textContent =
      `Brightest pixel ${count(meta.maximum)}, saturated ${count(meta.saturated)}, masked ${count(meta.masked)}; ` +
      `shown 1:${meta.factor}, logarithmic`;
    canvas.setAttribute("aria-label", `Detector frame ${meta.frame}`);
    redraw();
  });
  store.on(["status"], refresh);
}
