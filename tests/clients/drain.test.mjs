// SIGTERM under load: what runs ends properly or with one clear error, what waits and what is new is
// refused by name or finds no one, and the process ends with 0 within its limit.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { busy, startServer, until } from './server.mjs';

const streams = 24;

// One stream to its end, whatever that is.
function ask(url, tokens) {
  const outcome = { status: 0, text: '', finishes: 0, done: 0, errors: [], broken: null };
  const body = JSON.stringify({ stream: true, temperature: 0, max_tokens: tokens, frequency_penalty: -100,
    messages: [{ role: 'user', content: 'hi' }] });
  outcome.ended = new Promise((resolve) => {
    const request = http.request(new URL('/v1/chat/completions', url), { method: 'POST', agent: false }, (response) => {
      outcome.status = response.statusCode;
      response.setEncoding('utf8');
      response.on('data', (data) => { outcome.text += data; });
      response.on('error', (error) => { outcome.broken = error; resolve(); });
      response.on('end', resolve);
    });
    request.on('error', (error) => { outcome.broken = error; resolve(); });
    request.end(body);
  }).then(() => {
    if (outcome.status !== 200) return;
    const events = outcome.text.split('\n\n').filter(Boolean).map((event) => event.replace(/^data: /, ''));
    for (const event of events) {
      if (event === '[DONE]') { ++outcome.done; continue; }
      const chunk = JSON.parse(event);  // also that no event is cut in two
      if (chunk.error) outcome.errors.push(chunk.error.message);
      else outcome.finishes += chunk.choices.filter((choice) => choice.finish_reason).length;
    }
  });
  return outcome;
}

async function loaded(options) {
  const server = await startServer(['--max-sequences', '8', ...options]);
  return { server, asked: (tokens) => Array.from({ length: streams }, () => ask(server.url, tokens)) };
}

test('with time left, every answer that was taken is completed', async () => {
  const { server, asked } = await loaded(['--drain', '60']);
  const outcomes = asked(150);
  await until(async () => await busy(server.url) === streams, `${streams} in batch and queue`);
  const stopped = server.stop();
  await until(async () => !(await fetch(`${server.url}/health`).then((r) => r.ok, () => false)), 'refusal');
  const late = ask(server.url, 1);
  await late.ended;
  assert.ok(late.status === 503 || late.broken?.code === 'ECONNREFUSED', `${late.status} ${late.broken}`);
  await Promise.all(outcomes.map((outcome) => outcome.ended));
  for (const outcome of outcomes) {
    assert.equal(outcome.broken, null);
    assert.deepEqual([outcome.status, outcome.finishes, outcome.done, outcome.errors], [200, 1, 1, []]);
  }
  assert.equal(await stopped, 0);
});

test('when the time is over, each stream ends with one error, and the process ends', async () => {
  const { server, asked } = await loaded(['--drain', '1', '--ctx', '4096']);
  const outcomes = asked(4000);
  await until(() => outcomes.filter((outcome) => outcome.text.includes('data: ')).length >= 4, 'first tokens');
  const begin = performance.now();
  assert.equal(await server.stop(), 0);
  const seconds = (performance.now() - begin) / 1000;
  assert.ok(seconds < 6, `took ${seconds} s with --drain 1`);
  await Promise.all(outcomes.map((outcome) => outcome.ended));
  for (const outcome of outcomes) {
    assert.equal(outcome.broken, null);
    if (outcome.status === 503) continue;  // came after the signal
    assert.equal(outcome.status, 200);
    assert.deepEqual(outcome.errors, ['the server stopped']);
    assert.deepEqual([outcome.finishes, outcome.done], [0, 0]);
  }
});
