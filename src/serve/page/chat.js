// The conversation in view: its messages, the composer below, and the turn that is running.
import { announce, element, icon, iconButton } from './dom.js';
import { Composer } from './composer.js';
import { AnswerView, UserView } from './message.js';
import { choice, kThinking } from './settings.js';
import { canGoOn, runTurn } from './turn.js';

const kSuggestions = [
  ['chat', 'Say hello', 'Hello! Who are you, and what can you do?'],
  ['think', 'Reason', 'What is 47 plus 38? Think it through.'],
  ['pencil', 'Write code', 'Write a function in Python that checks whether a word is a palindrome.'],
  ['image', 'Find things in a picture', 'Detect all objects in this picture. Answer with JSON: [{"box_2d": [y0, x0, y1, x1], "label": …}]'],
];

// actions: {saved(conversation): something changed, busy(isBusy)}
export class Chat {
  constructor(actions) {
    this.actions = actions;
    this.views = new Map();  // message to its view
    this.log = element('div.log', { role: 'log', 'aria-label': 'Messages', 'aria-live': 'off' });
    this.composer = new Composer({ send: (message) => this.send(message), stop: () => this.stop(), problem: (text) => this.notice(text) });
    this.noticeArea = element('div.error.notice', { role: 'alert', hidden: true });
    this.jump = iconButton('down', 'To the newest message', () => this.follow(true), { class: 'icon-button jump', hidden: true });
    this.scroller = element('div.scroller', { onscroll: () => this.onScroll() }, this.log);
    this.element = element('div.chat', {}, this.scroller,
      element('div.dock', {}, this.jump, this.noticeArea, this.composer.element));
    this.isFollowing = true;
  }

  open(conversation, models) {
    this.stop();
    this.conversation = conversation;
    this.models = models;
    this.views.clear();
    this.isFollowing = true;
    this.showExtras();
    this.notice('');
    this.showAll();
    this.composer.setBusy(false);
  }
  // The settings that one changes most, beside the field.
  showExtras() {
    const { settings } = this.conversation;
    const save = () => this.actions.saved(this.conversation);
    const extras = [element('label.pill', {}, icon('think'), element('span', {}, 'Thinking'), choice('Thinking', kThinking, settings.thinking, (value) => { settings.thinking = value; save(); }))];
    if (this.models.length > 1)
      extras.unshift(element('label.pill', {}, choice('Model', Object.fromEntries(this.models.map((model) => [model.id, model.id])),
        settings.model || this.models[0].id, (value) => { settings.model = value; save(); })));
    const numTools = settings.builtinTools.length + (settings.tools.trim() ? 1 : 0);
    if (numTools) extras.push(element('span.pill', { title: 'Tools are declared in the settings' }, icon('tool'), element('span', {}, 'Tools')));
    this.composer.extras.replaceChildren(...extras);
  }

  showAll() {
    const { messages } = this.conversation;
    this.log.replaceChildren(...(messages.length ? messages.map((message) => this.viewOf(message).element) : [this.welcome()]));
    this.follow(true);
  }
  viewOf(message) {
    if (!this.views.has(message))
      this.views.set(message, message.role === 'user'
        ? new UserView(message, { edit: (which, text) => this.edit(which, text) })
        : new AnswerView(message, { regenerate: (which) => this.regenerate(which), answered: (which) => this.answered(which) },
          () => this.pictureBefore(message)));
    return this.views.get(message);
  }
  pictureBefore(message) {
    const { messages } = this.conversation;
    for (let i = messages.indexOf(message) - 1; i >= 0; --i) {
      const picture = messages[i].media?.findLast((medium) => medium.kind === 'image');
      if (picture) return picture.blob;
    }
    return null;
  }
  welcome() {
    const name = this.conversation.settings.model || this.models[0]?.id;
    return element('div.welcome', {}, element('img', { src: '/page/gem.svg', alt: '', width: 56, height: 56 }),
      element('h2', {}, 'What shall we look at?'),
      element('p', {}, `${name ? `${name} runs` : 'The model runs'} on this server, and nothing leaves it. Drop a picture, a sound or a film, or just ask.`),
      element('div.suggestions', {}, kSuggestions.map(([image, title, text]) =>
        element('button', { type: 'button', onclick: () => this.composer.set(text) }, icon(image), element('b', {}, title), element('span', {}, text)))));
  }

