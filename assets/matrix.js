// A confusion matrix whose cells are buttons; a click tells the page which images to show.
// Up to MAX_TABLE classes it is a table; above that a canvas. Class names only ever go in as textContent.

const MAX_TABLE = 24;
const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const sum = (values) => values.reduce((a, b) => a + b, 0);

const shares = ({ counts, mode }) => {
  const rows = counts.map(sum), columns = counts.map((_, j) => sum(counts.map((row) => row[j])));
  const largest = Math.max(1, ...counts.flat());
  return counts.map((row, i) => row.map((n, j) => {
    if (mode === "row") return rows[i] ? n / rows[i] : 0;
    if (mode === "column") return columns[j] ? n / columns[j] : 0;
    return n / largest;
  }));
};

const explain = ({ names, counts }, i, j) => {
  const row = sum(counts[i]), n = counts[i][j];
  return `${n} of ${row} images of ${names[i]} predicted as ${names[j]}`;
};

function table(root, data, choose) {
  const { names, counts, mode, cell } = data, share = shares(data);
  const grid = node("table"), head = node("tr"), body = node("tbody");
  head.append(node("th", "corner", "true ↓   predicted →"));
  names.forEach((name) => { const th = node("th", "top"); const inner = node("div", "", name); th.title = name; th.append(inner); head.append(th); });
  head.append(node("th", "sum", "images"));
  counts.forEach((row, i) => {
    const tr = node("tr"), th = node("th", "side", names[i]);
    th.title = names[i];
    tr.append(th);
    row.forEach((n, j) => {
      const td = node("td"), button = node("button", i === j ? "hit" : n ? "miss" : "none");
      button.type = "button";
      button.textContent = mode === "count" ? n : n ? `${(100 * share[i][j]).toFixed(share[i][j] < 0.1 ? 1 : 0)} %` : "0";
      button.style.setProperty("--share", share[i][j]);
      button.title = explain(data, i, j);
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-pressed", Boolean(cell && cell[0] === i && cell[1] === j));
      button.onclick = () => choose([i, j]);
      td.append(button);
      tr.append(td);
    });
    tr.append(node("td", "sum", sum(row)));
    body.append(tr);
  });
  const foot = node("tr");
  foot.append(node("th", "side quiet", "predicted"));
  counts.forEach((_, j) => foot.append(node("td", "sum", sum(counts.map((row) => row[j])))));
  foot.append(node("td", "sum", sum(counts.map(sum))));
  body.append(foot);
  const thead = node("thead");
  thead.append(head);
  grid.append(thead, body);
  const scroll = node("div", "scroll");
  scroll.append(grid);
  root.replaceChildren(scroll);
}

function canvas(root, data, choose) {
  const { counts, cell } = data, share = shares(data), size = counts.length;
  const style = getComputedStyle(root), colour = (name, other) => style.getPropertyValue(name).trim() || other;
  const pixels = Math.min(720, Math.max(320, root.clientWidth || 640)), step = pixels / size;
  const picture = node("canvas"), tip = node("div", "tip", "Rows are the true class, columns the predicted one: point at a cell, or move with the arrow keys and press Enter.");
  const ratio = window.devicePixelRatio || 1;
  picture.width = picture.height = pixels * ratio;
  picture.style.width = picture.style.height = `${pixels}px`;
  picture.tabIndex = 0;
  picture.setAttribute("role", "application");
  tip.setAttribute("aria-live", "polite");
  picture.setAttribute("aria-label", "Confusion matrix; arrow keys move from cell to cell, Enter shows its images");
  const pen = picture.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = colour("--st-secondary-background-color", "#eee");
  pen.fillRect(0, 0, pixels, pixels);
  share.forEach((row, i) => row.forEach((value, j) => {
    if (!counts[i][j]) return;
    pen.globalAlpha = 0.15 + 0.85 * Math.sqrt(value);
    pen.fillStyle = i === j ? colour("--st-green-color", "#12a594") : colour("--st-red-color", "#e5484d");
    pen.fillRect(j * step, i * step, Math.max(1, step - 0.5), Math.max(1, step - 0.5));
  }));
  pen.globalAlpha = 1;
  if (cell) { pen.strokeStyle = colour("--st-text-color", "#000"); pen.lineWidth = 2; pen.strokeRect(cell[1] * step - 1, cell[0] * step - 1, step + 2, step + 2); }
  const at = (event) => {
    const box = picture.getBoundingClientRect();
    return [event.clientY - box.top, event.clientX - box.left].map((v) => Math.min(size - 1, Math.max(0, Math.floor(v / step))));
  };
  picture.onmousemove = (event) => { tip.textContent = explain(data, ...at(event)); };
  picture.onclick = (event) => choose(at(event));
  let [row, column] = cell || [0, 0];
  picture.onkeydown = (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step) [row, column] = [row + step[0], column + step[1]].map((v) => Math.min(size - 1, Math.max(0, v)));
    else if (event.key === "Enter") choose([row, column]);
    else return;
    tip.textContent = explain(data, row, column);
    event.preventDefault();
  };
  root.replaceChildren(picture, tip);
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".matrix");
  const choose = (cell) => setStateValue("cell", cell);
  (data.names.length > MAX_TABLE ? canvas : table)(root, data, choose);
}
