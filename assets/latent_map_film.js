// A film of a latent map: one large panel whose points move from each map of the pack to the next, with a scrubber.

const HOLD = 700, MOVE = 1300; // ms at a map, and on the way to the next one
const FILM = "film"; // title of the panel, under which its zoom is kept
const ease = (share) => share * share * (3 - 2 * share); // slow at both ends, so that a map is seen to arrive

class Film {
  constructor(map) {
    Object.assign(this, { map, maps: [], playing: false });
    this.element = node("div", "lm-film");
    this.play = press("Play", () => (this.playing ? this.pause() : this.start()));
    this.words = node("span");
    this.range = node("input");
    Object.assign(this.range, { type: "range", min: 0, step: "any" });
    this.range.setAttribute("aria-label", "Which map of the film");
    this.range.oninput = () => { this.pause(); this.move(Number(this.range.value)); };
    this.range.onkeydown = (event) => this.key(event);
    this.stops = node("div", "lm-stops");
    this.track = node("div", "lm-track");
    this.track.append(this.range, this.stops);
    this.element.append(this.play, this.words, this.track);
  }

  get at() { return Math.min(this.map.keep.film ?? 0, this.maps.length - 1); } // 1.5 is half-way from the second map to the third

  take(pack) { // the one panel in place of the pack's
    this.pause();
    this.maps = pack.panels.filter(({ dim }) => dim);
    if (!this.maps.length) return pack.panels.slice(0, 1);
    const [first] = this.maps, { length } = this.maps;
    this.range.max = length - 1;
    this.element.style.setProperty("--stops", length);
    this.track.hidden = this.play.hidden = length < 2;
    this.drawStops();
    const whole = first.axes.map((_, axis) => this.maps.flatMap(({ axes }) => Array.from(axes[axis]))); // so that it need not zoom on the way
    const panel = { ...first, title: FILM, whole, axes: first.axes.map((values) => Float32Array.from(values)) };
    this.blend(panel);
    return [panel];
  }

  drawStops() { // what all titles begin with stands once, before the buttons
    const titles = this.maps.map(({ title }) => title.split(" "));
    let same = 0;
    while (titles.every((words) => words.length > same + 1 && words[same] === titles[0][same])) same += 1;
    this.words.textContent = titles[0].slice(0, same).join(" ");
    this.stops.replaceChildren(...titles.map((words, i) => {
      const button = press(words.slice(same).join(" "), () => { this.pause(); this.move(i); });
      button.setAttribute("aria-label", words.join(" "));
      return button;
    }));
  }

  blend(panel) { // the points, and the words above them, where the film stands
    const { at, maps } = this, from = Math.floor(at), share = at - from, [here, next] = [maps[from], maps[from + 1]];
    panel.axes.forEach((values, axis) => {
      const old = here.axes[axis], goal = next?.axes[axis];
      if (share) values.forEach((_, row) => { values[row] = old[row] + share * (goal[row] - old[row]); });
      else values.set(old);
    });
    panel.heading = share ? `${here.title} → ${next.title}` : here.title;
    panel.figures = share ? [] : here.figures; // on the way it is nobody's map
    panel.lines = here.lines;
    this.range.value = at;
    this.range.setAttribute("aria-valuetext", panel.heading);
    [...this.stops.children].forEach((button, i) => button.setAttribute("aria-pressed", i === at));
  }

  move(at) {
    const { map } = this, [panel] = map.plots.panels;
    map.keep.film = Math.min(Math.max(at, 0), this.maps.length - 1);
    if (!panel?.dim || !map.data.film) return undefined; // side by side again: those panels are not the film's
    map.look(null);
    this.blend(panel);
    panel.cell.take(panel);
    map.root.dataset.film = this.at;
    return map.plots.draw();
  }

  key(event) { // from map to map
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.pause();
    this.move(step > 0 ? Math.floor(this.at) + 1 : Math.ceil(this.at) - 1);
  }

  start() { // from here to the last map, or all of it again
    if (this.at >= this.maps.length - 1) this.move(0);
    this.playing = true;
    this.play.textContent = "Pause";
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches, from = Math.floor(this.at);
    const begun = performance.now() - (this.at > from ? HOLD + MOVE * (this.at - from) : 0);
    const step = async () => {
      if (!this.playing || this.map.dead || !this.map.data.film) { this.pause(); return; }
      const whole = Math.floor((performance.now() - begun) / (HOLD + MOVE));
      const way = ((performance.now() - begun) % (HOLD + MOVE)) - HOLD;
      await this.move(from + whole + (still ? 0 : ease(Math.max(0, way / MOVE))));
      if (this.at >= this.maps.length - 1) this.pause();
      else this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  pause() {
    this.playing = false;
    this.play.textContent = "Play";
    cancelAnimationFrame(this.frame);
  }
}
