// The field that messages are written in, with what is attached to them.
import { announce, element, icon, iconButton } from './dom.js';
import { kAccepted, mediumOf, microphoneObstacle, startRecording } from './media.js';
import { mediumView } from './message.js';

const kKindIcons = { image: 'image', audio: 'sound', video: 'film' };

// actions: {send({text, media}), stop(), problem(sentence)}
export class Composer {
  constructor(actions) {
    this.actions = actions;
    this.media = [];
    this.isBusy = false;
    this.area = element('textarea', { id: 'prompt', rows: 1, placeholder: 'Ask anything', 'aria-label': 'Message',
      'aria-keyshortcuts': '/', autocomplete: 'off', oninput: () => this.grow(), onkeydown: (event) => this.onKey(event),
      onpaste: (event) => { if (event.clipboardData.files.length) { event.preventDefault(); this.attach(event.clipboardData.files); } } });
    this.file = element('input', { type: 'file', multiple: true, accept: kAccepted, hidden: true, 'aria-label': 'Files to attach',
      onchange: () => { this.attach(this.file.files); this.file.value = ''; } });
    this.tray = element('ul.tray', { 'aria-label': 'Attached', hidden: true });
    this.mic = iconButton('mic', 'Record from the microphone', () => this.record(), { 'aria-pressed': 'false' });
    this.extras = element('div.extras');
    this.button = element('button.send', { type: 'submit', 'aria-label': 'Send', title: 'Send (Enter)' }, icon('send'));
    this.element = element('form.composer', { 'aria-label': 'New message', onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.tray, this.area,
      element('div.composer-row', {}, iconButton('attach', 'Attach pictures, sound or video', () => this.file.click()), this.mic,
        this.extras, this.button, this.file));
    this.acceptDrops();
  }
  focus() { this.area.focus(); }
  set(text) { this.area.value = text; this.grow(); this.focus(); }
  grow() {
    this.area.style.height = 'auto';
    this.area.style.height = `${Math.min(this.area.scrollHeight, 240)}px`;
  }
  onKey(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.submit();
  }
  submit() {
    if (this.isBusy) return this.actions.stop();
    const text = this.area.value.trim();
    if (!text && !this.media.length) return undefined;
    const message = { text, media: this.media };
    this.media = [];
    this.showTray();
    this.area.value = '';
    this.grow();
    return this.actions.send(message);
  }
  setBusy(isBusy) {
    this.isBusy = isBusy;
    this.button.replaceChildren(icon(isBusy ? 'stop' : 'send'));
    this.button.setAttribute('aria-label', isBusy ? 'Stop' : 'Send');
    this.button.title = isBusy ? 'Stop (Esc)' : 'Send (Enter)';
    this.button.classList.toggle('stop', isBusy);
  }
  attach(files) {
    for (const file of files) {
      const medium = mediumOf(file);
      if (medium) this.media.push(medium);
      else this.actions.problem(`${file.name} is no picture, sound or video.`);
    }
    this.showTray();
    this.focus();
  }
  showTray() {
    this.tray.hidden = this.media.length === 0;
    this.tray.replaceChildren(...this.media.map((medium) => element('li', {},
      medium.kind === 'image' ? mediumView(medium) : element('span.chip', {}, icon(kKindIcons[medium.kind]), medium.name),
      iconButton('close', `Remove ${medium.name}`, () => {
        this.media.splice(this.media.indexOf(medium), 1);
        this.showTray();
        this.focus();
      }))));
    if (this.media.length) announce(`${this.media.length} attached`);
  }
  async record() {
    const obstacle = microphoneObstacle();
    if (obstacle) return this.actions.problem(obstacle);
    try {
      if (this.recording) {
        const { recording } = this;
        this.recording = null;
        this.showRecording(false);
        this.media.push(await recording.stop());
        this.showTray();
      } else {
        this.recording = await startRecording();
        this.showRecording(true);
      }
    } catch (error) {
      this.showRecording(false);
      this.actions.problem(error.name === 'NotAllowedError' ? 'The browser does not allow this page the microphone.' : `Recording failed: ${error.message}.`);
    }
    return undefined;
  }
  showRecording(on) {
    this.mic.classList.toggle('recording', on);
    this.mic.setAttribute('aria-pressed', on);
    this.mic.setAttribute('aria-label', on ? 'Stop recording' : 'Record from the microphone');
    if (on) announce('Recording');
  }
  acceptDrops() {
    let depth = 0;  // enter and leave come for every element below
    const show = (on) => document.body.classList.toggle('dropping', on);
    const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
    window.addEventListener('dragenter', (event) => { if (hasFiles(event)) { ++depth; show(true); } });
    window.addEventListener('dragleave', (event) => { if (hasFiles(event) && --depth <= 0) { depth = 0; show(false); } });
    window.addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
    window.addEventListener('drop', (event) => {
      depth = 0;
      show(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.attach(event.dataTransfer.files);
    });
  }
}
