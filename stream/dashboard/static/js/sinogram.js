// One sinogram: rows are angles in the order of the config, columns positions; what is not measured stays free.

import { getArray, getJson, scanPath } from "./api.js";
import { crisp } from "./canvas.js";
import { autoscale, paint } from "./colours.js";
import { latest } from "./store.js";

export function startSinogram(store) {
  const canvas = document.getElementById("sinogram");
  const select = document.getElementById("sinogram-name");
  let picture = null;
  const redraw = crisp(canvas, (context, width, height) => {
    if (picture) context.drawImage(picture, 0, 0, width, height);
  });

  function offer(names) {
    if (names.join() === [...select.options].map((option) => option.value).join()) return;
    const chosen = select.value;
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    if (names.includes(chosen)) select.value = chosen;
  }

  const refresh = latest(async () => {
    const { status, revision, slice } = store.state;
    if (!revision) return;
    offer((await getJson(scanPath(status.scan, "sinograms"))).sinograms);
    if (!select.value) return;
    const found = await getArray(scanPath(status.scan, `sinograms/${encodeURIComponent(select.value)}?slice=${slice}`));
    picture = paint(found, "viridis", autoscale(found.data));
    canvas.setAttribute("aria-label", `Sinogram ${select.value}, ${found.shape.join(" angles by ")} positions`);
    document.getElementById("sinogram-note").textContent = "";
    redraw();
  });
  store.on(["revision", "slice"], refresh);
  select.addEventListener("change", refresh);
}
