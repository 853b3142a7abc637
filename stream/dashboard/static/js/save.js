// The chosen map as a file: PNG as it is seen, CSV, TIFF and npy with its numbers.

import { getBlob, mapPath } from "./api.js";
import { idOf } from "./maplist.js";

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export function startSave(store) {
  const menu = document.getElementById("save");
  const note = document.getElementById("save-note");
  menu.addEventListener("click", async ({ target: { dataset: { format } } }) => {
    const { planeEntry: entry, limits, slice, status } = store.state;
    if (!format || !entry) return;
    const ends = format === "png" ? `&low=${limits[0]}&high=${limits[1]}` : "";
    try {
      const blob = await getBlob(`${mapPath(status.scan, slice, entry)}&format=${format}${ends}`);
      download(blob, `${status.scan}_${idOf(entry).replace(":", "_")}_slice${slice}.${format}`);
      menu.open = false;
      note.textContent = "";
    } catch (error) {
      note.textContent = error.message;
    }
  });
}
