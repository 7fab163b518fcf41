// The `openai` package against /v1/chat/completions, /v1/completions and /v1/models.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { busy, parallelCalls, person, startServer, time, until, weather } from './server.mjs';
import { checkedFetch } from './streams.mjs';

let server;
let client;
let checked;
before(async () => {
  server = await startServer();
  checked = checkedFetch();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, fetch: checked.fetch });
});
after(async () => {
  assert.ok(await checked.settle() >= 2, 'streams were checked');
  assert.equal(await server.stop(), 0);
});

const hello = { model: 'demo', messages: [{ role: 'user', content: 'hi' }], seed: 3, max_tokens: 60 };
const tools = [{ type: 'function', function: weather }];

test('models', async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['demo']);
  assert.equal((await client.models.retrieve('demo')).object, 'model');
});

test('plain and streamed answers are the same', async () => {
  const plain = await client.chat.completions.create(hello);
  assert.equal(plain.choices[0].finish_reason, 'stop');
  assert.ok(plain.choices[0].message.content.length > 0);
  let text = '';
  let endings = 0;
  let usage;
  const stream = await client.chat.completions.create(
    { ...hello, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    if (chunk.usage) usage = chunk.usage;
    for (const choice of chunk.choices) {
      assert.equal(endings, 0, 'a chunk after the last');
      text += choice.delta.content ?? '';
      if (choice.finish_reason) ++endings;
    }
  }
  assert.equal(text, plain.choices[0].message.content);
  assert.equal(endings, 1);
  assert.deepEqual(
    [usage.prompt_tokens, usage.completion_tokens],
    [plain.usage.prompt_tokens, plain.usage.completion_tokens]);
});

test('thinking', async () => {
  const answer = await client.chat.completions.create(
    { ...hello, messages: [{ role: 'user', content: 'What is 47 plus 38?' }], temperature: 0,
      reasoning_effort: 'high', max_tokens: 200 });
  assert.match(answer.choices[0].message.reasoning_content, /15/);
  assert.match(answer.choices[0].message.content, /85/);
  assert.ok(answer.usage.completion_tokens_details.reasoning_tokens > 0);
});

test('a tool that must be called, and what is said to its result', async () => {
  const call = await client.chat.completions.create({ ...hello, tools, tool_choice: 'required' });
  assert.equal(call.choices[0].finish_reason, 'tool_calls');
  const [made] = call.choices[0].message.tool_calls;
  assert.equal(made.function.name, 'get_weather');
  assert.match(JSON.parse(made.function.arguments).city, /^(Oslo|Rome)$/);
  const after = await client.chat.completions.create({
    ...hello, tools,
    messages: [...hello.messages, call.choices[0].message,
      { role: 'tool', tool_call_id: made.id, content: '18 C' }],
  });
  assert.ok(after.choices[0].finish_reason);
});

test('streamed calls through the helper of the client', async () => {
  const runner = client.chat.completions.stream(
    { ...hello, tools, tool_choice: { type: 'function', function: { name: 'get_weather' } },
      parallel_tool_calls: false });
  const message = await runner.finalMessage();
  assert.equal(message.tool_calls.length, 1);
  assert.match(JSON.parse(message.tool_calls[0].function.arguments).city, /^(Oslo|Rome)$/);
});

test('parallel calls, streamed', async () => {
  const declared = [weather, time].map((each) => ({ type: 'function', function: each }));
  const { request, calls } = await parallelCalls(server.url, { messages: hello.messages, tools: declared });
  const message = await client.chat.completions.stream(
    { model: 'demo', messages: hello.messages, tools: declared, tool_choice: 'required', ...request }).finalMessage();
  assert.deepEqual(message.tool_calls.map((call) => [call.function.name, call.function.arguments]),
    calls.map((call) => [call.name, call.arguments]));
  assert.equal(new Set(message.tool_calls.map((call) => call.id)).size, calls.length);
});

test('a schema', async () => {
  const answer = await client.chat.completions.create({
    ...hello, max_tokens: 200,
    response_format: { type: 'json_schema', json_schema: { name: 'person', strict: true, schema: person } } });
  const value = JSON.parse(answer.choices[0].message.content);
  assert.match(value.name, /^(Ann|Bob)$/);
  assert.ok(Number.isInteger(value.age) && value.age >= 1 && value.age <= 99);
});

test('several answers, log-probabilities, stop strings', async () => {
  const answer = await client.chat.completions.create({ ...hello, n: 3, logprobs: true, top_logprobs: 2 });
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2]);
  for (const choice of answer.choices) {
    assert.equal(choice.logprobs.content.map((entry) => entry.token).join(''), choice.message.content);
    for (const entry of choice.logprobs.content) assert.equal(entry.top_logprobs.length, 2);
  }
  const first = answer.choices[0].message.content;
  const stop = first.slice(2, 5);
  const cut = await client.chat.completions.create({ ...hello, stop: [stop] });
  assert.equal(cut.choices[0].message.content, first.slice(0, first.indexOf(stop)));
});

