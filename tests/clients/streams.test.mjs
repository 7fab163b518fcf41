// Streams as bytes, of every protocol and kind of answer; and that the checks refuse what is wrong.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { person, startServer, time, weather } from './server.mjs';
import { checkStream } from './streams.mjs';

let server;
before(async () => { server = await startServer(); });
after(async () => assert.equal(await server.stop(), 0));

const messages = [{ role: 'user', content: 'hi' }];
const sum = [{ role: 'user', content: 'What is 47 plus 38?' }];
const functions = [weather, time].map((each) => ({ type: 'function', function: each }));
const declared = [weather, time].map(({ name, parameters }) => ({ name, input_schema: parameters }));
const bodies = {
  '/v1/chat/completions': [
    { messages },
    { messages, max_tokens: 1, stream_options: { include_usage: true } },
    { messages, n: 3, seed: 1, stream_options: { include_usage: true } },
    { messages, n: 2, logprobs: true, top_logprobs: 3 },
    { messages, stop: ['e'] },
    { messages: sum, reasoning_effort: 'high', temperature: 0 },
    { messages: sum, reasoning_effort: 'high', temperature: 0, max_tokens: 6 },
    { messages, tools: functions, tool_choice: 'required' },
    { messages, tools: functions, tool_choice: 'required', max_tokens: 4 },
    { messages, tools: functions, tool_choice: 'required', logit_bias: { 7: 10 }, max_tokens: 200 },
    { messages, tools: functions, tool_choice: 'auto' },
    { messages, response_format: { type: 'json_schema', json_schema: { name: 'p', schema: person } } },
  ],
  '/v1/completions': [
    { prompt: 'Once upon a time', max_tokens: 20 },
    { prompt: 'Once', max_tokens: 5, echo: true, n: 2, stream_options: { include_usage: true } },
  ],
  '/v1/messages': [
    { messages, max_tokens: 60 },
    { messages, max_tokens: 1 },
    { messages, max_tokens: 60, stop_sequences: ['e'] },
    { messages: sum, max_tokens: 300, temperature: 0, thinking: { type: 'enabled', budget_tokens: 200 } },
    { messages, max_tokens: 100, tools: declared, tool_choice: { type: 'any' } },
    { messages, max_tokens: 4, tools: declared, tool_choice: { type: 'any' } },
  ],
  '/api/chat': [
    { messages },
    { messages, options: { num_predict: 1 } },
    { messages: sum, think: true, options: { temperature: 0 } },
    { messages, format: person },
    { messages, tools: functions },
  ],
  '/api/generate': [{ prompt: 'hi' }, { prompt: 'hi', options: { num_predict: 2 } }],
};

async function stream(path, body) {
  const request = { model: 'demo', stream: true, ...body };
  const answer = await fetch(server.url + path, { method: 'POST', body: JSON.stringify(request) });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return { text, request };
}

for (const [path, list] of Object.entries(bodies)) {
  test(`streams of ${path}`, async () => {
    for (const body of list) {
      const { text, request } = await stream(path, body);
      try {
        checkStream(path, text, request);
      } catch (error) {
        error.message += `\n${JSON.stringify(body)}\n${text}`;
        throw error;
      }
    }
  });
}

test('streams with a piece left out, twice or exchanged are found', async () => {
  for (const [path, separator] of [['/v1/chat/completions', '\n\n'], ['/v1/messages', '\n\n'], ['/api/chat', '\n']]) {
    const { text, request } = await stream(path, path === '/api/chat' ? { messages } : { messages, max_tokens: 60 });
    const pieces = text.slice(0, -separator.length).split(separator);
    const wrong = (changed) => assert.throws(
      () => checkStream(path, changed.map((piece) => piece + separator).join(''), request), `${path}: ${changed}`);
    wrong(pieces.slice(0, -1));                             // no ending
    wrong([...pieces, pieces.at(-1)]);                      // two
    wrong([...pieces.slice(0, -2), pieces.at(-1), pieces.at(-2)]);  // not at the end
    if (path !== '/api/chat') wrong([pieces[1], pieces[0], ...pieces.slice(2)]);  // a late beginning
    assert.throws(() => checkStream(path, text.slice(0, -1), request));  // cut off
  }
});
