// What a self-supervised run sees: how similar the views of the last batch are, and the age of queued keys.

const cell = (className, style) => { const element = document.createElement("i"); element.className = className; Object.assign(element.style, style); return element; };

// rows i and i + pairs are the two views of image i; positives are outlined, the diagonal is left out
const similarityMatrix = (matrix) => {
  const { values, images, pairs } = matrix, n = values.length, views = n / pairs;
  const name = (i) => `${views > 1 ? `view ${Math.floor(i / pairs) + 1} of ` : ""}image ${(i % pairs) + 1}`;
  const box = document.createElement("div");
  box.className = "rl-matrix";
  box.style.setProperty("--n", n + 1);
  const thumb = (i) => { const image = document.createElement("img"); image.src = images[i]; image.alt = name(i); image.title = name(i); return image; };
  const note = document.createElement("div");
  note.className = "rl-note";
  const rest = "Similarity of z for every two views of the first images of the last batch, from −1 (blue) to 1 (red); outlined: two views of one image.";
  note.textContent = rest;
  box.append(cell("", {}), ...values.map((_, i) => thumb(i)));
  values.forEach((row, i) => {
    box.append(thumb(i));
    row.forEach((value, j) => {
      if (i === j) return box.append(cell("rl-self", {}));
      const positive = i % pairs === j % pairs, share = Math.min(1, Math.abs(value));
      const tile = cell(positive ? "rl-positive" : "", { background: `color-mix(in srgb, ${value < 0 ? "var(--cold)" : "var(--hot)"} ${Math.round(100 * share)}%, var(--soft))` });
      const words = `${name(i)} × ${name(j)}${positive ? " (the same image)" : ""}: ${value.toFixed(2)}`;
      tile.title = words;
      tile.addEventListener("pointerenter", () => { note.textContent = words; });
      box.append(tile);
    });
  });
  box.addEventListener("pointerleave", () => { note.textContent = rest; });
  const holder = document.createElement("div");
  holder.append(box, note);
  return holder;
};

// the queue as it lies in memory, oldest keys darkest, random ones hatched
const keyQueue = (queue) => {
  const holder = document.createElement("div"), strip = document.createElement("div"), note = document.createElement("div");
  strip.className = "rl-queue";
  note.className = "rl-note";
  const oldest = Math.max(1, ...queue.ages);
  for (const age of queue.ages) {
    const tile = cell(age < 0 ? "rl-random" : "", age < 0 ? {} : { opacity: 0.15 + 0.85 * (age / oldest) });
    tile.title = age < 0 ? "still random" : `about ${Math.round(age)} steps old`;
    strip.append(tile);
  }
  const random = queue.random ? ` ${queue.random.toLocaleString("en")} are still the random ones it began with.` : "";
  note.textContent = `Queue of ${queue.keys.toLocaleString("en")} keys, the oldest ${queue.oldest} steps old.${random}`;
  holder.append(strip, note);
  return holder;
};

const drawContrast = (root, pictures) => {
  root.hidden = !pictures?.matrix;
  if (root.hidden) return root.replaceChildren();
  const parts = [similarityMatrix(pictures.matrix)];
  if (pictures.queue) parts.push(keyQueue(pictures.queue));
  root.replaceChildren(...parts);
};
