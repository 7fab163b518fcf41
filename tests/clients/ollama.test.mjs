// The `ollama` package against /api/*.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ollama } from 'ollama';
import { busy, person, startServer, until, weather } from './server.mjs';
import { checkedFetch } from './streams.mjs';

let server;
let client;
let checked;
before(async () => {
  server = await startServer();
  checked = checkedFetch();
  client = new Ollama({ host: server.url, fetch: checked.fetch });
});
after(async () => {
  assert.ok(await checked.settle() >= 1, 'streams were checked');
  assert.equal(await server.stop(), 0);
});

const hello = { model: 'demo', messages: [{ role: 'user', content: 'hi' }],
  options: { seed: 3, num_predict: 60 } };

test('tags, show, version', async () => {
  assert.deepEqual((await client.list()).models.map((model) => model.name), ['demo']);
  assert.ok((await client.show({ model: 'demo' })).capabilities.includes('tools'));
  assert.match((await client.version()).version, /^\d/);
});

test('plain and streamed answers are the same', async () => {
  const plain = await client.chat(hello);
  assert.equal(plain.done, true);
  let text = '';
  let endings = 0;
  for await (const part of await client.chat({ ...hello, stream: true })) {
    assert.equal(endings, 0);
    text += part.message.content;
    if (part.done) ++endings;
  }
  assert.equal(endings, 1);
  assert.equal(text, plain.message.content);
});

test('formats, thoughts and generate', async () => {
  const shaped = await client.chat({ ...hello, format: person, options: { num_predict: 200 } });
  assert.match(JSON.parse(shaped.message.content).name, /^(Ann|Bob)$/);
  const thought = await client.chat({ ...hello, think: true, options: { temperature: 0, num_predict: 200 },
    messages: [{ role: 'user', content: 'What is 47 plus 38?' }] });
  assert.match(thought.message.thinking, /15/);
  const generated = await client.generate({ model: 'demo', prompt: 'hi', options: { seed: 3 } });
  assert.ok(generated.response.length > 0);
});

test('tools are declared', async () => {
  const answer = await client.chat({ ...hello, tools: [{ type: 'function', function: weather }] });
  assert.equal(answer.done, true);
});

test('an abort ends the work', async () => {
  const stream = await client.chat({ ...hello, stream: true,
    options: { num_predict: 3000, temperature: 0, frequency_penalty: -100 } });
  let parts = 0;
  await assert.rejects(async () => {
    for await (const _ of stream) if (++parts === 5) stream.abort();
  }, { name: 'AbortError' });
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});

test('errors are those of the client', async () => {
  await assert.rejects(client.chat({ ...hello, model: 'llama9' }), (error) =>
    error.status_code === 404 && /llama9/.test(error.message));
  await assert.rejects(client.chat({ ...hello, options: { top_p: 7 } }), (error) =>
    error.status_code === 400 && /top_p/.test(error.message));
  await assert.rejects(
    client.chat({ ...hello, stream: true, messages: [{ role: 'user', content: 'word '.repeat(9000) }] }),
    (error) => error.status_code === 400 && /4096/.test(error.message));
});

test('embeddings', async () => {
  const { embeddings, prompt_eval_count: tokens } = await client.embed(
    { model: 'demo', input: ['a dog', 'the price of oil'] });
  assert.equal(embeddings.length, 2);
  assert.ok(tokens > 4);
  const length = Math.hypot(...embeddings[0]);
  assert.ok(Math.abs(length - 1) < 1e-4);
  // The older call gives the mean itself.
  const { embedding } = await client.embeddings({ model: 'demo', prompt: 'a dog' });
  const scale = Math.hypot(...embedding);
  embedding.forEach((value, i) => assert.ok(Math.abs(value / scale - embeddings[0][i]) < 1e-4));
});
