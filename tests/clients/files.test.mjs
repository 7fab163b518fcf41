// /v1/files with the packages `openai` and `@anthropic-ai/sdk`: what is uploaded once is seen and heard as what
// comes inside a message is, by its owner alone; addresses are refused where no host is allowed, and private ones
// where all are.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Anthropic, { toFile as toAnthropicFile } from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';
import { dataUrl, makeTinyModel, png, wav, y4m } from './media.mjs';
import { startServer } from './server.mjs';

let tiny, folder, server, openai, other, anthropic;
before(async () => {
  tiny = makeTinyModel();
  folder = mkdtempSync(join(tmpdir(), 'gemma4-files-'));
  writeFileSync(join(folder, 'keys'), 'mine\nyours\n');
  server = await startServer([tiny.path, '--name', 'tiny', '--ctx', '3000', '--api-keys', join(folder, 'keys'),
    '--uploads', '4', '--media-host', '*']);
  const baseURL = `${server.url}/v1`;
  openai = new OpenAI({ baseURL, apiKey: 'mine', maxRetries: 0 });
  other = new OpenAI({ baseURL, apiKey: 'yours', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'mine', maxRetries: 0 });
});
after(async () => {
  assert.equal(await server.stop(), 0);
  tiny.remove();
  rmSync(folder, { recursive: true });
});

const picture = png(300, 200);
const settings = { model: 'tiny', temperature: 0, max_tokens: 6 };
const chat = (parts, client = openai) => client.chat.completions.create({ ...settings,
  messages: [{ role: 'user', content: [...parts, { type: 'text', text: 'hi' }] }] });
const refused = (promise, status, pattern) => assert.rejects(promise, (error) => {
  assert.equal(error.status, status, error.message);
  assert.match(error.message, pattern);
  return true;
});

test('openai: pictures, sounds and films that were uploaded are what they would be in the message', async () => {
  const media = [
    [picture, 'a.png', (url) => ({ type: 'image_url', image_url: { url } }), 'image/png'],
    [wav(16000), 'a.wav', (url) => ({ type: 'input_audio', input_audio: { data: url.split(',')[1], format: 'wav' } }), 'audio/wav'],
    [y4m(96, 96, 2), 'a.y4m', (url) => ({ type: 'video_url', video_url: { url } }), 'video/x-yuv4mpeg'],
  ];
  for (const [bytes, name, part, type] of media) {
    const file = await openai.files.create({ file: await toFile(bytes, name), purpose: 'user_data' });
    assert.equal(file.filename, name);
    assert.equal(file.bytes, bytes.length);
    const inside = await chat([part(dataUrl(type, bytes))]);
    const named = await chat([{ type: 'file', file: { file_id: file.id } }]);
    assert.equal(named.usage.prompt_tokens, inside.usage.prompt_tokens);
    assert.ok(named.usage.prompt_tokens_details.cached_tokens > 0, 'it is known to be the same');
    assert.equal(named.choices[0].message.content, inside.choices[0].message.content);
    const back = Buffer.from(await (await openai.files.content(file.id)).arrayBuffer());
    assert.ok(back.equals(bytes));
    await refused(chat([{ type: 'file', file: { file_id: file.id } }], other), 400, /there is no file/);
    await refused(other.files.retrieve(file.id), 404, /there is no file/);
    assert.deepEqual(await openai.files.delete(file.id), { id: file.id, object: 'file', deleted: true });
    await refused(chat([{ type: 'file', file: { file_id: file.id } }]), 400, /messages\[0\]\.content\[0\]: there is no file/);
  }
});

test('openai: /v1/responses names files, and the list has pages', async () => {
  const ids = [];
  for (let i = 0; i < 3; ++i)
    ids.push((await openai.files.create({ file: await toFile(png(64, 64, i), 'p.png'), purpose: 'vision' })).id);
  const listed = [];
  for await (const file of openai.files.list({ limit: 2 })) listed.push(file.id);
  assert.deepEqual(listed, ids.reverse());
  const ask = (content) => openai.responses.create({ model: 'tiny', temperature: 0, max_output_tokens: 6,
    input: [{ role: 'user', content: [content, { type: 'input_text', text: 'hi' }] }] });
  const inside = await ask({ type: 'input_image', image_url: dataUrl('image/png', png(64, 64, 2)), detail: 'auto' });
  for (const content of [{ type: 'input_image', file_id: ids[0], detail: 'auto' }, { type: 'input_file', file_id: ids[0] }]) {
    const named = await ask(content);
    assert.equal(named.usage.input_tokens, inside.usage.input_tokens);
    assert.equal(named.output_text, inside.output_text);
  }
  for (const id of ids) await openai.files.delete(id);
});

test('anthropic: the files of its own API', async () => {
  const file = await anthropic.beta.files.upload({ file: await toAnthropicFile(picture, 'a.png', { type: 'image/png' }) });
  assert.equal(file.type, 'file');
  assert.equal(file.size_bytes, picture.length);
  const ask = (source) => anthropic.beta.messages.create({ model: 'tiny', max_tokens: 6, temperature: 0, betas: ['files-api-2025-04-14'],
    messages: [{ role: 'user', content: [{ type: 'image', source }, { type: 'text', text: 'hi' }] }] });
  const inside = await ask({ type: 'base64', media_type: 'image/png', data: picture.toString('base64') });
  const named = await ask({ type: 'file', file_id: file.id });
  assert.equal(named.usage.input_tokens + named.usage.cache_read_input_tokens,
    inside.usage.input_tokens + inside.usage.cache_read_input_tokens);
  assert.deepEqual(named.content, inside.content);
  const listed = [];
  for await (const one of anthropic.beta.files.list()) listed.push(one.id);
  assert.deepEqual(listed, [file.id]);
  assert.equal((await anthropic.beta.files.delete(file.id)).type, 'file_deleted');
});

test('what is no medium, and what there is no room for, is refused', async () => {
  const upload = async (bytes, fields = { purpose: 'vision' }) =>
    openai.files.create({ file: await toFile(bytes, 'x'), ...fields });
  await refused(upload(Buffer.from('text')), 400, /pictures, sounds and films/);
  await refused(upload(picture, { purpose: 'fine-tune' }), 400, /purpose/);
  // A quarter of 4 MB for each key.
  await refused(upload(wav(600_000)), 400, /your uploads have 0 of 1048576 bytes/);
});

test('addresses: never private ones, and none at all by default', async () => {
  let asked = 0;
  const inside = createServer((_, answer) => { ++asked; answer.end(picture); });
  await new Promise((resolve) => inside.listen(0, '127.0.0.1', resolve));
  const { port } = inside.address();
  for (const host of ['127.0.0.1', 'localhost', '2130706433', '[::1]'])
    await refused(chat([{ type: 'image_url', image_url: { url: `http://${host}:${port}/a.png` } }]), 400, /private network/);
  await refused(chat([{ type: 'image_url', image_url: { url: 'file:///etc/hostname' } }]), 400, /only addresses of http/);
  const closed = await startServer([tiny.path, '--name', 'tiny', '--ctx', '3000']);
  const there = new OpenAI({ baseURL: `${closed.url}/v1`, apiKey: 'none', maxRetries: 0 });
  await refused(chat([{ type: 'image_url', image_url: { url: `http://localhost:${port}/a.png` } }], there), 400, /no addresses/);
  assert.equal(asked, 0);
  assert.equal(await closed.stop(), 0);
  await new Promise((resolve) => inside.close(resolve));
});
