// A model's Markdown as elements. `marked` only cuts the text into tokens; what they become is
// listed here, so nothing that a model writes is ever parsed as HTML, runs, or loads anything:
// HTML is shown as text, pictures as links.
import { copyButton, element } from './dom.js';
import { highlight } from './highlight.js';
import { Marked } from './vendor/marked.js';

const marked = new Marked({ gfm: true, breaks: true });

// What a link may open, in another tab and without telling where from; null: nothing.
export function safeUrl(text) {
  try {
    const url = new URL(text);
    return ['https:', 'http:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function link(url, children, title) {
  const safe = safeUrl(url);
  if (!safe) return element('span', {}, children);
  return element('a', { href: safe, target: '_blank', rel: 'noopener noreferrer nofollow', title: title || safe }, children);
}

const kEntities = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: '\u00a0', copy: '©', hellip: '…', mdash: '—', ndash: '–', rarr: '→', larr: '←', times: '×', deg: '°', euro: '€' };
function unescape(text) {
  return text.replace(/&(#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{1,8}|#39);/gi, (whole, name) => {
    if (name in kEntities) return kEntities[name];
    if (name[0] !== '#') return whole;
    const code = name[1].toLowerCase() === 'x' ? parseInt(name.slice(2), 16) : Number(name.slice(1));
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

const inlineOf = (tokens) => (tokens ?? []).map(inline);
function inline(token) {
  switch (token.type) {
    case 'strong': return element('strong', {}, inlineOf(token.tokens));
    case 'em': return element('em', {}, inlineOf(token.tokens));
    case 'del': return element('del', {}, inlineOf(token.tokens));
    case 'codespan': return element('code', {}, token.text);
    case 'br': return element('br');
    case 'link': return link(token.href, inlineOf(token.tokens), token.title);
    case 'image': return element('span.md-image', {}, link(token.href, [`picture: ${token.text || token.href}`]));
    case 'escape': return token.text;
    case 'checkbox': return checkbox(token.checked);
    case 'text': return token.tokens ? element('span', {}, inlineOf(token.tokens)) : unescape(token.text);
    default: return token.raw ?? '';  // html among them
  }
}

function checkbox(checked) {
  return element('input', { type: 'checkbox', disabled: true, checked, 'aria-label': checked ? 'done' : 'not done' });
}

function codeBlock(token) {
  const language = (token.lang ?? '').match(/^\S*/)[0];
  const code = element('code');
  highlight(code, token.text, language);
  return element('div.code', {},
    element('div.code-head', {}, element('span', {}, language || 'text'), copyButton('Copy the code', () => token.text)),
    element('pre', { tabindex: '0', role: 'region', 'aria-label': `${language || 'plain'} code` }, code));
}

function table(token) {
  const cell = (tag) => (from, column) => {
    const made = element(tag, {}, inlineOf(from.tokens));
    if (token.align[column]) made.style.textAlign = token.align[column];
    return made;
  };
  return element('div.table', { tabindex: '0', role: 'region', 'aria-label': 'Table' }, element('table', {},
    element('thead', {}, element('tr', {}, token.header.map(cell('th')))),
    element('tbody', {}, token.rows.map((row) => element('tr', {}, row.map(cell('td')))))));
}

function listItem(item) {
  const hasBox = item.tokens[0]?.type === 'checkbox' || item.tokens[0]?.tokens?.[0]?.type === 'checkbox';
  return element(item.task ? 'li.task' : 'li', {},
    item.task && !hasBox ? checkbox(item.checked) : null,
    item.tokens.map((token) => {
      if (token.type === 'text') return element('span', {}, inlineOf(token.tokens ?? [token]));
      return token.type === 'checkbox' ? inline(token) : block(token);
    }));
}

const kDepth = 40;  // of nested quotes and lists; what is deeper is shown as it was written
let depth = 0;
function block(token) {
  if (depth > kDepth) return element('p', {}, token.raw);
  ++depth;
  try {
    switch (token.type) {
      case 'space': case 'def': return null;
      case 'heading': return element(`h${Math.min(6, token.depth + 2)}`, { 'data-level': token.depth }, inlineOf(token.tokens));
      case 'paragraph': return element('p', {}, inlineOf(token.tokens));
      case 'code': return codeBlock(token);
      case 'blockquote': return element('blockquote', {}, token.tokens.map(block));
      case 'hr': return element('hr');
      case 'table': return table(token);
      case 'list': return element(token.ordered ? 'ol' : 'ul',
        token.ordered && token.start !== 1 ? { start: token.start } : {}, token.items.map(listItem));
      case 'text': return element('p', {}, inlineOf(token.tokens ?? [token]));
      default: return element('p', {}, token.raw ?? '');  // html among them
    }
  } finally {
    --depth;
  }
}

// Keeps an element up to date with a text that grows: blocks that stay the same keep their
// elements, so that selections, scroll positions and open copies survive the stream.
export class MarkdownView {
  constructor() {
    this.element = element('div.markdown');
    this.blocks = [];  // {raw, node}
  }
  update(text) {
    let tokens;
    try {
      tokens = marked.lexer(text);
    } catch {
      tokens = [{ type: 'text', text, raw: text }];
    }
    const old = this.blocks;
    this.blocks = [];
    for (const token of tokens) {
      const known = old[this.blocks.length];
      if (known && known.raw === token.raw && known.type === token.type) {
        this.blocks.push(known);
        continue;
      }
      const node = block(token) ?? document.createComment('');
      if (known) known.node.replaceWith(node);
      else this.element.append(node);
      this.blocks.push({ raw: token.raw, type: token.type, node });
    }
    for (const gone of old.slice(this.blocks.length)) gone.node.remove();
  }
}
