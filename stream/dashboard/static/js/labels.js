// Names for the clusters: shown with the map of clusters, sent as one command.

import { key, post, scanPath } from "./api.js";
import { discreteColour } from "./colours.js";
import { words } from "./format.js";
import { makePlot, positive } from "./plot.js";

const byId = (id) => document.getElementById(id);

function row(cluster, classes, chosen) {
  const label = document.createElement("label");
  const swatch = document.createElement("i");
  swatch.style.background = discreteColour("classes", cluster);
  const select = document.createElement("select");
  select.dataset.cluster = cluster;
  select.append(new Option("not named", ""), ...classes.map((name) => new Option(words(name), name)));
  select.value = chosen ?? "";
  label.append(swatch, `Cluster ${cluster} `, select);
  return label;
}

export function startLabels(store) {
  const form = byId("labels");
  const selects = () => [...form.querySelectorAll("select")];
  const note = byId("labels-note");

  let plot = null;

  // The mean pattern of each cluster, in the colours of the map.
  function draw({ planeEntry: entry, status, log }) {
    const { q, patterns } = status?.clusters ?? {};
    byId("labels-plot").hidden = !patterns?.length;
    if (entry?.name !== "cluster_index" || !patterns?.length) return;
    plot?.destroy();
    const lines = patterns.map((_, cluster) => ({ colour: discreteColour("classes", cluster) }));
    plot = makePlot(byId("labels-plot"), { height: 160, lines, log, cursor: false, xLabel: "q (Å⁻¹)", yLabel: "mean pattern" });
    plot.setData([q, ...(log ? patterns.map(positive) : patterns)]);
  }

  function offer({ planeEntry: entry, plane, status }) {
    form.hidden = entry?.name !== "cluster_index" || !status.classes?.length;
    if (form.hidden) return;
    const clusters = [...new Set(plane.data)].filter((cluster) => cluster >= 0).sort((a, b) => a - b);
    if (clusters.join() === selects().map((select) => select.dataset.cluster).join()) return; // what is chosen is left alone
    byId("labels-rows").replaceChildren(...clusters.map((cluster) => row(cluster, status.classes)));
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const labels = selects().filter(({ value }) => value).map(({ value, dataset }) => ({ cluster: Number(dataset.cluster), label: value }));
    if (!labels.length) return void (note.textContent = "Choose a class for at least one cluster.");
    try {
      const { command } = await post(scanPath(store.state.status.scan, "labels"), { labels });
      note.textContent = `Sent as command ${command}.`;
    } catch (error) {
      note.textContent = error.message;
    }
  });
  byId("labels-send").disabled = !key;
  if (!key) note.textContent = "To name clusters, open the link printed at the start: it carries the key.";
  store.on(["plane"], offer);
  store.on(["plane", "log", "theme"], draw);
}