  onScroll() {
    const { scroller } = this;
    this.isFollowing = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
    this.jump.hidden = this.isFollowing;
  }
  follow(force) {
    if (!force && !this.isFollowing) return;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
  notice(text) {
    this.noticeArea.hidden = !text;
    this.noticeArea.replaceChildren(...(text ? [icon('alert'), element('span', {}, text), iconButton('close', 'Dismiss', () => this.notice(''))] : []));
  }

  send(message) {
    const { conversation } = this;
    this.notice(this.obstacle(message.media));
    conversation.messages.push({ role: 'user', ...message });
    if (!conversation.title) conversation.title = (message.text || message.media[0].name).replace(/\s+/g, ' ').slice(0, 60);
    this.showAll();
    return this.run();
  }
  // What the server said about the model speaks against these media; empty: nothing.
  obstacle(media) {
    const wanted = this.conversation.settings.model || this.models[0]?.id;
    const known = this.models.find((model) => model.id === wanted)?.capabilities;
    if (!known) return '';
    if (media.some(({ kind }) => kind !== 'audio') && !known.includes('vision')) return `The model ${wanted} sees no pictures.`;
    if (media.some(({ kind }) => kind === 'audio') && !known.includes('audio')) return `The model ${wanted} hears no sound.`;
    return '';
  }
  cutBefore(message) {
    const { messages } = this.conversation;
    messages.splice(messages.indexOf(message));
  }
  edit(message, text) {
    this.stop();
    this.cutBefore(message);
    this.composer.focus();
    return this.send({ text: text.trim(), media: message.media });
  }
  // From the last words of the person on.
  regenerate(message) {
    this.stop();
    const { messages } = this.conversation;
    const asked = messages.slice(0, messages.indexOf(message)).findLast(({ role }) => role === 'user');
    messages.splice(messages.indexOf(asked) + 1);
    this.showAll();
    this.composer.focus();
    return this.run();
  }
  answered(message) {
    this.viewOf(message).update();
    this.actions.saved(this.conversation);
    if (!canGoOn(message) || this.running) return undefined;
    this.composer.focus();
    return this.run();
  }
  stop() {
    this.running?.abort();
  }

  async run() {
    const running = new AbortController();
    const { conversation } = this;
    const isHere = () => this.conversation === conversation;
    this.running = running;
    this.setBusy(true);
    conversation.updated = Date.now();
    this.actions.saved(conversation);
    announce('The model is answering');
    let frame = 0;
    const last = () => conversation.messages.at(-1);
    await runTurn(conversation, {
      signal: running.signal,
      added: (message) => {
        if (!isHere()) return;
        this.log.append(this.viewOf(message).element);
        this.follow();
      },
      changed: (message) => {  // at most once a frame
        if (!isHere()) return;
        if (!message.pending) { this.viewOf(message).update(); this.follow(); return; }
        frame ||= requestAnimationFrame(() => {
          frame = 0;
          if (!isHere()) return;
          this.viewOf(message).update();
          this.follow();
        });
      },
    });
    conversation.updated = Date.now();
    this.actions.saved(conversation);
    if (this.running !== running) return;
    this.running = null;
    this.setBusy(false);
    announce(ending(last()));
  }
  setBusy(isBusy) {
    this.composer.setBusy(isBusy);
    this.actions.busy(isBusy);
  }
}

function ending(message) {
  if (message.error) return '';  // an alert, which is read out by itself
  if (message.finish === 'stopped') return 'Stopped';
  if (message.calls.some((call) => call.result === null)) return `The model calls ${message.calls.map((call) => call.name).join(', ')} and waits for you`;
  return `Answer: ${message.text.slice(0, 300)}`;
}
