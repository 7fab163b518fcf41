// The list of conversations, and the ways to the dashboard and to help.
import { element, icon, iconButton } from './dom.js';
import { titleOf } from './export.js';

function groupOf(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = (midnight - time) / 86400000;
  return days <= 0 ? 'Today' : days <= 1 ? 'Yesterday' : days <= 7 ? 'Last week' : 'Earlier';
}

// actions: {create(), open(conversation), rename(conversation, title), remove(conversation), dashboard(), theme(), help()}
export class Sidebar {
  constructor(root, actions) {
    this.actions = actions;
    this.search = element('input', { type: 'search', placeholder: 'Search', 'aria-label': 'Search conversations', oninput: () => this.update() });
    this.list = element('div.conversations');
    this.status = element('div.server', {}, element('i.dot'), element('span'));
    this.dashboard = element('button.nav', { type: 'button', onclick: actions.dashboard }, icon('chart'), 'Dashboard');
    this.theme = iconButton('moon', 'Dark colours', actions.theme);
    root.append(
      element('div.brand', {}, element('img', { src: '/page/gem.svg', alt: '', width: 26, height: 26 }), element('span', {}, 'gemma4'),
        iconButton('close', 'Close the list', actions.close, { class: 'icon-button only-narrow' })),
      element('button.new', { type: 'button', onclick: actions.create }, icon('plus'), 'New chat'),
      element('label.search', {}, icon('search'), this.search),
      this.list,
      element('div.sidebar-foot', {}, this.dashboard,
        element('div.foot-row', {}, this.status, this.theme, iconButton('help', 'Shortcuts', actions.help))));
  }
  // The state to show: {conversations, current, busy, isDashboard}
  set(state) {
    this.state = state;
    this.update();
  }
  update() {
    const { conversations, current, isDashboard } = this.state;
    this.dashboard.setAttribute('aria-current', isDashboard ? 'page' : 'false');
    const wanted = this.search.value.trim().toLowerCase();
    const matches = (conversation) => !wanted || titleOf(conversation).toLowerCase().includes(wanted) ||
      conversation.messages.some((message) => message.text.toLowerCase().includes(wanted));
    const groups = new Map();
    for (const conversation of conversations.filter(matches)) {
      const name = groupOf(conversation.updated);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(this.item(conversation, !isDashboard && conversation === current));
    }
    this.list.replaceChildren(...[...groups].flatMap(([name, items]) => [element('h2', {}, name), element('ul', {}, items)]));
    if (!groups.size) this.list.append(element('p.empty', {}, wanted ? 'Nothing found.' : 'Your conversations will be here. They stay in this browser.'));
  }
  item(conversation, isCurrent) {
    const title = titleOf(conversation);
    const row = element('li', {},
      element('button.open', { type: 'button', title, 'aria-current': isCurrent ? 'page' : null, onclick: () => this.actions.open(conversation) }, title),
      iconButton('pencil', `Rename ${title}`, () => this.rename(conversation, row)),
      iconButton('trash', `Delete ${title}`, () => this.actions.remove(conversation)));
    if (isCurrent) row.classList.add('current');
    return row;
  }
  rename(conversation, row) {
    let isDone = false;
    const finish = (save) => {
      if (isDone) return;
      isDone = true;
      if (save && input.value.trim()) this.actions.rename(conversation, input.value.trim());
      this.update();
    };
    const input = element('input', { value: titleOf(conversation), 'aria-label': 'Title', onblur: () => finish(true),
      onkeydown: (event) => {
        event.stopPropagation();
        if (event.key === 'Enter') finish(true);
        if (event.key === 'Escape') finish(false);
      } });
    row.replaceChildren(input);
    input.select();
  }
  setServer(state, text) {
    this.status.dataset.state = state;
    this.status.lastChild.textContent = text;
  }
  setTheme(isDark) {
    this.theme.replaceChildren(icon(isDark ? 'sun' : 'moon'));
    const label = isDark ? 'Light colours' : 'Dark colours';
    this.theme.setAttribute('aria-label', label);
    this.theme.title = label;
  }
}
