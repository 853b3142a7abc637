// Follows the run: pushed by WebSocket, and polled, faster while the socket is away.

import { getJson, key } from "./api.js";

const SLOW = 2000;
const FAST = 1000;
const LONGEST_WAIT = 5000;

// base64url, the only way a browser can carry a key in a WebSocket's handshake
const subprotocols = () =>
  key ? [`bearer.${btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`] : [];

export function follow(store) {
  let open = false;
  let wait = 500;

  const take = (status) =>
    store.set({ status: { ...store.state.status, ...status }, revision: status.revision, heard: performance.now() });

  function connect() {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/v1/live`, subprotocols());
    socket.onopen = () => {
      open = true;
      wait = 500;
      poll();
    };
    socket.onmessage = (event) => {
      take(JSON.parse(event.data));
      store.set({ link: "live" });
    };
    socket.onclose = () => {
      open = false;
      setTimeout(connect, wait);
      wait = Math.min(2 * wait, LONGEST_WAIT);
    };
  }

  let timer;
  async function poll() {
    clearTimeout(timer);
    try {
      take(await getJson("status"));
      store.set({ link: open ? "live" : "polling", problem: null });
    } catch (error) {
      store.set({ link: "lost", problem: error.name === "HttpError" ? error.message : "the server does not answer" });
    }
    clearTimeout(timer);
    timer = setTimeout(poll, open ? SLOW : FAST);
  }

  connect();
  poll();
}
