// A grid of captioned pictures, drawn in pages; a click shows one large with what is known about it, or chooses it.
// Where they are points of a latent map, the one under the pointer or the keyboard is ringed there.

const PAGE = 24;
const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const states = new WeakMap();
const point = (group, row) => { if (group) window.dispatchEvent(new CustomEvent("replab-map", { detail: { group, row } })); };

function enlarge(root, item) {
  const dialog = node("dialog"), picture = node("img"), close = node("button", "", "Close");
  picture.src = item.large || item.images[0];
  picture.alt = item.alt || "";
  close.type = "button";
  close.onclick = () => dialog.close();
  dialog.onclose = () => dialog.remove();
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
  dialog.append(picture, node("p", "", item.title || ""), close);
  root.append(dialog);
  dialog.showModal();
}

const pointing = (figure, button, group, row) => {
  figure.onpointerenter = (event) => { if (event.pointerType !== "touch") point(group, row); };
  figure.onpointerleave = () => point(group, null);
  button.onfocus = () => { if (button.matches(":focus-visible")) point(group, row); };
  button.onblur = () => point(group, null);
};

function draw(root, data, state) {
  const grid = node("div", "grid");
  for (const item of data.items.slice(0, state.shown)) {
    const figure = node("figure"), button = node("button", "picture");
    button.type = "button";
    button.setAttribute("aria-label", item.alt || "image");
    for (const source of item.images) {
      const image = node("img");
      Object.assign(image, { loading: "lazy", decoding: "async", alt: "", src: source });
      button.append(image);
    }
    button.onclick = () => (state.choose ? state.choose(item.id) : enlarge(root, item));
    const caption = node("figcaption"), line = node("div", "line");
    line.append(node("b", "", item.label), node("span", "", item.value));
    caption.append(line);
    if (item.under) caption.append(node("small", "", item.under));
    figure.dataset.tone = item.tone || "";
    figure.title = item.title || "";
    figure.append(button, caption);
    if (data.lights) pointing(figure, button, data.lights, item.id);
    grid.append(figure);
  }
  const place = [...root.querySelectorAll("button.picture")].indexOf(root.getRootNode().activeElement);
  point(data.lights, null); // what was pointed at may not be in the list any more
  root.replaceChildren(grid);
  if (place >= 0) grid.querySelectorAll("button.picture")[place]?.focus(); // the keyboard stays where it was
  const left = data.items.length - state.shown;
  if (left > 0) {
    const more = node("button", "more", `Show ${Math.min(PAGE, left)} more of ${left}`);
    more.type = "button";
    more.onclick = () => { state.shown += PAGE; draw(root, data, state); };
    root.append(more);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".gallery");
  let state = states.get(root);
  root.classList.toggle("wide", Boolean(data.wide));
  if (!state || state.mark !== data.mark) states.set(root, (state = { mark: data.mark, shown: PAGE }));
  state.choose = data.choose ? (id) => setTriggerValue("chosen", id) : null;
  draw(root, data, state);
  return () => { if (!root.isConnected) point(data.lights, null); };
}
