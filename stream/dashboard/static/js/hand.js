// Zoom and pan by wheel, drag and two fingers, for any square canvas; a drag may be taken for something else.

import { magnified, moved } from "./place.js";

const STEP = 1.2; // of one notch of a wheel
const PAUSE = 400; // ms after which a wheel over a canvas does not go on with scrolling the page

let scrolled = -Infinity;
addEventListener("scroll", () => (scrolled = performance.now()), { passive: true });

const middle = (points) => ({ x: (points[0].x + points[1].x) / 2, y: (points[0].y + points[1].y) / 2 });
const apart = (points) => Math.hypot(points[0].x - points[1].x, points[0].y - points[1].y);

// view: () => the view; change(view); drag(event, "start" | "move" | "end" | "cancel") => true where it takes the drag for itself
export function startHand(canvas, { view, change, drag = () => false }) {
  const fingers = new Map();
  let taken = false;

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };

  canvas.addEventListener("wheel", (event) => {
    const scrolling = event.deltaY > 0 || performance.now() - scrolled < PAUSE;
    if (view().zoom === 1 && scrolling) return; // there is nothing to zoom out of
    event.preventDefault();
    change(magnified(view(), event.deltaY < 0 ? STEP : 1 / STEP, place(event)));
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    fingers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
    if (fingers.size === 1) taken = drag(event, "start");
    else if (taken) taken = drag(event, "cancel");
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const old = [...fingers.values()];
    const now = place(event);
    fingers.set(event.pointerId, now);
    if (taken) drag(event, "move");
    else if (fingers.size === 1) change(moved(view(), now.x - before.x, now.y - before.y));
    else if (fingers.size === 2) {
      const pair = [...fingers.values()];
      const [from, to] = [middle(old), middle(pair)];
      change(moved(magnified(view(), apart(pair) / apart(old), from), to.x - from.x, to.y - from.y));
    }
  });

  const lifted = (name) => (event) => {
    if (!fingers.delete(event.pointerId) || !taken) return;
    drag(event, name);
    taken = false;
  };
  canvas.addEventListener("pointerup", lifted("end"));
  canvas.addEventListener("pointercancel", lifted("cancel"));
}
