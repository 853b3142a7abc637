// What happened to every frame, and what ingest noted.

import { clock, count, percent, words } from "./format.js";

const GAPS = 12; // that are listed
const byId = (id) => document.getElementById(id);
const sum = (reasons) => Object.values(reasons).reduce((total, n) => total + n, 0);

function row(name, n, share, className = "") {
  const found = document.createElement("tr");
  found.className = className;
  for (const text of [name, count(n), share]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    found.append(cell);
  }
  return found;
}

function showCounts(table, frames) {
  const of = (n) => (n && frames.expected ? percent(n / frames.expected) : "");
  const reasons = (found) => Object.entries(found).map(([reason, n]) => row(words(reason.replaceAll("-", " ")), n, "", "reason"));
  const alarm = (n) => (n ? "alarm" : "");
  const body = document.createElement("tbody");
  body.append(
    row("Expected", frames.expected, ""),
    row("Received", frames.received, ""),
    row("Integrated", frames.integrated, of(frames.integrated), "strong"),
    row("In flight", frames.in_flight, ""),
    row("Duplicate", frames.duplicate, ""),
    row("Rejected", sum(frames.rejected), "", alarm(sum(frames.rejected))),
    ...reasons(frames.rejected),
    row("Dropped", sum(frames.dropped), "", alarm(sum(frames.dropped))),
    ...reasons(frames.dropped),
    row("Missing", frames.missing, of(frames.missing)),
  );
  byId(table).replaceChildren(body);
}

// While the scan runs, the last gap is simply what is still to come.
function showGaps({ frames, status, disconnected }) {
  const running = status === "waiting" || status === "acquiring";
  const ranges = running ? frames.missing_ranges.filter(([, last]) => last !== frames.expected - 1) : frames.missing_ranges;
  const parts = ranges.slice(0, GAPS).flatMap(([first, last], n) => {
    const gap = document.createElement("span"); // in one line
    gap.textContent = first === last ? count(first) : `${count(first)}–${count(last)}`;
    return [n ? ", " : "Missing ", gap];
  });
  if (ranges.length > GAPS) parts.push(` and ${count(ranges.length - GAPS)} more`);
  byId("gaps").replaceChildren(...parts);
  byId("socket").textContent = disconnected ? "The grid is full: the socket is closed" : "";
}

function showNotes(notes) {
  byId("notes-title").hidden = byId("notes").hidden = !notes.length;
  byId("notes").replaceChildren(
    ...notes.map(([time, text]) => {
      const item = document.createElement("li");
      const when = document.createElement("time");
      when.dateTime = new Date(1000 * time).toISOString();
      when.textContent = clock(new Date(1000 * time));
      item.append(when, ` ${text}`);
      return item;
    }),
  );
}

export function startLedger(store) {
  store.on(["status"], ({ status }) => {
    showCounts("ledger", status.frames);
    byId("spectra-title").hidden = !status.fluorescence_frames;
    if (status.fluorescence_frames) showCounts("spectra-ledger", status.fluorescence_frames);
    showGaps(status);
    showNotes(status.notes);
  });
}
