// Several models in one server: each is called by its name, and lists have them all.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { makeTinyModel } from './media.mjs';
import { startServer } from './server.mjs';

const demo = `${process.env.GEMMA4_SOURCE}/models/demo`;
let tiny, server, openai;
before(async () => {
  tiny = makeTinyModel();
  server = await startServer([demo, tiny.path, '--name', 'first', '--name', 'second', '--ctx', '512']);
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
  assert.equal(await server.stop(), 0);
  tiny.remove();
});

const messages = [{ role: 'user', content: 'Hello' }];
const settings = { temperature: 0, max_tokens: 8 };

test('lists have all models', async () => {
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['first', 'second']);
  const { models } = await new Ollama({ host: server.url }).list();
  assert.deepEqual(models.map(({ name }) => name.split(':')[0]), ['first', 'second']);
});

test('a request gets the model that it names, also beside others', async () => {
  const ask = async (model) => openai.chat.completions.create({ ...settings, model, messages });
  const [first, second] = [await ask('first'), await ask('second')];
  assert.equal(first.model, 'first');
  assert.equal(second.model, 'second');
  const texts = { first: first.choices[0].message.content, second: second.choices[0].message.content };
  assert.notEqual(texts.first, texts.second);
  const names = Array.from({ length: 24 }, (_, i) => (i % 2 ? 'first' : 'second'));
  const answers = await Promise.all(names.map(ask));
  assert.deepEqual(answers.map((answer) => answer.choices[0].message.content), names.map((name) => texts[name]));
  const anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  const said = await anthropic.messages.create({ model: 'second', max_tokens: 8, temperature: 0, messages });
  assert.equal(said.content[0]?.text ?? '', texts.second);
  const told = await new Ollama({ host: server.url }).chat(
    { model: 'second:latest', messages, options: { temperature: 0, num_predict: 8 } });
  assert.equal(told.message.content, texts.second);
});

test('other names are refused with those that there are', async () => {
  await assert.rejects(openai.chat.completions.create({ model: 'third', messages }),
    /404.*"third" does not exist; this server has first, second/);
});

test('two models of one name are refused before they are loaded', async () => {
  await assert.rejects(startServer([demo, tiny.path, '--name', 'one', '--name', 'one']),
    /ended with 1: .*two models are called "one"/s);
});
