// --routes: a name that stands for several models, a rule deciding by the request, and another server behind this
// one, whose answers come through as they are.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { makeTinyModel } from './media.mjs';
import { startServer } from './server.mjs';
import { checkedFetch } from './streams.mjs';

const demo = `${process.env.GEMMA4_SOURCE}/models/demo`;
let tiny, folder, behind, server, checked, openai;
const client = ({ url }, apiKey = 'none') => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
before(async () => {
  tiny = makeTinyModel();
  folder = mkdtempSync(join(tmpdir(), 'gemma4-routes-'));
  const file = (name, text) => { writeFileSync(join(folder, name), text); return join(folder, name); };
  behind = await startServer([demo, '--name', 'far', '--ctx', '512', '--api-keys', file('keys', 'between\n')]);
  const remote = { endpoint: `${behind.url}/v1`, model: 'far' };
  const routes = file('routes.json', JSON.stringify({
    auto: [{ model: 'small', max_characters: 20, tools: false }, { model: 'large' }],
    'gpt-4o': [{ model: 'large' }],
    away: [{ ...remote, key_file: file('key', 'between\n') }],
    stranger: [{ ...remote, key_file: file('wrong', 'x') }],
    nobody: [{ endpoint: 'http://127.0.0.1:1/v1', model: 'far' }],
    never: [{ model: 'small', max_characters: 0 }],
  }));
  server = await startServer([demo, tiny.path, '--name', 'small', '--name', 'large', '--ctx', '512', '--routes', routes]);
  checked = checkedFetch();
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'mine', maxRetries: 0, fetch: checked.fetch });
});
after(async () => {
  assert.ok(await checked.settle() >= 1, 'streams were checked');
  assert.equal(await server.stop(), 0);
  assert.equal(await behind.stop(), 0);
  tiny.remove();
  rmSync(folder, { recursive: true });
});

const settings = { temperature: 0, max_tokens: 8 };
const ask = (model, content = 'Hello', fields = {}, of = openai) =>
  of.chat.completions.create({ ...settings, ...fields, model, messages: [{ role: 'user', content }] });
const refused = (promise, status, pattern) => assert.rejects(promise, (error) => {
  assert.equal(error.status, status, error.message);
  assert.match(error.message, pattern);
  return true;
});

test('rules choose by the request, and the answer says who answered', async () => {
  assert.equal((await ask('auto')).model, 'small');
  assert.equal((await ask('auto', 'Hello to all of you in there')).model, 'large');
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
  assert.equal((await ask('auto', 'Hello', { tools, tool_choice: 'none' })).model, 'large');
  assert.equal((await ask('gpt-4o')).model, 'large');
  assert.deepEqual((await ask('auto')).choices, (await ask('small')).choices);
  const anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  const said = await anthropic.messages.create({ model: 'gpt-4o', max_tokens: 8, messages: [{ role: 'user', content: 'Hello' }] });
  assert.equal(said.model, 'large');
  await refused(ask('never'), 503, /no rule for "never"/);
  await refused(ask('none'), 404, /this server has small, large, auto, away, gpt-4o/);
});

test('lists have the names', async () => {
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['small', 'large', 'auto', 'gpt-4o', 'never']);
  assert.equal((await openai.models.retrieve('auto')).id, 'auto');
});

test('another server answers, whole and in streams', async () => {
  const direct = await ask('far', 'Hello', {}, client(behind, 'between'));
  const passed = await ask('away');
  assert.equal(passed.model, 'far');
  assert.deepEqual(passed.choices, direct.choices);
  assert.deepEqual({ ...passed.usage, prompt_tokens_details: 0 }, { ...direct.usage, prompt_tokens_details: 0 });
  let text = '', pieces = 0;
  for await (const chunk of await ask('away', 'Hello', { stream: true })) {
    text += chunk.choices[0]?.delta.content ?? '';
    ++pieces;
  }
  assert.equal(text, direct.choices[0].message.content);
  assert.ok(pieces > 3);
  const completion = await openai.completions.create({ model: 'away', prompt: 'Once', ...settings });
  assert.equal(completion.model, 'far');
  await refused(ask('away', 'Hello', { temperature: 'hot' }), 400, /temperature/);
});

test('what the other server cannot do is said, and who leaves ends it there', async () => {
  await refused(ask('stranger'), 502, /refuses this server's key/);
  await refused(ask('nobody'), 502, /the other server: /);
  const anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  await refused(anthropic.messages.create({ model: 'away', max_tokens: 8, messages: [{ role: 'user', content: 'Hello' }] }),
    529, /no rule for/);
  const running = async () =>
    Number(/^gemma4_num_requests_running\S* (\d+)$/m.exec(await (await fetch(`${behind.url}/metrics`)).text())[1]);
  const stream = await client(server).chat.completions.create({ model: 'away', temperature: 1, max_tokens: 400, stream: true,
    n: 8, messages: [{ role: 'user', content: 'Hello' }] });
  let most = 0;
  for await (const _ of stream) {
    most = await running();
    break;  // leaves
  }
  assert.ok(most > 0, 'it runs there');
  for (let i = 0; await running() > 0; ++i) {
    assert.ok(i < 200, 'it goes on');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('files of rules that fit no model are refused at the start', async () => {
  const routes = join(folder, 'wrong.json');
  writeFileSync(routes, '{"auto": [{"model": "none"}]}');
  await assert.rejects(startServer([demo, '--routes', routes]), /ended with 1: .*a rule of "auto" is for "none"/s);
});
