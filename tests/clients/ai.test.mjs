// The `ai` package with `@ai-sdk/openai-compatible`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import { busy, parallelCalls, person, startServer, time, until, weather } from './server.mjs';
import { checkedFetch } from './streams.mjs';

let server, provider, model, checked;
before(async () => {
  server = await startServer();
  checked = checkedFetch();
  provider = createOpenAICompatible({ name: 'gemma4', baseURL: `${server.url}/v1`, apiKey: 'none',
    includeUsage: true, supportsStructuredOutputs: true, fetch: checked.fetch });
  model = provider('demo');
});
after(async () => {
  assert.ok(await checked.settle() >= 3, 'streams were checked');
  assert.equal(await server.stop(), 0);
});

const hello = { prompt: 'hi', seed: 3, maxOutputTokens: 60, maxRetries: 0 };
const declare = ({ description, parameters }, execute) =>
  tool({ description, inputSchema: jsonSchema(parameters), execute });

test('plain and streamed answers are the same', async () => {
  const plain = await generateText({ model, ...hello });
  assert.equal(plain.finishReason, 'stop');
  assert.ok(plain.text.length > 0);
  const streamed = streamText({ model, ...hello });
  const kinds = [];
  let text = '';
  for await (const part of streamed.fullStream) {
    if (kinds.at(-1) !== part.type) kinds.push(part.type);
    if (part.type === 'text-delta') text += part.text;
  }
  assert.equal(text, plain.text);
  assert.deepEqual(kinds, ['start', 'start-step', 'text-start', 'text-delta', 'text-end',
    'finish-step', 'finish']);
  assert.deepEqual(
    [(await streamed.usage).inputTokens, (await streamed.usage).outputTokens],
    [plain.usage.inputTokens, plain.usage.outputTokens]);
});

test('thinking', async () => {
  const answer = await generateText({ model, ...hello, prompt: 'What is 47 plus 38?', temperature: 0,
    maxOutputTokens: 200, providerOptions: { gemma4: { reasoningEffort: 'high' } } });
  assert.match(answer.reasoningText, /15/);
  assert.match(answer.text, /85/);
});

test('a loop of tools', async () => {
  const asked = [];
  const answer = await generateText({
    model, ...hello, toolChoice: 'required', stopWhen: stepCountIs(2),
    tools: { get_weather: declare(weather, ({ city }) => (asked.push(city), `18 C in ${city}`)) } });
  assert.equal(answer.steps.length, 2);
  assert.ok(asked.length > 0 && asked.every((city) => /^(Oslo|Rome)$/.test(city)), `${asked}`);
  assert.equal(answer.steps[0].toolResults[0].output, `18 C in ${asked[0]}`);
});

test('parallel calls, streamed', async () => {
  const tools = [weather, time].map((each) => ({ type: 'function', function: each }));
  const messages = [{ role: 'user', content: 'hi' }];
  const { request, calls } = await parallelCalls(server.url, { messages, tools });
  const streamed = streamText({ model, prompt: 'hi', seed: request.seed, temperature: request.temperature,
    maxOutputTokens: request.max_tokens, toolChoice: 'required', maxRetries: 0,
    providerOptions: { gemma4: { logit_bias: request.logit_bias } },
    tools: { get_weather: declare(weather), get_time: declare(time) } });
  const made = await streamed.toolCalls;
  assert.deepEqual(made.map((call) => [call.toolName, call.input]),
    calls.map((call) => [call.name, JSON.parse(call.arguments)]));
  assert.equal(new Set(made.map((call) => call.toolCallId)).size, made.length);
});

test('a schema, plain and streamed', async () => {
  const shaped = { model, ...hello, maxOutputTokens: 200,
    output: Output.object({ name: 'person', schema: jsonSchema(person) }) };
  const { output } = await generateText(shaped);
  assert.match(output.name, /^(Ann|Bob)$/);
  let last;
  for await (const part of streamText(shaped).partialOutputStream) last = part;
  assert.deepEqual(last, output);
});

test('an abort ends the work', async () => {
  const control = new AbortController();
  const endless = streamText({ model, ...hello, maxOutputTokens: 3000, temperature: 0,
    frequencyPenalty: -100, abortSignal: control.signal, onError: () => {} });
  let parts = 0, aborted = false;
  for await (const part of endless.fullStream) {
    if (part.type === 'abort') aborted = true;
    if (part.type === 'text-delta' && ++parts === 5) {
      assert.equal(await busy(server.url), 1);
      control.abort();
    }
  }
  assert.ok(aborted);
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});

test('errors are those of the client', async () => {
  const failed = (status, text) => (error) =>
    APICallError.isInstance(error) && error.statusCode === status && text.test(error.message);
  await assert.rejects(generateText({ model: provider('gpt-9'), ...hello }), failed(404, /gpt-9/));
  await assert.rejects(generateText({ model, ...hello, topP: 7 }), failed(400, /top_p/));
  await assert.rejects(generateText({ model, ...hello, prompt: 'word '.repeat(9000) }), failed(400, /4096/));
});
