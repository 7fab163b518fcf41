// How messages look. Each view keeps its element up to date with its message.
import { boxedPicture, parseBoxes } from './boxes.js';
import { copyButton, element, freshId, icon, iconButton } from './dom.js';
import { MarkdownView } from './markdown.js';
import { kBuiltinTools } from './tools.js';

const urls = new WeakMap();  // of a blob, made once
export function urlOf(blob) {
  if (!urls.has(blob)) urls.set(blob, URL.createObjectURL(blob));
  return urls.get(blob);
}

export function mediumView(medium) {
  const url = urlOf(medium.blob);
  if (medium.kind === 'image') return element('img.medium', { src: url, alt: medium.name });
  if (medium.kind === 'audio') return element('audio.medium', { src: url, controls: true, 'aria-label': medium.name });
  return element('video.medium', { src: url, controls: true, 'aria-label': medium.name });
}

// actions: {edit(message, text)}
export class UserView {
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.element = element('article.message.user', { 'aria-label': 'You' });
    this.show();
  }
  show() {
    const { message } = this;
    this.element.replaceChildren(element('h2.hidden-text', {}, 'You'),
      message.media.length ? element('div.media', {}, message.media.map(mediumView)) : '',
      message.text ? element('div.bubble', {}, message.text) : '',
      element('div.actions', {},
        iconButton('pencil', 'Edit this message', () => this.edit()),
        copyButton('Copy this message', () => message.text)));
  }
  edit() {
    const area = element('textarea', { 'aria-label': 'Edit the message', rows: Math.min(10, this.message.text.split('\n').length + 1), value: this.message.text });
    const save = () => this.actions.edit(this.message, area.value);
    const cancel = () => { this.show(); this.element.querySelector('.actions button').focus(); };
    area.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') { event.stopPropagation(); cancel(); }
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); save(); }
    });
    this.element.replaceChildren(element('div.editor', {}, area, element('div.row', {},
      element('button', { type: 'button', onclick: cancel }, 'Cancel'),
      element('button.primary', { type: 'button', onclick: save }, 'Send'))));
    area.focus();
  }
}

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// A call of a tool: its name, what it was called with, and its result or the field for one.
class CallCard {
  constructor(call, answer) {
    this.call = call;
    this.arguments = element('pre', { tabindex: '0', 'aria-label': 'Arguments' });
    this.foot = element('div.call-foot');
    this.state = element('span.call-state');
    this.name = element('span.call-name');
    this.answer = answer;
    this.element = element('section.call', { 'aria-label': 'Tool call' },
      element('header', {}, icon('tool'), this.name, this.state), this.arguments, this.foot);
    this.shown = undefined;
  }
  update(pending) {
    const { call } = this;
    this.name.textContent = call.name;
    this.arguments.textContent = pending ? call.arguments : prettyJson(call.arguments);
    const state = pending ? 'calling' : call.result === null ? 'waiting' : 'done';
    this.state.textContent = { calling: 'calling…', waiting: 'waits for you',
      done: Object.hasOwn(kBuiltinTools, call.name) ? 'ran in this page' : 'answered' }[state];
    this.element.dataset.state = state;
    if (this.shown === state) return;
    this.shown = state;
    this.foot.replaceChildren(...(state === 'done' ? this.result() : state === 'waiting' ? this.form() : []));
  }
  result() {
    return [element('div.call-caption', {}, 'Result'), element('pre', { tabindex: '0', 'aria-label': 'Result' }, prettyJson(this.call.result))];
  }
  form() {
    const id = freshId('result');
    const area = element('textarea', { id, rows: 2, placeholder: 'What the tool answers, as text or JSON' });
    const send = () => { this.call.result = area.value; this.answer(); };
    area.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    });
    return [element('label.call-caption', { for: id }, 'You are the tool. Result:'), area,
      element('div.row', {}, element('button.primary', { type: 'button', onclick: send }, 'Give the result'))];
  }
}

