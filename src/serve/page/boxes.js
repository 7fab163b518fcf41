// Objects that a model found in a picture, drawn on it.
import { element } from './dom.js';

const kGrid = 1000;  // coordinates of a box go from 0 to this, whatever the picture's size

// Where the JSON value that begins at `start` ends; -1 if it does not.
function endOfList(text, start) {
  let depth = 0;
  for (let i = start, quoted = false; i < text.length; ++i) {
    const c = text[i];
    if (quoted) {
      if (c === '\\') ++i;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '[' || c === '{') ++depth;
    else if ((c === ']' || c === '}') && --depth === 0) return i + 1;
  }
  return -1;
}

// The first list of [{"box_2d": [y0, x0, y1, x1], "label": …}, …] in a text that may say more, as
// [{label, x0, y0, x1, y1}] in percent of the picture; empty when there is none.
export function parseBoxes(text) {
  if (!text.includes('"box_2d"')) return [];
  for (let start = text.indexOf('['); start >= 0; start = text.indexOf('[', start + 1)) {
    if (!/^\[\s*\{/.test(text.slice(start, start + 80))) continue;
    const end = endOfList(text, start);
    if (end < 0) return [];  // still being written
    let list;
    try {
      list = JSON.parse(text.slice(start, end));
    } catch { continue; }
    const percent = (value) => Math.max(0, Math.min(100, 100 * value / kGrid));
    const boxes = list.filter((entry) => Array.isArray(entry?.box_2d) && entry.box_2d.length === 4 && entry.box_2d.every(Number.isFinite))
      .map(({ box_2d: [y0, x0, y1, x1], label }) => ({ label: typeof label === 'string' ? label : '',
        x0: percent(Math.min(x0, x1)), y0: percent(Math.min(y0, y1)), x1: percent(Math.max(x0, x1)), y1: percent(Math.max(y0, y1)) }));
    if (boxes.length) return boxes;
  }
  return [];
}

const kNumColours = 6;

// The picture with frames; hovering or focusing a label of the list brings its frame out.
export function boxedPicture(url, boxes) {
  const frames = boxes.map((box, i) => {
    const frame = element('div.box', { 'data-colour': i % kNumColours }, box.label ? element('span.box-label', {}, box.label) : null);
    Object.assign(frame.style, { left: `${box.x0}%`, top: `${box.y0}%`, width: `${box.x1 - box.x0}%`, height: `${box.y1 - box.y0}%` });
    if (box.y0 < 8) frame.classList.add('label-inside');
    return frame;
  });
  const bring = (i, on) => { frames[i].classList.toggle('out', on); };
  const names = boxes.map((box, i) => element('li', { 'data-colour': i % kNumColours, tabindex: '0',
    onmouseenter: () => bring(i, true), onmouseleave: () => bring(i, false), onfocus: () => bring(i, true), onblur: () => bring(i, false) },
    box.label || `object ${i + 1}`));
  const count = `${boxes.length} ${boxes.length === 1 ? 'object' : 'objects'}`;
  return element('figure.boxes', {},
    element('div.boxes-picture', {}, element('img', { src: url, alt: `The picture with ${count} marked` }), element('div', { 'aria-hidden': 'true' }, frames)),
    element('figcaption', {}, element('span', {}, count), element('ul', { 'aria-label': 'Objects found' }, names)));
}
