// Making elements. There is no markup in strings anywhere on this page: text stays text.

// element('button.primary', { onclick, 'aria-label': 'Send' }, 'Send', child, …)
export function element(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split('.');
  const made = document.createElement(tag || 'div');
  if (classes.length) made.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'value') made.value = value;
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const kSvg = 'http://www.w3.org/2000/svg';
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(kSvg, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Strokes on a grid of 24.
const kIcons = {
  plus: 'M12 5v14M5 12h14',
  menu: 'M4 7h16M4 12h16M4 17h10',
  close: 'M6 6l12 12M18 6L6 18',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M8 8h8v8H8z',
  attach: 'M20 11.5l-8 8a5 5 0 01-7-7l8.5-8.5a3.4 3.4 0 015 5L10 17.3a1.8 1.8 0 01-2.6-2.6L15 7',
  mic: 'M12 15a3 3 0 003-3V6a3 3 0 00-6 0v6a3 3 0 003 3zM6 11.5a6 6 0 0012 0M12 17.5V21',
  sliders: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  chart: 'M4 20V4M4 20h16M8 15l4-5 3 3 5-7',
  chat: 'M5 5h14a1 1 0 011 1v9a1 1 0 01-1 1h-7l-5 4v-4H5a1 1 0 01-1-1V6a1 1 0 011-1z',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5',
  pencil: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  redo: 'M19 12a7 7 0 11-2.2-5.1M19 3v5h-5',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  tool: 'M14.5 6.5a4 4 0 005 5L11 20l-4-4 8.5-8.5zM7 16l-3 4',
  think: 'M12 3a6 6 0 00-4 10.5c.8.7 1 1.5 1 2.5h6c0-1 .2-1.8 1-2.5A6 6 0 0012 3zM10 20h4',
  moon: 'M20 14.5A8.5 8.5 0 119.5 4a6.8 6.8 0 0010.5 10.5z',
  sun: 'M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5',
  help: 'M9 9a3 3 0 115 2.2c-1.2.9-2 1.4-2 2.8M12 17.5v.5',
  alert: 'M12 4l9 16H3zM12 10v4M12 17v.5',
  chevron: 'M9 6l6 6-6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9v.5',
  sound: 'M4 12h2M9 8v8M12 5v14M15 9v6M18 11v2',
  film: 'M4 5h16v14H4zM8 5v14M16 5v14M4 12h16',
  key: 'M9 15a4 4 0 112.8-1.2L20 5.5M17 8.5l2 2M14.5 11l1.5 1.5',
  search: 'M11 4a7 7 0 100 14 7 7 0 000-14zM16.5 16.5L21 21',
};
export function icon(name) {
  return svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, svg('path', { d: kIcons[name] }));
}

// A button that is only an icon; its name is what a screen reader says and a pointer shows.
export function iconButton(name, label, onclick, attributes = {}) {
  return element('button.icon-button', { type: 'button', 'aria-label': label, title: label, onclick, ...attributes }, icon(name));
}

let nextId = 0;
export const freshId = (prefix) => `${prefix}-${++nextId}`;

// One sentence for those who do not see the page change.
export function announce(text) {
  document.getElementById('announcer').textContent = text;
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch { /* not a secure origin: select and copy, as ever */ }
  const area = element('textarea', { value: text, class: 'hidden-text' });
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

// "Copy", which says for a moment that it has.
export function copyButton(label, textOf) {
  const button = iconButton('copy', label, async () => {
    await copyText(textOf());
    button.replaceChildren(icon('check'));
    announce('Copied');
    setTimeout(() => button.replaceChildren(icon('copy')), 1500);
  });
  return button;
}

export function saveFile(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
