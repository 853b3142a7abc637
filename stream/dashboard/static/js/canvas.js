// Canvases that are sharp on every screen and know the theme's inks.

const probe = document.createElement("span");
probe.hidden = true;
const inks = new Map(); // of both themes: to ask the page takes as long as to draw a map

// A custom property as a colour that a canvas understands.
export function ink(name) {
  const key = `${document.documentElement.dataset.theme} ${name}`;
  if (!inks.has(key)) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${name})`;
    inks.set(key, getComputedStyle(probe).color);
  }
  return inks.get(key);
}

// Draw in the next frame of the screen, once however often it is asked for, and whenever the size changes;
// draw gets (context, width, height) in CSS pixels.
export function crisp(canvas, draw) {
  let due = false;
  function redraw() {
    due = false;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = false;
    draw(context, width, height);
  }
  const ask = () => {
    if (!due) requestAnimationFrame(redraw);
    due = true;
  };
  new ResizeObserver(ask).observe(canvas);
  return ask;
}

export const font = (size = 12) => `${size}px system-ui, sans-serif`;
