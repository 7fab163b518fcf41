// The `@anthropic-ai/sdk` package against /v1/messages.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { busy, startServer, until, weather } from './server.mjs';
import { checkedFetch } from './streams.mjs';

let server;
let client;
let checked;
before(async () => {
  server = await startServer();
  checked = checkedFetch();
  client = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0, fetch: checked.fetch });
});
after(async () => {
  assert.ok(await checked.settle() >= 2, 'streams were checked');
  assert.equal(await server.stop(), 0);
});

const hello = { model: 'demo', max_tokens: 60, messages: [{ role: 'user', content: 'hi' }] };
const tools = [{ name: weather.name, description: weather.description, input_schema: weather.parameters }];

test('a message', async () => {
  const message = await client.messages.create(hello);
  assert.equal(message.type, 'message');
  assert.equal(message.content[0].type, 'text');
  assert.equal(message.stop_reason, 'end_turn');
  const counted = await client.messages.countTokens({ model: 'demo', messages: hello.messages });
  assert.equal(counted.input_tokens, message.usage.input_tokens);
});

test('the order of a stream', async () => {
  const types = [];
  let open = -1;
  const stream = await client.messages.create({ ...hello, stream: true });
  for await (const event of stream) {
    if (event.type === 'content_block_start') open = event.index;
    if (event.type.startsWith('content_block')) assert.equal(event.index, open);
    if (types.at(-1) !== event.type) types.push(event.type);
  }
  assert.equal(open, 0);
  assert.deepEqual(types, ['message_start', 'content_block_start', 'content_block_delta',
    'content_block_stop', 'message_delta', 'message_stop']);
});

test('tools, streamed through the helper of the client', async () => {
  const message = await client.messages
    .stream({ ...hello, tools, tool_choice: { type: 'any', disable_parallel_tool_use: true } })
    .finalMessage();
  assert.equal(message.stop_reason, 'tool_use');
  const call = message.content.at(-1);
  assert.equal(call.name, 'get_weather');
  assert.match(call.input.city, /^(Oslo|Rome)$/);
  const after = await client.messages.create({ ...hello, tools, messages: [
    ...hello.messages, { role: 'assistant', content: message.content },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: '18 C' }] }] });
  assert.ok(after.stop_reason);
});

test('thinking', async () => {
  const message = await client.messages.create({
    ...hello, max_tokens: 300, temperature: 0, thinking: { type: 'enabled', budget_tokens: 200 },
    messages: [{ role: 'user', content: 'What is 47 plus 38?' }] });
  assert.equal(message.content[0].type, 'thinking');
  assert.match(message.content.at(-1).text, /85/);
});

test('an abort ends the work', async () => {
  const stream = await client.messages.create({ ...hello, max_tokens: 3000, stream: true,
    messages: [{ role: 'user', content: 'Tell me a long story' }] });
  let ended = false;
  for await (const event of stream) {
    if (event.type === 'content_block_delta') stream.controller.abort();
    if (event.type === 'message_stop') ended = true;
  }
  assert.ok(!ended);
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});

test('errors are those of the client', async () => {
  await assert.rejects(client.messages.create({ ...hello, model: 'claude' }), Anthropic.NotFoundError);
  await assert.rejects(client.messages.create({ ...hello, top_k: -5 }), (error) =>
    error instanceof Anthropic.BadRequestError && /top_k/.test(error.message));
  await assert.rejects(
    client.messages.create({ ...hello, messages: [{ role: 'user', content: 'word '.repeat(9000) }] }),
    (error) => error instanceof Anthropic.BadRequestError && /4096/.test(error.message));
  await assert.rejects(client.messages.create({ ...hello, stream: true, messages: [] }), Anthropic.BadRequestError);
});
