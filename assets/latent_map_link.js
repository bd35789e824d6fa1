// What lies beside a latent map: other maps of the same points, and lists of them. What one of them points at or
// selects shows in all of its group; a list sends {group, row}, and row null when it points at nothing any more.

const LINK = "replab-map";

class Link {
  constructor(map) {
    this.map = map;
    this.hear = ({ detail }) => { if (detail.from !== map && detail.group === map.data.group) this.take(detail); };
    window.addEventListener(LINK, this.hear);
  }

  take({ points, row, selected }) {
    const { map } = this;
    if (!map.pack || (points && points !== map.pack.points)) return;
    if (selected) map.adopt(selected);
    else map.point(row);
  }

  tell(what) {
    const { map } = this;
    window.dispatchEvent(new CustomEvent(LINK, { detail: { from: map, group: map.data.group, points: map.pack.points, ...what } }));
  }

  dispose() { window.removeEventListener(LINK, this.hear); }
}
