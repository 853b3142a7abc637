// Which slice is shown, when there is more than one.

export function startSlices(store) {
  const field = document.getElementById("slice-field");
  const select = document.getElementById("slice");
  store.on(["status"], ({ status }) => {
    const { slices } = status.grid;
    field.hidden = slices.length < 2;
    if (select.options.length === slices.length) return;
    select.replaceChildren(...slices.map((height, i) => new Option(`${i + 1} of ${slices.length}, ${height} µm`, i)));
  });
  store.on(["slice"], ({ slice }) => (select.value = slice));
  select.addEventListener("change", () => store.set({ slice: Number(select.value) }));
}
