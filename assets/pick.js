// A row of pictures of which one is chosen; arrow keys walk along it.

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".pick");
  const box = document.createElement("div");
  box.className = "row";
  box.setAttribute("role", "radiogroup");
  box.setAttribute("aria-label", data.title);
  const title = document.createElement("div");
  title.className = "title";
  title.textContent = data.title;
  const choose = (id) => {
    for (const button of box.children) {
      const on = Number(button.dataset.id) === id;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
    if (id !== data.chosen) setStateValue("chosen", id);
    data.chosen = id;
  };
  for (const item of data.items) {
    const button = document.createElement("button"), image = document.createElement("img");
    button.type = "button";
    button.setAttribute("role", "radio");
    button.setAttribute("aria-label", item.alt || "image");
    button.title = item.title || "";
    button.dataset.id = item.id;
    Object.assign(image, { src: item.images[0], alt: "", loading: "lazy", decoding: "async" });
    button.append(image);
    button.onclick = () => choose(item.id);
    box.append(button);
  }
  box.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const ids = data.items.map((item) => item.id);
    const next = (ids.indexOf(data.chosen) + step + ids.length) % ids.length;
    choose(ids[next]);
    box.children[next].focus();
    event.preventDefault();
  };
  root.replaceChildren(title, box);
  for (const button of box.children) {
    const on = Number(button.dataset.id) === data.chosen;
    button.setAttribute("aria-checked", on);
    button.tabIndex = on ? 0 : -1;
  }
}
