// Tables of plain text.

export function row(cells, tag = "td") {
  const found = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement(tag);
    cell.textContent = text;
    found.append(cell);
  }
  return found;
}

export function key(entries) {
  return entries.map(({ text, colour, mark }) => {
    const found = document.createElement("span");
    found.textContent = text;
    found.style.setProperty("--key", colour);
    if (mark) found.dataset.mark = mark;
    return found;
  });
}
