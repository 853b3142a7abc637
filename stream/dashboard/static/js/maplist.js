// The maps by group, and the choice among them.

export const idOf = (entry) => (entry.plane === null ? entry.name : `${entry.name}:${entry.plane}`);
export const chosenEntry = (state) => state.entries.find((entry) => idOf(entry) === state.entryId) ?? null;

function button(store, entry) {
  const found = document.createElement("button");
  found.type = "button";
  found.textContent = entry.short;
  found.title = entry.title;
  found.dataset.map = idOf(entry);
  found.addEventListener("click", () => store.set({ entryId: idOf(entry) }));
  return found;
}

function rebuild(store, nav) {
  const groups = Map.groupBy(store.state.entries, (entry) => entry.group);
  nav.replaceChildren(
    ...[...groups].map(([name, entries]) => {
      const group = document.createElement("section");
      const heading = document.createElement("h2");
      heading.textContent = name;
      group.append(heading, ...entries.map((entry) => button(store, entry)));
      return group;
    }),
  );
}

// How far a span from `from` to `to` lies beyond what is seen from `low` to `high`.
const beyond = (from, to, low, high) => (from < low ? from - low : to > high ? to - high : 0);

// Scrolls the list and, unlike scrollIntoView, never the page.
function show(nav, entry) {
  const [seen, own] = [nav, entry].map((each) => each.getBoundingClientRect());
  nav.scrollBy(beyond(own.left, own.right, seen.left, seen.right), beyond(own.top, own.bottom, seen.top, seen.bottom));
}

function mark(state, nav) {
  for (const each of nav.querySelectorAll("button")) {
    const chosen = each.dataset.map === state.entryId;
    each.setAttribute("aria-pressed", chosen);
    if (chosen) show(nav, each);
  }
}

export function step(store, by) {
  const { entries, entryId } = store.state;
  if (!entries.length) return;
  const at = entries.findIndex((entry) => idOf(entry) === entryId);
  store.set({ entryId: idOf(entries[(at + by + entries.length) % entries.length]) });
}

export function startMapList(store) {
  const nav = document.getElementById("maps");
  store.on(["entries"], (state) => {
    rebuild(store, nav);
    mark(state, nav);
  });
  store.on(["entryId"], (state) => mark(state, nav));
}
