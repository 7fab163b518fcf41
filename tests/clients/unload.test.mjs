// --idle-unload: a model that nobody uses gives its memory back and comes again for the next request, Ollama's
// keep_alive, loads that fail, signals meanwhile.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Ollama } from 'ollama';
import { startServer, until } from './server.mjs';

let folder;
before(() => { folder = mkdtempSync(join(tmpdir(), 'gemma4-unload-')); });
after(() => rmSync(folder, { recursive: true }));

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function ask({ url }, content = 'Hello', fields = {}) {
  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST',
    body: JSON.stringify({ messages: [{ role: 'user', content }], temperature: 0, max_tokens: 8, ...fields }) });
  return { status: answer.status, retry: answer.headers.get('retry-after'), body: await answer.json() };
}
const content = ({ status, body }) => {
  assert.equal(status, 200, JSON.stringify(body));
  return body.choices[0].message.content;
};
const metric = async ({ url }, name) => Number(
  new RegExp(`^gemma4_${name}\\S* (\\d+)$`, 'm').exec(await (await fetch(`${url}/metrics`)).text())[1]);
const isUnloaded = (server) => until(async () => await metric(server, 'model_loaded') === 0, 'an unloaded model');
const megabytes = ({ pid }, kind) =>
  Number(new RegExp(`${kind}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
const events = (server, name) => server.log().split('\n').filter((line) => line.includes(`"event":"${name}"`));

test('memory goes and comes, answers stay the same, lists go on', async (t) => {
  const server = await startServer(['--idle-unload', '300ms']);
  const long = Array.from({ length: 8 }, (_, i) => `${i}: ${'Once there was a clock. '.repeat(60)}`);
  const answers = (await Promise.all(long.map((text) => ask(server, text)))).map(content);
  const full = megabytes(server, 'VmRSS');
  await isUnloaded(server);
  await until(() => events(server, 'model_unloaded').length === 1, 'a line in the log');
  const empty = megabytes(server, 'VmRSS'), own = megabytes(server, 'RssAnon');
  for (const path of ['/health', '/ready', '/v1/models', '/api/tags', '/api/ps'])
    assert.equal((await fetch(server.url + path)).status, 200, path);
  assert.equal(await metric(server, 'model_loads'), 0);
  assert.deepEqual((await Promise.all(long.map((text) => ask(server, text)))).map(content), answers);
  assert.equal(await metric(server, 'model_loads'), 1);
  const loaded = JSON.parse(events(server, 'model_loaded')[0]);
  const said = `${full.toFixed(1)} MB; unloaded ${empty.toFixed(1)} MB, of which ${own.toFixed(1)} MB are not of files`;
  t.diagnostic(`${said}; loaded again in ${loaded.ms} ms`);
  assert.ok(full - empty > 30, said);  // the file has 14, the cache as much and more
  assert.equal(await server.stop(), 0);
});

test('many clients while it comes and goes', async () => {
  const server = await startServer(['--idle-unload', '5ms']);
  const expected = new Map();
  for (let i = 0; i < 4; ++i) expected.set(i, content(await ask(server, `${i}?`)));
  const clients = Array.from({ length: 12 }, async (_, client) => {
    for (let i = 0; i < 10; ++i) {
      await wait(Math.random() * 80);
      if ((i + client) % 7 === 0) {  // leaves, perhaps while it waits for the model
        await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', signal: AbortSignal.timeout(1 + (7 * i) % 20),
          body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], stream: true }) }).then((answer) => answer.text()).catch(() => {});
        continue;
      }
      const which = (i + client) % 4;
      assert.equal(content(await ask(server, `${which}?`)), expected.get(which));
    }
  });
  await Promise.all(clients);
  await isUnloaded(server);
  assert.ok(await metric(server, 'model_unloads') > 1);
  assert.equal(await metric(server, 'model_failed_loads'), 0);
  assert.equal(await metric(server, 'num_requests_running'), 0);
  assert.equal(await server.stop(), 0);
});

test('keep_alive says how long, and ollama loads, lists and stops', async () => {
  const server = await startServer(['--idle-unload', '1h']);
  const client = new Ollama({ host: server.url });
  const [{ expires_at: first }] = (await client.ps()).models;
  assert.ok(new Date(first) - Date.now() > 59 * 60e3, first);
  await client.chat({ model: 'demo', messages: [{ role: 'user', content: 'hi' }], keep_alive: '5h' });
  assert.ok(new Date((await client.ps()).models[0].expires_at) - Date.now() > 4.9 * 3600e3);
  assert.equal((await client.generate({ model: 'demo', prompt: '', keep_alive: 0 })).done_reason, 'unload');
  await isUnloaded(server);
  assert.deepEqual((await client.ps()).models, []);
  assert.equal((await client.generate({ model: 'demo', prompt: '' })).done_reason, 'load');
  assert.equal(await metric(server, 'model_loaded'), 1);
  await client.embed({ model: 'demo', input: 'a dog', keep_alive: 0 });
  await isUnloaded(server);
  assert.equal(await server.stop(), 0);
});

test('what it knew of prompts is on the disk before, and known after', async () => {
  const cache = join(folder, 'prefixes');
  const server = await startServer(['--idle-unload', '50ms', '--cache-dir', cache]);
  const text = 'Once there was a clock that told the weather. '.repeat(12);
  const cold = await ask(server, text);
  await isUnloaded(server);
  await until(() => events(server, 'model_unloaded').length > 0, 'a line in the log');
  assert.ok(readdirSync(cache).some((name) => name.endsWith('.prefix')));
  const again = await ask(server, text);
  assert.equal(content(again), content(cold));
  assert.ok(again.body.usage.prompt_tokens_details.cached_tokens > 100);
  assert.equal(await server.stop(), 0);
});

test('a load that fails is a 503, and the next request tries again', async () => {
  const model = join(folder, 'model');
  cpSync(join(process.env.GEMMA4_SOURCE, 'models/demo'), model, { recursive: true });
  const server = await startServer([model, '--idle-unload', '50ms']);
  const expected = content(await ask(server));
  await isUnloaded(server);
  renameSync(join(model, 'model.safetensors'), join(model, 'away'));
  for (const { status, retry, body } of await Promise.all([ask(server), ask(server), ask(server)])) {
    assert.equal(status, 503);
    assert.ok(Number(retry) > 0);
    assert.match(body.error.message, /the model "model" cannot be loaded now/);
    assert.ok(!body.error.message.includes(folder));
  }
  assert.match(server.log(), /model_load_failed/);
  assert.equal((await fetch(`${server.url}/ready`)).status, 200);
  renameSync(join(model, 'away'), join(model, 'model.safetensors'));
  assert.equal(content(await ask(server)), expected);
  assert.equal(await server.stop(), 0);
});

test('a signal at any moment ends the server in order', async () => {
  for (let round = 0; round < 8; ++round) {
    const server = await startServer(['--idle-unload', '5ms']);
    await isUnloaded(server);
    const asking = ask(server).catch(() => ({ status: 503 }));  // came after the signal: nobody listens
    await wait(round * 6);  // before, during and after the load
    const [{ status }, code] = await Promise.all([asking, server.stop()]);
    assert.ok(status === 200 || status === 503, `${status}`);
    assert.equal(code, 0);
  }
});

test('lengths of time that are none are refused', async () => {
  for (const wrong of ['0', '-1', '5 minutes', 'never'])
    await assert.rejects(startServer([`--idle-unload=${wrong}`]), /ended with 2: .*--idle-unload: must be a length of time/s);
});