const seconds = (value) => (value < 10 ? value.toFixed(1) : Math.round(value)) + ' s';

function statsText({ stats, model, finish }) {
  const parts = [];
  if (model) parts.push(model);
  if (stats) {
    parts.push(`${stats.tokens} ${stats.tokens === 1 ? 'token' : 'tokens'}`);
    if (stats.tokens > 1 && stats.seconds > 0.001) parts.push(`${Math.round((stats.tokens - 1) / stats.seconds)} tokens/s`);
    parts.push(`first after ${stats.firstSeconds < 1 ? `${Math.round(1000 * stats.firstSeconds)} ms` : seconds(stats.firstSeconds)}`);
    if (stats.cached) parts.push(`${stats.cached} of ${stats.prompt} from cache`);
  }
  if (finish === 'stopped') parts.push('stopped');
  if (finish === 'length') parts.push('cut off at the token limit');
  return parts.join(' · ');
}

// actions: {regenerate(message), answered(message)}; pictureBefore() is the blob that boxes are of.
export class AnswerView {
  constructor(message, actions, pictureBefore) {
    this.message = message;
    this.actions = actions;
    this.pictureBefore = pictureBefore;
    this.thought = new MarkdownView();
    this.summary = element('span');
    this.thinking = element('details.thinking', { hidden: true }, element('summary', {}, icon('think'), this.summary, icon('chevron')), this.thought.element);
    this.text = new MarkdownView();
    this.boxes = element('div');
    this.calls = element('div.calls');
    this.cards = [];
    this.error = element('div.error', { role: 'alert', hidden: true });
    this.wait = element('div.wait', { 'aria-hidden': 'true' }, element('i'), element('i'), element('i'));
    this.stats = element('span.stats');
    this.foot = element('div.actions', {}, copyButton('Copy this answer', () => message.text),
      iconButton('redo', 'Regenerate this answer', () => actions.regenerate(message)), this.stats);
    this.element = element('article.message.answer', { 'aria-label': 'Answer' },
      element('h2.hidden-text', {}, 'Answer'), this.thinking, this.boxes, this.text.element, this.calls, this.error, this.wait, this.foot);
    this.update();
  }
  update() {
    const { message } = this;
    this.element.classList.toggle('pending', message.pending);
    this.element.setAttribute('aria-busy', message.pending);
    this.updateThinking();
    this.text.update(message.text);
    this.updateBoxes();
    message.calls.forEach((call, i) => {
      if (!this.cards[i]) {
        this.cards[i] = new CallCard(call, () => this.actions.answered(message));
        this.calls.append(this.cards[i].element);
      }
      this.cards[i].update(message.pending);
    });
    for (const gone of this.cards.splice(message.calls.length)) gone.element.remove();
    this.error.hidden = !message.error;
    if (message.error && this.error.dataset.text !== message.error) {
      this.error.dataset.text = message.error;
      this.error.replaceChildren(icon('alert'), element('span', {}, message.error));
    }
    this.wait.hidden = !message.pending || message.text !== '' || message.calls.length > 0;
    this.foot.hidden = message.pending;
    this.stats.textContent = statsText(message);
  }
  updateThinking() {
    const { message } = this;
    this.thinking.hidden = !message.reasoning;
    if (!message.reasoning) return;
    const isOver = message.thinkingSeconds !== null;
    this.thinking.classList.toggle('running', !isOver);
    this.summary.textContent = isOver ? `Thought for ${message.thinkingSeconds < 1 ? 'a moment' : seconds(message.thinkingSeconds)}` : 'Thinking…';
    this.thought.update(message.reasoning);
  }
  updateBoxes() {
    const boxes = parseBoxes(this.message.text);
    const shown = JSON.stringify(boxes);
    if (shown === this.shownBoxes) return;
    this.shownBoxes = shown;
    const picture = boxes.length ? this.pictureBefore() : null;
    this.boxes.replaceChildren(...(picture ? [boxedPicture(urlOf(picture), boxes)] : []));
  }
}
