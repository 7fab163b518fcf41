// The `openai` package against /v1/responses.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { busy, person, startServer, until, weather } from './server.mjs';

let server;
let client;
before(async () => {
  server = await startServer();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => assert.equal(await server.stop(), 0));

const hello = { model: 'demo', input: 'hi', seed: 3, max_output_tokens: 60 };
const tools = [{ type: 'function', strict: true, ...weather }];

test('plain and streamed responses are the same', async () => {
  const plain = await client.responses.create(hello);
  assert.equal(plain.status, 'completed');
  assert.ok(plain.output_text.length > 0);
  let last = -1;
  let endings = 0;
  const stream = client.responses.stream(hello);
  for await (const event of stream) {
    assert.equal(event.sequence_number, last + 1);
    last = event.sequence_number;
    assert.equal(endings, 0, 'an event after the last');
    if (event.type === 'response.completed') ++endings;
  }
  const streamed = await stream.finalResponse();
  assert.equal(endings, 1);
  assert.equal(streamed.output_text, plain.output_text);
  assert.deepEqual(streamed.usage.output_tokens, plain.usage.output_tokens);
});

test('thinking comes as a reasoning item', async () => {
  const stream = client.responses.stream(
    { ...hello, input: 'What is 47 plus 38?', temperature: 0, reasoning: { effort: 'high' },
      max_output_tokens: 200 });
  const response = await stream.finalResponse();
  assert.deepEqual(response.output.map((item) => item.type), ['reasoning', 'message']);
  assert.match(response.output[0].content[0].text, /15/);
  assert.match(response.output_text, /85/);
  assert.ok(response.usage.output_tokens_details.reasoning_tokens > 0);
});

test('calls, and what is said to their results', async () => {
  const stream = client.responses.stream({ ...hello, tools, tool_choice: 'required',
    parallel_tool_calls: false });
  const called = await stream.finalResponse();
  const [call] = called.output.filter((item) => item.type === 'function_call');
  assert.equal(call.name, 'get_weather');
  assert.match(JSON.parse(call.arguments).city, /^(Oslo|Rome)$/);
  const result = [{ type: 'function_call_output', call_id: call.call_id, output: '18 C' }];
  const stateful = await client.responses.create(
    { ...hello, tools, input: result, previous_response_id: called.id });
  // The same with the items sent back.
  const stateless = await client.responses.create(
    { ...hello, tools, store: false,
      input: [{ role: 'user', content: 'hi' }, ...called.output, ...result] });
  assert.equal(stateful.output_text, stateless.output_text);
  assert.equal(stateful.usage.input_tokens, stateless.usage.input_tokens);
});

test('a schema through the helper of the client', async () => {
  const response = await client.responses.parse(
    { ...hello, text: { format: { type: 'json_schema', name: 'person', strict: true, schema: person } } });
  const made = JSON.parse(response.output_text);
  assert.match(made.name, /^(Ann|Bob)$/);
  assert.ok(Number.isInteger(made.age));
});

test('a conversation that the server keeps', async () => {
  const first = await client.responses.create({ ...hello, metadata: { topic: 'greeting' } });
  const second = await client.responses.create(
    { ...hello, input: 'And you?', previous_response_id: first.id });
  assert.ok(second.usage.input_tokens > first.usage.input_tokens);
  assert.ok(second.usage.input_tokens_details.cached_tokens > 0);
  const read = await client.responses.retrieve(first.id);
  assert.deepEqual(read.metadata, { topic: 'greeting' });
  assert.equal(read.output_text, first.output_text);
  const texts = [];
  for await (const item of client.responses.inputItems.list(second.id, { order: 'asc', limit: 1 }))
    texts.push(item.content[0].text);
  assert.deepEqual(texts, ['hi', first.output_text, 'And you?']);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), { status: 404 });
  // What it was the beginning of goes on.
  const third = await client.responses.create(
    { ...hello, input: 'Bye', previous_response_id: second.id });
  assert.ok(third.usage.input_tokens > second.usage.input_tokens);
});

test('limits, refusals and errors', async () => {
  const cut = await client.responses.create({ ...hello, max_output_tokens: 1 });
  assert.equal(cut.status, 'incomplete');
  assert.equal(cut.incomplete_details.reason, 'max_output_tokens');
  await assert.rejects(client.responses.create({ ...hello, truncation: 'auto' }),
    { status: 400, param: 'truncation' });
  await assert.rejects(client.responses.create({ ...hello, previous_response_id: 'resp_none' }),
    { status: 400, param: 'previous_response_id' });
  await assert.rejects(client.responses.cancel('resp_none'), { status: 404 });
  const counted = await client.responses.inputTokens.count({ model: 'demo', input: 'hi' });
  assert.equal(counted.input_tokens, cut.usage.input_tokens);
});

test('an abort ends the answer on the server', async () => {
  const stream = await client.responses.create(
    { ...hello, input: 'Tell me a long story', max_output_tokens: 2000, stream: true,
      logit_bias: { 1: -100, 106: -100 } });
  for await (const event of stream) if (event.type === 'response.output_text.delta') break;
  stream.controller.abort();
  await until(async () => (await busy(server.url)) === 0, 'an idle server');
});
