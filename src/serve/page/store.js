// What this browser keeps: conversations with their media in IndexedDB, preferences in
// localStorage. Nothing of it is sent anywhere but in requests to the server.

const kDatabase = 'gemma4';
const kConversations = 'conversations';

let opened;
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(kDatabase, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(kConversations, { keyPath: 'id' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function run(mode, work) {
  const transaction = (await database()).transaction(kConversations, mode);
  const request = work(transaction.objectStore(kConversations));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
  });
}

// Newest first.
export async function loadConversations() {
  const all = await run('readonly', (store) => store.getAll());
  return all.sort((a, b) => b.updated - a.updated);
}
export const saveConversation = (conversation) => run('readwrite', (store) => store.put(conversation));
export const deleteConversation = (id) => run('readwrite', (store) => store.delete(id));

export const kDefaultSettings = {
  model: '',  // empty: the server's first
  system: '',
  temperature: '', topP: '', topK: '', maxTokens: '', seed: '',  // empty: as the model was published
  thinking: 'none',
  toolChoice: 'auto',
  builtinTools: [],  // names
  tools: '',         // JSON, as the OpenAI API has it
};

export function newConversation(settings) {
  return { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, title: '', created: Date.now(),
           updated: Date.now(), settings: { ...kDefaultSettings, ...settings }, messages: [] };
}

const kPrefix = 'gemma4.';
export const preferences = {
  get(name, otherwise) {
    try {
      const text = localStorage.getItem(kPrefix + name);
      return text === null ? otherwise : JSON.parse(text);
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(kPrefix + name, JSON.stringify(value));
    } catch { /* a browser that keeps nothing still works */ }
  },
};
