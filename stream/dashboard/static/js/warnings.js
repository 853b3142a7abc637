// What a person must see at once, across the page.

const TITLES = {
  failure: "Failed",
  recording_suspended: "Recording suspended",
  back_pressure: "Back-pressure",
  stolen: "Frames go elsewhere",
};

export function startWarnings(store) {
  const strip = document.getElementById("warnings");
  store.on(["status"], ({ status }) => {
    const items = Object.entries(TITLES)
      .filter(([key]) => status[key])
      .map(([key, title]) => {
        const item = document.createElement("li");
        const name = document.createElement("strong");
        item.dataset.warning = key;
        name.textContent = title;
        item.append(name, ` ${status[key]}`);
        return item;
      });
    // an alert is read out whenever it changes, so it is left alone while it says the same
    const text = items.map((item) => item.textContent).join();
    if (text === strip.dataset.told) return;
    strip.dataset.told = text;
    strip.replaceChildren(...items);
    strip.hidden = items.length === 0;
  });
}
