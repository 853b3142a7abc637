// The HTTP interface: JSON, arrays, commands. The key comes with the link's #key= and stays in this tab.

import { parseNpy } from "./npy.js";

const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  sessionStorage.setItem("key", given);
  history.replaceState(null, "", location.pathname + location.search);
}
export const key = sessionStorage.getItem("key");

export class HttpError extends Error {
  name = "HttpError";
}

async function request(path, options = {}) {
  const headers = key ? { Authorization: `Bearer ${key}`, ...options.headers } : options.headers;
  const answer = await fetch(`/api/v1/${path}`, { ...options, headers });
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new HttpError(body.detail ?? `the server answered ${answer.status}`);
}

export async function getJson(path) {
  return (await request(path)).json();
}

export async function getBlob(path) {
  return (await request(path)).blob();
}

export async function getArray(path) {
  const answer = await request(`${path}${path.includes("?") ? "&" : "?"}format=npy`);
  return { ...parseNpy(await answer.arrayBuffer()), meta: JSON.parse(answer.headers.get("X-Braggstream")) };
}

export async function post(path, body) {
  const options = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await request(path, { method: "POST", ...options })).json();
}

export const scanPath = (scan, rest) => `scans/${encodeURIComponent(scan)}/${rest}`;

export function mapPath(scan, slice, entry) {
  const label = entry.plane === null ? "" : `&class=${encodeURIComponent(entry.plane)}`;
  return scanPath(scan, `maps/${encodeURIComponent(entry.name)}?slice=${slice}${label}`);
}

// One copy of each array, as long as its revision is the newest.
const kept = new Map();

export function getMap(state, entry) {
  const path = mapPath(state.status.scan, state.slice, entry);
  const found = kept.get(path);
  if (found?.revision === state.revision) return found.promise;
  const promise = getArray(path);
  kept.set(path, { revision: state.revision, promise });
  promise.catch(() => kept.delete(path));
  return promise;
}
