// The head of the page: what runs, how far it is, how fresh what is shown is.

import { clock, count, DASH, duration, percent } from "./format.js";

const byId = (id) => document.getElementById(id);
const FINAL = ["complete", "incomplete", "aborted", "failed"];
const PATIENCE = 10; // seconds without a new revision, while frames arrive, that are nothing to mention

function age(state) {
  const status = state.status;
  if (status?.update_age === null || status?.update_age === undefined) return null;
  return status.update_age + (performance.now() - state.heard) / 1000;
}

// Since when what is shown is not the present any more; null when it is.
function staleSince(state, seconds) {
  if (state.link === "lost") return new Date(Date.now() - (performance.now() - state.heard));
  const patience = Math.max(PATIENCE, 5 * (state.status?.config?.reconstruction?.update_every ?? 1));
  if (state.status?.status !== "acquiring" || seconds === null || seconds < patience) return null;
  return new Date(Date.now() - 1000 * seconds);
}

function showAge(state) {
  const seconds = age(state);
  const since = staleSince(state, seconds);
  const cell = byId("age");
  cell.parentElement.classList.toggle("stale", since !== null);
  cell.title = state.problem ?? "";
  if (since) cell.textContent = `stale since ${clock(since)}`;
  else if (seconds === null) cell.textContent = DASH;
  else if (FINAL.includes(state.status.status)) cell.textContent = "final";
  else cell.textContent = seconds < 1.5 ? "just now" : `${duration(seconds)} ago`;
}

function showStatus(state) {
  const status = state.status;
  if (!status) return;
  const { integrated, expected } = status.frames;
  byId("scan").textContent = status.scan;
  byId("sample").textContent = status.sample;
  document.title = `${percent(integrated / expected)} ${status.scan}`;
  const pill = byId("status");
  // a failed run ends its server too, which is no news beside it
  const lost = state.link === "lost" && status.status !== "failed";
  pill.textContent = lost ? "disconnected" : status.status;
  pill.dataset.status = lost ? "lost" : status.status;
  pill.title = state.link === "polling" ? "The push channel is away: asking every second" : (state.problem ?? "");
  byId("bar").value = integrated / expected;
  byId("bar").dataset.status = status.status;
  byId("frames").textContent = `${count(integrated)} of ${count(expected)} frames`;
  byId("share").textContent = percent(integrated / expected);
  const final = FINAL.includes(status.status);
  byId("rate").textContent = final || status.rate === null ? DASH : `${status.rate.toFixed(status.rate < 10 ? 1 : 0)} Hz`;
  byId("latency").textContent = final || status.latency === null ? DASH : `${(1000 * status.latency).toFixed(0)} ms`;
  byId("eta").textContent = final ? DASH : duration(status.eta);
  byId("revision").textContent = count(status.revision);
}

function showFoot({ status }) {
  if (!status?.config) return;
  byId("software").textContent = `braggstream ${status.software.braggstream}`;
  const { tiled, port } = status.config.publish;
  const link = byId("tiled");
  link.hidden = false;
  link.href = tiled === "embedded" ? `http://${location.hostname}:${port ?? status.config.dashboard.port + 1}` : tiled;
}

export function startHeader(store) {
  store.on(["status", "link"], (state) => {
    showStatus(state);
    showAge(state);
    showFoot(state);
  });
  setInterval(() => showAge(store.state), 500);
}
