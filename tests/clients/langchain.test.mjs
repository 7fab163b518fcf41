// `langchain` with `@langchain/openai` and `@langchain/ollama`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ChatOllama } from '@langchain/ollama';
import { ChatOpenAI } from '@langchain/openai';
import { createAgent, tool } from 'langchain';
import { busy, parallelCalls, person, startServer, time, until, weather } from './server.mjs';
import { checkedFetch } from './streams.mjs';

let server, checked;
before(async () => {
  server = await startServer();
  checked = checkedFetch();
});
after(async () => {
  assert.ok(await checked.settle() >= 4, 'streams were checked');
  assert.equal(await server.stop(), 0);
});

const openai = (fields) => new ChatOpenAI({ model: 'demo', apiKey: 'none', maxRetries: 0, maxTokens: 60,
  configuration: { baseURL: `${server.url}/v1`, fetch: checked.fetch }, ...fields });
const ollama = (fields) => new ChatOllama({ model: 'demo', baseUrl: server.url, maxRetries: 0,
  numPredict: 60, seed: 3, fetch: checked.fetch, ...fields });
const functions = [weather, time].map((each) => ({ type: 'function', function: each }));

for (const [name, make] of [['openai', openai], ['ollama', ollama]]) {
  test(`${name}: plain and streamed answers are the same`, async () => {
    const model = make({ temperature: 0 });
    const plain = await model.invoke('hi');
    assert.ok(plain.content.length > 0);
    assert.ok(plain.usage_metadata.output_tokens > 0);
    let whole;
    for await (const part of await model.stream('hi')) whole = whole === undefined ? part : whole.concat(part);
    assert.equal(whole.content, plain.content);
    assert.equal(whole.usage_metadata.output_tokens, plain.usage_metadata.output_tokens);
  });

  test(`${name}: a schema`, async () => {
    const shaped = make({ maxTokens: 200, numPredict: 200 })
      .withStructuredOutput(person, { method: 'jsonSchema', name: 'person' });
    const value = await shaped.invoke('hi');
    assert.match(value.name, /^(Ann|Bob)$/);
    assert.ok(Number.isInteger(value.age));
  });

  test(`${name}: errors are those of the client`, async () => {
    await assert.rejects(make({ model: 'gpt-9' }).invoke('hi'), /gpt-9/);
    await assert.rejects(make({ topP: 7 }).invoke('hi'), /top_p/);
    await assert.rejects(make({}).invoke('word '.repeat(9000)), /4096/);
  });
}

// Not of @langchain/ollama, which stops to read and keeps its connection open.
test('openai: an abort ends the work', async () => {
  const control = new AbortController();
  const endless = openai({ maxTokens: 3000, temperature: 0, frequencyPenalty: -100,
    configuration: { baseURL: `${server.url}/v1` } });
  let parts = 0;
  await assert.rejects(async () => {
    for await (const _ of await endless.stream('hi', { signal: control.signal }))
      if (++parts === 5) control.abort();
  });
  assert.equal(parts, 5);
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});

test('openai: parallel calls, streamed', async () => {
  const messages = [{ role: 'user', content: 'hi' }];
  const { request, calls } = await parallelCalls(server.url, { messages, tools: functions });
  const { temperature, max_tokens, ...others } = request;
  const model = openai({ temperature, maxTokens: max_tokens, modelKwargs: others })
    .bindTools(functions, { tool_choice: 'required' });
  let whole;
  for await (const part of await model.stream('hi')) whole = whole === undefined ? part : whole.concat(part);
  assert.deepEqual(whole.tool_calls.map((call) => [call.name, call.args]),
    calls.map((call) => [call.name, JSON.parse(call.arguments)]));
});

test('ollama: tools are declared', async () => {
  const answer = await ollama({}).bindTools(functions).invoke('hi');
  assert.ok(answer.content.length > 0 || answer.tool_calls.length > 0);
});

test('an agent calls its tool and goes on', async () => {
  const asked = [];
  const tools = [tool(({ city }) => (asked.push(city), `18 C in ${city}`),
    { name: weather.name, description: weather.description, schema: weather.parameters })];
  // A call is asked for until there is a result; then a call is what the model may, and does not do.
  const model = openai({ temperature: 0 });
  const agent = createAgent({ model, tools, middleware: [{
    name: 'first-call',
    wrapModelCall: (request, next) => next({ ...request,
      toolChoice: request.messages.some((message) => message.type === 'tool') ? 'none' : 'required' }) }] });
  const { messages } = await agent.invoke({ messages: [{ role: 'user', content: 'Is it warm in Rome?' }] });
  assert.ok(asked.length > 0 && asked.every((city) => /^(Oslo|Rome)$/.test(city)));
  const results = messages.filter((message) => message.type === 'tool');
  assert.deepEqual(results.map((message) => message.content), asked.map((city) => `18 C in ${city}`));
  assert.equal(messages.at(-1).type, 'ai');
});
