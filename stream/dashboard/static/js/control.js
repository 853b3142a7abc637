// Finish, recompute, abort: only with the key, and never by a slip.

import { key, post, scanPath } from "./api.js";

const byId = (id) => document.getElementById(id);
const QUESTIONS = {
  finish: ["End the scan now? The final result is computed from the frames that are in.", "Finish now"],
  recompute: ["Reconstruct again from nothing? The maps go back to the first iteration.", "Recompute"],
  abort: ["Abort the run? No final result is computed, and the run cannot go on.", "Abort"],
};

function ask(command) {
  const dialog = byId("confirm");
  [byId("confirm-text").textContent, byId("confirm-yes").textContent] = QUESTIONS[command];
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}

export function startControl(store) {
  const menu = byId("control");
  const note = byId("control-note");
  if (!key) note.textContent = "To control the run, open the link printed at its start: it carries the key.";
  for (const button of menu.querySelectorAll("button")) {
    button.disabled = !key;
    button.addEventListener("click", async () => {
      const command = button.dataset.command;
      if (!(await ask(command))) return;
      try {
        const done = await post(scanPath(store.state.status.scan, command));
        note.textContent = `Sent as command ${done.command}.`;
      } catch (error) {
        note.textContent = error.message;
      }
    });
  }
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target) && !byId("confirm").open) menu.open = false;
  });
}
