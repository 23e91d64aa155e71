"use strict";
const table = document.getElementById("layers");
if (table) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const text = row.cells[column].dataset.v;
    return heads[column].className === "n" ? (text === "" ? NaN : Number(text)) : text;
  };
  // missing values come last, whichever way the others are sorted
  const order = (a, b, down) => {
    const lacking = Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    if (lacking || Number.isNaN(a)) return lacking;
    const sign = typeof a === "number" ? Math.sign(a - b) : a.localeCompare(b, "en", { numeric: true });
    return down ? -sign : sign;
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keys = new Map(rows.map((row) => [row, value(row, column)]));
      body.append(...[...rows].sort((a, b) => order(keys.get(a), keys.get(b), down)));
    });
  });
  const filter = document.getElementById("filter"), count = document.getElementById("count");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
  document.getElementById("tools").hidden = false;
}
