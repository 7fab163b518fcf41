// Colours for code: highlight.js finds the words, here they become elements.
import { element } from './dom.js';
import hljs from './vendor/highlight/core.js';

const kLanguages = ['bash', 'c', 'cpp', 'diff', 'go', 'java', 'javascript', 'json', 'python', 'rust', 'sql', 'typescript', 'xml', 'yaml'];
const kOtherNames = { sh: 'bash', shell: 'bash', console: 'bash', zsh: 'bash', 'c++': 'cpp', cc: 'cpp', cuda: 'cpp',
  h: 'cpp', hpp: 'cpp', js: 'javascript', mjs: 'javascript', jsx: 'javascript', ts: 'typescript',
  tsx: 'typescript', py: 'python', rs: 'rust', html: 'xml', svg: 'xml', yml: 'yaml', golang: 'go',
  patch: 'diff', jsonc: 'json' };

const loading = new Map();  // name to the promise of its grammar
function load(name) {
  if (!loading.has(name))
    loading.set(name, import(`./vendor/highlight/${name}.js`).then(
      (module) => { hljs.registerLanguage(name, module.default); return true; },
      () => false));
  return loading.get(name);
}

// The tree of highlight.js: nodes of {scope, children} and strings.
function nodesOf(children) {
  return children.map((child) => {
    if (typeof child === 'string') return child;
    const classes = (child.scope ?? '').split('.').filter((part) => /^[a-z_-]+$/i.test(part));
    return element('span', { class: classes.map((part) => `hl-${part}`).join(' ') }, nodesOf(child.children));
  });
}

// Beyond this the colouring of a growing block costs more than it shows.
const kMostCharacters = 60000;

// Fills `into` with coloured `text`; at once as plain text where the grammar is still on its way.
export function highlight(into, text, language) {
  const given = (language ?? '').toLowerCase();
  const name = kOtherNames[given] ?? given;
  into.textContent = text;
  if (!kLanguages.includes(name) || text.length > kMostCharacters) return;
  const paint = () => {
    if (into.textContent !== text) return;  // it has grown since
    try {
      into.replaceChildren(...nodesOf(hljs.highlight(text, { language: name, ignoreIllegals: true })._emitter.rootNode.children));
    } catch { /* a grammar that fails leaves the text as it is */ }
  };
  if (hljs.getLanguage(name)) paint();
  else load(name).then((isThere) => isThere && paint());
}
