// /v1/audio/transcriptions with the package `openai`: the tokens that are counted are those of the sound's
// clips, streamed text is the whole one, and what cannot be done is refused by name.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { makeTinyModel, png, soundTokens, wav } from './media.mjs';
import { startServer } from './server.mjs';

let tiny, server, openai, text_tokens;
before(async () => {
  tiny = makeTinyModel();
  // The tiny model never ends an answer: the context does.
  server = await startServer([tiny.path, '--name', 'tiny', '--ctx', '1100']);
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  text_tokens = (await transcribe(wav(16000))).usage.input_tokens - kOfSound(16000);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  tiny.remove();
});

const kOfSound = (samples) => 2 + soundTokens(samples);
const transcribe = async (bytes, fields = {}) =>
  openai.audio.transcriptions.create({ file: await toFile(bytes, 'sound.wav'), model: 'tiny', ...fields });

test('a clip is one prompt: the instruction and the sound', async () => {
  assert.ok(text_tokens > 20 && text_tokens < 250, `${text_tokens}`);
  const answer = await transcribe(wav(40000));
  assert.equal(answer.usage.input_tokens, text_tokens + kOfSound(40000));
  assert.equal(typeof answer.text, 'string');
  assert.ok(answer.text.length > 0);
  assert.equal((await transcribe(wav(40000))).text, answer.text);
  assert.equal(await transcribe(wav(40000), { response_format: 'text' }), `${answer.text}\n`);
  const told = await transcribe(wav(40000), { language: 'no', prompt: 'Fjord', temperature: 0.5 });
  assert.notEqual(told.usage.input_tokens, answer.usage.input_tokens);
});

test('a long sound is clips of at most 30 s, of which none is left out', async () => {
  const bytes = wav(75 * 16000);
  bytes.fill(0, 44 + 2 * 16000 * 27, 44 + 2 * 16000 * 27.5);  // two pauses
  bytes.fill(0, 44 + 2 * 16000 * 52, 44 + 2 * 16000 * 52.5);
  const answer = await transcribe(bytes);
  const sum = 3 * text_tokens + kOfSound(75 * 16000) + 2 * 2;
  assert.ok(Math.abs(answer.usage.input_tokens - sum) <= 3, `${answer.usage.input_tokens} of ${sum}`);
  let deltas = '', done;
  for await (const event of await transcribe(bytes, { stream: true })) {
    assert.equal(done, undefined, 'nothing follows the end');
    if (event.type === 'transcript.text.delta') deltas += event.delta;
    else done = event;
  }
  assert.equal(done.type, 'transcript.text.done');
  assert.equal(done.text, deltas);
  assert.equal(done.text, answer.text);
  assert.deepEqual(done.usage, answer.usage);
});

test('what cannot be done is refused by name', async () => {
  const refused = (promise, pattern) => assert.rejects(promise, (error) => {
    assert.equal(error.status, 400);
    assert.match(error.message, pattern);
    return true;
  });
  await refused(transcribe(png(8, 8)), /file: /);
  await refused(transcribe(wav(16000).subarray(0, 20)), /file: /);
  await refused(transcribe(wav(16000), { response_format: 'srt' }), /response_format/);
  await refused(transcribe(wav(16000), { timestamp_granularities: ['word'] }), /timestamp_granularities/);
  await refused(transcribe(wav(16000), { chunking_strategy: 'never' }), /chunking_strategy/);
  const ask = (init) => fetch(`${server.url}/v1/audio/transcriptions`, { method: 'POST', ...init });
  for (const [init, pattern] of [
    [{ body: '{}', headers: { 'content-type': 'application/json' } }, /expected a form/],
    [{ body: new FormData() }, /form/],
    [{ body: form({ model: 'tiny' }) }, /file: the form has no sound/],
    [{ body: form({ file: 'words' }) }, /file: /],
    [{ body: form({ mood: 'calm' }) }, /mood/],
  ]) {
    const answer = await ask(init);
    assert.equal(answer.status, 400);
    assert.match((await answer.json()).error.message, pattern);
  }
});

function form(fields) {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.append(name, value);
  return made;
}

test('a model that does not hear says so, as does one that is not there', async () => {
  const deaf = await startServer();
  const client = new OpenAI({ baseURL: `${deaf.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const ask = async (model) =>
    client.audio.transcriptions.create({ file: await toFile(wav(16000), 'sound.wav'), model });
  await assert.rejects(ask('demo'), /400.*does not hear/);
  await assert.rejects(ask('tiny'), /404.*"tiny" does not exist/);
  assert.equal(await deaf.stop(), 0);
});
