// `@openai/agents` over /v1/chat/completions.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { busy, parallelCalls, startServer, time, until, weather } from './server.mjs';
import { checkedFetch } from './streams.mjs';

let server, checked, client;
before(async () => {
  setTracingDisabled(true);
  server = await startServer();
  checked = checkedFetch();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, fetch: checked.fetch });
});
after(async () => {
  assert.ok(await checked.settle() >= 2, 'streams were checked');
  assert.equal(await server.stop(), 0);
});

function agent({ modelSettings, model = 'demo', ...fields } = {}) {
  return new Agent({ name: 'demo', instructions: 'Be short.', model: new OpenAIChatCompletionsModel(client, model),
    modelSettings: { temperature: 0, maxTokens: 100, ...modelSettings }, ...fields });
}
const declare = (what, execute) => tool({ name: what.name, description: what.description,
  parameters: what.parameters, strict: false, execute });

test('plain and streamed answers are the same', async () => {
  const plain = await run(agent(), 'hi');
  assert.ok(plain.finalOutput.length > 0);
  const streamed = await run(agent(), 'hi', { stream: true });
  let text = '';
  for await (const piece of streamed.toTextStream()) text += piece;
  await streamed.completed;
  assert.equal(text, plain.finalOutput);
  assert.equal(streamed.finalOutput, plain.finalOutput);
});

test('a tool is called and its result goes back', async () => {
  const asked = [];
  const result = await run(agent({ modelSettings: { toolChoice: 'required' },
    tools: [declare(weather, ({ city }) => (asked.push(city), `18 C in ${city}`))] }), 'Is it warm in Rome?');
  assert.ok(asked.length > 0 && asked.every((city) => /^(Oslo|Rome)$/.test(city)));
  const kinds = result.newItems.map((item) => item.type);
  assert.deepEqual(kinds.slice(0, 2), ['tool_call_item', 'tool_call_output_item']);
  assert.equal(kinds.at(-1), 'message_output_item');
});

test('parallel calls, streamed', async () => {
  const messages = [{ role: 'system', content: 'Be short.' }, { role: 'user', content: 'hi' }];
  const tools = [weather, time].map((each) => ({ type: 'function', function: each }));
  const { request, calls } = await parallelCalls(server.url, { messages, tools });
  const { temperature, max_tokens, ...providerData } = request;
  const made = [];
  const note = (what) => declare(what, (input) => (made.push([what.name, input]), 'done'));
  const streamed = await run(agent({ tools: [note(weather), note(time)], toolUseBehavior: 'stop_on_first_tool',
    modelSettings: { temperature, maxTokens: max_tokens, toolChoice: 'required', providerData } }),
  'hi', { stream: true });
  await streamed.completed;
  assert.deepEqual(made, calls.map((call) => [call.name, JSON.parse(call.arguments)]));
});

test('a schema', async () => {
  const result = await run(agent({ outputType: z.object({ name: z.enum(['Ann', 'Bob']), tall: z.boolean() }) }), 'hi');
  assert.match(result.finalOutput.name, /^(Ann|Bob)$/);
  assert.equal(typeof result.finalOutput.tall, 'boolean');
});

test('an abort ends the work', async () => {
  const control = new AbortController();
  const endless = await run(
    agent({ modelSettings: { maxTokens: 3000, providerData: { logit_bias: { 369: 100 } } } }), 'hi',
    { stream: true, signal: control.signal });
  let pieces = 0;
  const read = (async () => {
    for await (const _ of endless.toTextStream()) if (++pieces === 5) control.abort();
    await endless.completed;
  })();
  await read.catch(() => {});
  assert.ok(pieces >= 5);
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});

test('errors are those of the client', async () => {
  await assert.rejects(run(agent({ model: 'gpt-9' }), 'hi'), OpenAI.NotFoundError);
  await assert.rejects(run(agent({ modelSettings: { topP: 7 } }), 'hi'), (error) =>
    error instanceof OpenAI.BadRequestError && error.param === 'top_p');
  await assert.rejects(run(agent(), 'word '.repeat(9000)), (error) => error.code === 'context_length_exceeded');
});
