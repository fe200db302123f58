"use strict";
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const number = head.classList.contains("number");
    const first = number ? "descending" : "ascending", second = number ? "ascending" : "descending";
    const way = head.getAttribute("aria-sort") === first ? second : first;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", way);
    const sign = way === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [value(row, place), row]);
    // What is not known stands last, whichever way it is sorted.
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  }));
  const box = table.parentElement, input = box.querySelector("input[type=search]");
  if (input) input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    box.querySelector(".count").textContent = words.length ? shown + " of " + body.rows.length : "";
  });
}
for (const svg of document.querySelectorAll("svg.cells")) {
  const tells = svg.closest("figure").querySelector(".tells"), holder = svg.closest(".drawing");
  const cells = new Map([...svg.querySelectorAll("[data-at]")].map((cell) => [cell.dataset.at, cell]));
  const size = Number(svg.dataset.size), frame = svg.querySelector(".frame");
  let row = 0, column = 0;
  const tell = () => {
    const cell = cells.get(row + "," + column);
    tells.textContent = cell ? cell.querySelector("title").textContent : "never: " + name(row) + " taken for " + name(column);
    const step = Number(svg.dataset.step);
    frame.setAttribute("x", Number(svg.dataset.left) + column * step);
    frame.setAttribute("y", Number(svg.dataset.top) + row * step);
    frame.setAttribute("visibility", "visible");
  };
  const name = (place) => svg.querySelectorAll(".row-name")[place].dataset.name;
  svg.addEventListener("pointermove", (event) => {
    const cell = event.target.closest("[data-at]");
    if (cell) { [row, column] = cell.dataset.at.split(",").map(Number); tell(); }
  });
  holder.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    row = Math.min(Math.max(row + way[0], 0), size - 1);
    column = Math.min(Math.max(column + way[1], 0), size - 1);
    tell();
  });
}
