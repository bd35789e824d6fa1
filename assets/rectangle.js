// A picture on which a rectangle is drawn with the pointer, or moved with the arrow keys (Shift changes its size).

const LEAST = 0.05;
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".area");
  let [left, top, width, height] = data.rectangle;
  const stage = document.createElement("div"), picture = document.createElement("img"), hole = document.createElement("div"), hint = document.createElement("p");
  stage.className = "stage";
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-label", "Part to hide: drag a rectangle, or move it with the arrow keys and size it with Shift and the arrow keys");
  Object.assign(picture, { src: data.url, alt: "", draggable: false });
  hole.className = "hole";
  hint.textContent = "Drag a rectangle over the part to hide.";
  const draw = () => { for (const [name, value] of Object.entries({ left, top, width, height })) hole.style[name] = `${100 * value}%`; };
  const send = () => setStateValue("rectangle", [left, top, width, height]);
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1)];
  };
  let start = null;
  stage.onpointerdown = (event) => { start = at(event); stage.setPointerCapture(event.pointerId); event.preventDefault(); stage.focus(); };
  stage.onpointermove = (event) => {
    if (!start) return;
    const [x, y] = at(event);
    [left, top, width, height] = [Math.min(x, start[0]), Math.min(y, start[1]), Math.abs(x - start[0]), Math.abs(y - start[1])];
    draw();
  };
  stage.onpointerup = () => {
    if (!start) return;
    start = null;
    [width, height] = [Math.max(width, LEAST), Math.max(height, LEAST)];
    [left, top] = [clamp(left, 0, 1 - width), clamp(top, 0, 1 - height)];
    draw();
    send();
  };
  stage.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    if (event.shiftKey) [width, height] = [clamp(width + step[0] * LEAST, LEAST, 1 - left), clamp(height + step[1] * LEAST, LEAST, 1 - top)];
    else [left, top] = [clamp(left + step[0] * LEAST, 0, 1 - width), clamp(top + step[1] * LEAST, 0, 1 - height)];
    draw();
    clearTimeout(stage.timer);
    stage.timer = setTimeout(send, 250);
    event.preventDefault();
  };
  stage.append(picture, hole);
  root.replaceChildren(stage, hint);
  draw();
}