test('raw completions', async () => {
  const answer = await client.completions.create(
    { model: 'demo', prompt: 'Once upon a time', max_tokens: 8, echo: true, temperature: 0 });
  assert.ok(answer.choices[0].text.startsWith('Once upon a time'));
});

test('an abort ends the work', async () => {
  const endless = { ...hello, max_tokens: 3000, temperature: 0, frequency_penalty: -100, stream: true };
  const stream = await client.chat.completions.create(endless);
  let chunks = 0;
  for await (const _ of stream) {
    if (++chunks === 5) {
      assert.equal(await busy(server.url), 1);
      stream.controller.abort();
    }
  }
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});

test('many at once get their own answers', async () => {
  const alone = [];
  for (let seed = 0; seed < 4; ++seed)
    alone.push((await client.chat.completions.create({ ...hello, seed })).choices[0].message.content);
  const together = await Promise.all(Array.from({ length: 32 }, (_, i) =>
    client.chat.completions.create({ ...hello, seed: i % 4 })));
  together.forEach((answer, i) => assert.equal(answer.choices[0].message.content, alone[i % 4]));
});

test('errors are those of the client', async () => {
  await assert.rejects(client.chat.completions.create({ ...hello, model: 'gpt-9' }), (error) =>
    error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
  await assert.rejects(client.chat.completions.create({ ...hello, temperature: 'hot' }), (error) =>
    error instanceof OpenAI.BadRequestError && error.param === 'temperature');
  const long = 'word '.repeat(9000);
  await assert.rejects(
    client.chat.completions.create({ ...hello, messages: [{ role: 'user', content: long }] }),
    (error) => error.status === 400 && error.code === 'context_length_exceeded' && /4096/.test(error.message));
  const image = [{ type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } }];
  await assert.rejects(
    client.chat.completions.create({ ...hello, messages: [{ role: 'user', content: image }] }),
    (error) => error.status === 400 && /does not see/.test(error.message));
});

test('embeddings', async () => {
  const { data, model, usage } = await client.embeddings.create(
    { model: 'demo', input: ['a dog', 'a dog', 'the price of oil'] });
  assert.equal(model, 'demo');
  assert.deepEqual(data.map((one) => one.index), [0, 1, 2]);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const [dog, again, oil] = data.map((one) => one.embedding);
  assert.ok(Math.abs(dot(dog, dog) - 1) < 1e-4);
  assert.ok(Math.abs(dot(dog, again) - 1) < 1e-4);
  assert.ok(dot(dog, oil) < 0.9999);
  assert.ok(usage.prompt_tokens > 5);
  // The client asks for base64 by itself; as numbers they are the same.
  const plain = await client.embeddings.create(
    { model: 'demo', input: 'a dog', encoding_format: 'float' });
  plain.data[0].embedding.forEach((value, i) => assert.ok(Math.abs(value - dog[i]) < 1e-5));
  await assert.rejects(client.embeddings.create({ model: 'demo', input: 'a', dimensions: 3 }),
    { status: 400, param: 'dimensions' });
});
