// The panel of a conversation's settings, and the small dialogs.
import { element, freshId, iconButton } from './dom.js';
import { preferences } from './store.js';
import { kBuiltinTools, parseTools } from './tools.js';

export const kThinking = { none: 'off', minimal: 'minimal', low: 'low', medium: 'medium', high: 'any length' };

const kNumbers = [
  ['temperature', 'Temperature', '0 to 2; low is sober, high is lively', { min: 0, max: 2, step: 0.05 }],
  ['topP', 'Top-p', 'share of probability kept', { min: 0, max: 1, step: 0.01 }],
  ['topK', 'Top-k', 'tokens kept; 0: all', { min: 0, step: 1 }],
  ['maxTokens', 'Most tokens', 'of an answer', { min: 1, step: 1 }],
  ['seed', 'Seed', 'same seed, same answer', { min: 0, step: 1 }],
];

function labelled(label, hint, control) {
  const id = freshId('field');
  control.id = id;
  if (hint) control.setAttribute('aria-describedby', `${id}-hint`);
  return element('div.field', {}, element('label', { for: id }, label), control, hint ? element('small', { id: `${id}-hint` }, hint) : null);
}

export function choice(label, options, value, onchange) {
  const select = element('select', { 'aria-label': label, title: label, onchange: () => onchange(select.value) },
    Object.entries(options).map(([name, text]) => element('option', { value: name }, text)));
  select.value = value;
  return select;
}

// A dialog that Escape and a click beside it close.
export function openDialog(what, title, ...content) {
  const id = freshId('dialog');
  const dialog = element(`dialog.${what}`, { 'aria-labelledby': id },
    element('div.dialog-head', {}, element('h2', { id }, title), iconButton('close', 'Close', () => dialog.close())), ...content);
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function confirmDialog(title, text, verb) {
  return new Promise((resolve) => {
    let answer = false;
    const dialog = openDialog('small', title, element('p', {}, text), element('div.row', {},
      element('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
      element('button.danger', { type: 'button', onclick: () => { answer = true; dialog.close(); } }, verb)));
    dialog.addEventListener('close', () => resolve(answer));
  });
}

const kShortcuts = [['Enter', 'send'], ['Shift + Enter', 'new line'], ['Esc', 'stop the answer'], ['/', 'to the message field'],
  ['Alt + N', 'new chat'], ['Alt + K', 'search conversations'], ['Alt + S', 'settings'], ['Alt + M', 'dashboard and back'], ['?', 'this list']];
export function openShortcuts() {
  openDialog('small', 'Shortcuts', element('dl.shortcuts', {}, kShortcuts.map(([keys, what]) => element('div', {},
    element('dt', {}, keys.split(' + ').flatMap((key, i) => [i ? ' + ' : '', element('kbd', {}, key)])), element('dd', {}, what)))));
}

function toolFields(settings, changed) {
  const problem = element('small.problem', { role: 'alert' });
  const check = () => {
    try {
      parseTools(settings.tools);
      problem.textContent = '';
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  const area = element('textarea.mono', { rows: 6, spellcheck: 'false', value: settings.tools,
    placeholder: '[{"name": "get_weather", "description": "The weather in a city",\n  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}]',
    oninput: () => { settings.tools = area.value; check(); changed(); } });
  check();
  const builtin = Object.entries(kBuiltinTools).map(([name, tool]) => {
    const box = element('input', { type: 'checkbox', checked: settings.builtinTools.includes(name), onchange: () => {
      settings.builtinTools = settings.builtinTools.filter((other) => other !== name).concat(box.checked ? [name] : []);
      changed();
    } });
    return element('label.check', {}, box, tool.label);
  });
  return [element('div.field', {}, element('span.caption', {}, 'Run in this page'), element('div.checks', {}, builtin)),
    labelled('Your tools, as JSON', 'You answer their calls by hand, in the card of the call.', area), problem,
    labelled('Calls', null, choice('Calls', { auto: 'when the model wants', required: 'at least one', none: 'never' }, settings.toolChoice,
      (value) => { settings.toolChoice = value; changed(); }))];
}

// changed() after every change of `settings`; keyChanged() after one of the API key.
export function openSettings(settings, models, { changed, keyChanged }) {
  const text = (name, control) => {
    control.value = settings[name];
    control.addEventListener('input', () => { settings[name] = control.value; changed(); });
    return control;
  };
  const names = Object.fromEntries([['', models.length ? `first (${models[0].id})` : 'first'], ...models.map((model) => [model.id, model.id])]);
  const key = element('input', { type: 'password', autocomplete: 'off', placeholder: 'none', value: preferences.get('apiKey', ''),
    onchange: () => { preferences.set('apiKey', key.value.trim()); keyChanged(); } });
  openDialog('drawer', 'Settings', element('div.dialog-body', {},
    element('h3', {}, 'This conversation'),
    labelled('Model', null, choice('Model', names, settings.model, (value) => { settings.model = value; changed(); })),
    labelled('Thinking', 'how long the model may think before it answers', choice('Thinking', kThinking, settings.thinking,
      (value) => { settings.thinking = value; changed(); })),
    labelled('System prompt', null, text('system', element('textarea', { rows: 4, placeholder: 'Who the model is and how it should answer' }))),
    element('h3', {}, 'Sampling'),
    element('div.grid', {}, kNumbers.map(([name, label, hint, limits]) =>
      labelled(label, hint, text(name, element('input', { type: 'number', placeholder: 'default', inputmode: 'decimal', ...limits }))))),
    element('h3', {}, 'Tools'), toolFields(settings, changed),
    element('h3', {}, 'Server'),
    labelled('API key', 'Kept in this browser; only where the server wants one.', key)));
}
