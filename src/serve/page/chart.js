// Lines over time, as SVG.
import { element, svg } from './dom.js';

const kWidth = 480, kHeight = 170;
const kPad = { left: 46, right: 10, top: 10, bottom: 20 };

// 1, 2 or 5 times a power of ten, at least `value`.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value * 0.999) * power;
}

// chart options: {title, format(value), series: ['name', …], area, most: fixed top of the scale, seconds: shown}
export class Chart {
  constructor(options) {
    this.options = options;
    this.points = [];  // {time, values: number or null per series}
    this.plot = svg('svg', { viewBox: `0 0 ${kWidth} ${kHeight}`, role: 'img', preserveAspectRatio: 'none' });
    this.values = options.series.map(() => element('b'));
    this.hint = element('div.chart-hint', { hidden: true });
    this.element = element('figure.chart', {},
      element('figcaption', {}, element('h2', {}, options.title), element('ul', {}, options.series.map((name, i) =>
        element('li', { 'data-series': i }, name ? element('span', {}, name) : null, this.values[i])))),
      element('div.plot', {}, this.plot, this.hint));
    this.plot.addEventListener('pointermove', (event) => this.point(event));
    this.plot.addEventListener('pointerleave', () => { this.hint.hidden = true; this.cross?.setAttribute('visibility', 'hidden'); });
  }
  add(time, values) {
    this.points.push({ time, values });
    while (this.points[0].time < time - 1000 * this.options.seconds) this.points.shift();
    this.draw();
  }
  draw() {
    const { format, series, seconds, area, title } = this.options;
    const last = this.points.at(-1);
    this.values.forEach((into, i) => { into.textContent = last.values[i] === null ? '–' : format(last.values[i]); });
    this.plot.setAttribute('aria-label', `${title}, the last ${Math.round(seconds / 60)} minutes; now ` +
      series.map((name, i) => `${name} ${this.values[i].textContent}`.trim()).join(', '));
    const largest = Math.max(0, ...this.points.flatMap(({ values }) => values.map((value) => value ?? 0)));
    const top = this.options.most ?? (largest > 0 ? roundUp(largest) : 1);
    const x = (time) => kWidth - kPad.right - (last.time - time) / (1000 * seconds) * (kWidth - kPad.left - kPad.right);
    const y = (value) => kHeight - kPad.bottom - Math.min(1, value / top) * (kHeight - kPad.top - kPad.bottom);
    this.x = x;
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      parts.push(svg('line', { class: 'grid', x1: kPad.left, x2: kWidth - kPad.right, y1: y(top * share), y2: y(top * share) }));
      parts.push(svg('text', { x: kPad.left - 6, y: y(top * share) + 4, 'text-anchor': 'end' }, format(top * share)));
    }
    for (const ago of [seconds, seconds / 2, 0])
      parts.push(svg('text', { x: x(last.time - 1000 * ago), y: kHeight - 4, 'text-anchor': ago === seconds ? 'start' : ago ? 'middle' : 'end' },
        ago ? `−${ago >= 60 ? `${ago / 60} min` : `${ago} s`}` : 'now'));
    series.forEach((name, i) => parts.push(...this.line(i, x, y, area)));
    this.cross = svg('line', { class: 'cross', y1: kPad.top, y2: kHeight - kPad.bottom, visibility: 'hidden' });
    this.plot.replaceChildren(...parts, this.cross);
  }
  // Gaps where there was nothing to measure.
  line(i, x, y, area) {
    const runs = [];
    let run = null;
    for (const { time, values } of this.points) {
      if (values[i] === null) { run = null; continue; }
      if (!run) runs.push(run = []);
      run.push([x(time), y(values[i])]);
    }
    const path = (points) => points.map(([px, py], k) => `${k ? 'L' : 'M'}${px.toFixed(1)} ${py.toFixed(1)}`).join('');
    return runs.flatMap((points) => [
      ...(area && points.length > 1 ? [svg('path', { class: 'area', 'data-series': i,
        d: `${path(points)}L${points.at(-1)[0].toFixed(1)} ${y(0)}L${points[0][0].toFixed(1)} ${y(0)}Z` })] : []),
      points.length > 1 ? svg('path', { class: 'line', 'data-series': i, d: path(points) })
        : svg('circle', { class: 'dot', 'data-series': i, cx: points[0][0], cy: points[0][1], r: 2 })]);
  }
  point(event) {
    if (!this.points.length) return;
    const frame = this.plot.getBoundingClientRect();
    const at = (event.clientX - frame.left) / frame.width * kWidth;
    const nearest = this.points.reduce((best, point) => (Math.abs(this.x(point.time) - at) < Math.abs(this.x(best.time) - at) ? point : best));
    const px = this.x(nearest.time);
    this.cross.setAttribute('x1', px);
    this.cross.setAttribute('x2', px);
    this.cross.setAttribute('visibility', 'visible');
    this.hint.hidden = false;
    this.hint.textContent = `${new Date(nearest.time).toLocaleTimeString()}  ` + this.options.series.map((name, i) =>
      `${name} ${nearest.values[i] === null ? '–' : this.options.format(nearest.values[i])}`).join('   ');
    this.hint.style.left = `${Math.min(70, Math.max(0, 100 * px / kWidth - 15))}%`;
  }
}
