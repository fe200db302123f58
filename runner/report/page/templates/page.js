"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const isNumber = head.classList.contains("number");
    const first = isNumber ? "descending" : "ascending", second = isNumber ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
    // Missing values stand last in both orders.
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  }));
  const box = table.parentElement, input = box.querySelector("input[type=search]");
  if (input) input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let matches = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      matches += row.hidden ? 0 : 1;
    }
    box.querySelector(".count").textContent = words.length ? matches + " of " + body.rows.length : "";
  });
}
for (const svg of document.querySelectorAll("svg.matrix")) {
  const text = svg.closest("figure").querySelector(".cell-text"), holder = svg.closest(".drawing");
  const cells = new Map([...svg.querySelectorAll("[data-at]")].map((cell) => [cell.dataset.at, cell]));
  const size = Number(svg.dataset.size), frame = svg.querySelector(".frame");
  let row = 0, column = 0;
  const className = (index) => svg.querySelectorAll(".row-name")[index].dataset.name;
  const describe = () => {
    const cell = cells.get(row + "," + column);
    text.textContent = cell ? cell.querySelector("title").textContent : className(row) + " predicted as " + className(column) + ": never";
    const step = Number(svg.dataset.step);
    frame.setAttribute("x", Number(svg.dataset.left) + column * step);
    frame.setAttribute("y", Number(svg.dataset.top) + row * step);
    frame.setAttribute("visibility", "visible");
  };
  svg.addEventListener("pointermove", (event) => {
    const cell = event.target.closest("[data-at]");
    if (cell) { [row, column] = cell.dataset.at.split(",").map(Number); describe(); }
  });
  holder.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    row = Math.min(Math.max(row + move[0], 0), size - 1);
    column = Math.min(Math.max(column + move[1], 0), size - 1);
    describe();
  });
}
