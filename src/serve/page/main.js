// Puts the page together: the sidebar, and beside it a conversation or the dashboard.
import { listModels } from './api.js';
import { Chat } from './chat.js';
import { Dashboard } from './dashboard.js';
import { announce, element, icon, iconButton } from './dom.js';
import { exportJson, exportMarkdown, titleOf } from './export.js';
import { confirmDialog, openSettings, openShortcuts } from './settings.js';
import { Sidebar } from './sidebar.js';
import { deleteConversation, loadConversations, newConversation, preferences, saveConversation } from './store.js';

const state = { conversations: [], current: null, isDashboard: false, models: [] };
const main = document.getElementById('main');
const scrim = document.getElementById('scrim');

const dashboard = new Dashboard();
const chat = new Chat({ saved, busy: (isBusy) => document.body.classList.toggle('busy', isBusy) });
const sidebar = new Sidebar(document.getElementById('sidebar'), {
  create, open, remove, close: () => showSidebar(false), dashboard: () => showDashboard(true),
  rename: (conversation, title) => { conversation.title = title; saved(conversation); },
  theme: () => setTheme(isDark() ? 'light' : 'dark'), help: openShortcuts,
});

// --- colours
const system = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (preferences.get('theme', null) ?? (system.matches ? 'dark' : 'light')) === 'dark';
function setTheme(theme) {
  if (theme) preferences.set('theme', theme);
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
  sidebar.setTheme(isDark());
}
system.addEventListener('change', () => setTheme(null));

// --- the bar above
const title = element('h1');
const exportMenu = element('details.menu', {}, element('summary.icon-button', { 'aria-label': 'Export', title: 'Export' }, icon('download')),
  element('div.menu-items', {},
    element('button', { type: 'button', onclick: () => exported(exportMarkdown) }, 'As Markdown'),
    element('button', { type: 'button', onclick: () => exported(exportJson) }, 'As JSON')));
const settingsButton = iconButton('sliders', 'Settings', showSettings);
const menuButton = iconButton('menu', 'Show conversations', () => showSidebar(true), { class: 'icon-button only-narrow' });
const newButton = iconButton('plus', 'New chat', create, { class: 'icon-button only-narrow' });
function exported(save) {
  exportMenu.open = false;
  save(state.current);
}
document.addEventListener('click', (event) => { if (!exportMenu.contains(event.target)) exportMenu.open = false; });
main.replaceChildren(element('header.top', {}, menuButton, title, exportMenu, settingsButton, newButton), chat.element, dashboard.element);

function refresh() {
  title.textContent = state.isDashboard ? 'Dashboard' : titleOf(state.current);
  document.title = state.isDashboard ? 'Dashboard · gemma4' : state.current.title ? `${state.current.title} · gemma4` : 'gemma4';
  chat.element.hidden = state.isDashboard;
  dashboard.element.hidden = !state.isDashboard;
  settingsButton.hidden = state.isDashboard;
  exportMenu.hidden = state.isDashboard || !state.current.messages.length;
  sidebar.set(state);
}

// --- conversations
async function saved(conversation) {
  if (!conversation.messages.length) return;
  if (!state.conversations.includes(conversation)) state.conversations.unshift(conversation);
  state.conversations.sort((a, b) => b.updated - a.updated);
  refresh();
  preferences.set('current', state.current.id);
  try {
    await saveConversation(conversation);
  } catch {
    chat.notice('This browser cannot keep the conversation: its storage is full or closed to this page.');
  }
}
function open(conversation) {
  state.current = conversation;
  preferences.set('current', conversation.id);
  chat.open(conversation, state.models);
  showDashboard(false);
  showSidebar(false);
  chat.composer.focus();
}
function create() {
  open(newConversation(preferences.get('settings', {})));
}
async function remove(conversation) {
  if (!await confirmDialog('Delete this conversation?', `“${titleOf(conversation)}” will be gone for good.`, 'Delete')) return;
  await deleteConversation(conversation.id);
  state.conversations = state.conversations.filter((other) => other !== conversation);
  announce('Deleted');
  if (conversation === state.current) create();
  else refresh();
}

function showSettings() {
  const { settings } = state.current;
  openSettings(settings, state.models, {
    changed: () => {
      preferences.set('settings', settings);
      chat.showExtras();
      saved(state.current);
    },
    keyChanged: findModels,
  });
}
function showDashboard(on) {
  state.isDashboard = on;
  if (on) dashboard.start();
  else dashboard.stop();
  const hash = on ? '#dashboard' : '';
  if (location.hash !== hash) history.replaceState(null, '', hash || location.pathname);
  showSidebar(false);
  refresh();
}
function showSidebar(on) {
  document.body.classList.toggle('with-sidebar', on);
  scrim.hidden = !on;
  if (on) document.querySelector('#sidebar .new').focus();
}
scrim.addEventListener('click', () => showSidebar(false));

// --- the server
async function findModels() {
  try {
    state.models = await listModels();
    sidebar.setServer('up', state.models.map((model) => model.id).join(', '));
    chat.notice('');
  } catch (error) {
    state.models = [];
    sidebar.setServer('down', error.status === 401 ? 'wants an API key' : 'not reached');
    if (error.status === 401) chat.notice('This server wants an API key: enter it in the settings.');
    else chat.notice(error.message);
  }
  if (!chat.running && state.current) {
    chat.models = state.models;
    chat.showExtras();
    if (!state.current.messages.length) chat.showAll();
  }
}

// --- keys
const kAlt = { KeyN: create, KeyS: showSettings, KeyM: () => showDashboard(!state.isDashboard),
  KeyK: () => { showSidebar(true); sidebar.search.focus(); } };
document.addEventListener('keydown', (event) => {
  if (document.querySelector('dialog[open]')) return;
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.altKey && !event.ctrlKey && !event.metaKey && kAlt[event.code]) {
    event.preventDefault();
    kAlt[event.code]();
  } else if (event.key === 'Escape') {
    if (exportMenu.open) { exportMenu.open = false; exportMenu.firstChild.focus(); }
    else if (document.body.classList.contains('with-sidebar')) { showSidebar(false); menuButton.focus(); }
    else chat.stop();
  } else if (!isTyping && event.key === '/') {
    event.preventDefault();
    chat.composer.focus();
  } else if (!isTyping && event.key === '?') {
    openShortcuts();
  }
});

async function start() {
  setTheme(null);
  try {
    state.conversations = await loadConversations();
  } catch { /* a browser that keeps nothing */ }
  for (const message of state.conversations.flatMap((conversation) => conversation.messages))
    if (message.pending) Object.assign(message, { pending: false, finish: 'stopped' });
  const wantsDashboard = location.hash === '#dashboard';
  const last = state.conversations.find((conversation) => conversation.id === preferences.get('current', ''));
  if (last) open(last);
  else create();
  if (wantsDashboard) showDashboard(true);
  await findModels();
}
start();
