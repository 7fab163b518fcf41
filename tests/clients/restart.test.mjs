// What the prefix cache saves, in memory and on disk (--cache-dir), and that answers stay the same:
// cold, warm, after a restart, after a kill, beside others. (metamorphic_cache_test has the rest: without
// it, and when sequences give way.)
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startServer } from './server.mjs';

let folder;
before(() => { folder = mkdtempSync(join(tmpdir(), 'gemma4-prefixes-')); });
after(() => rmSync(folder, { recursive: true }));

const story = 'Once there was a clock that told the weather. '.repeat(12);
const prompts = [0, 1, 2, 3, 4].map((i) => `${i}. ${story} What comes after chapter ${i}?`);

async function ask(url, messages, fields = {}) {
  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST',
    body: JSON.stringify({ messages, temperature: 0, max_tokens: 16, ...fields }) });
  const body = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(body));
  return { content: body.choices[0].message.content, message: body.choices[0].message, usage: body.usage };
}
const user = (content) => [{ role: 'user', content }];
const all = async (url) => {
  const answers = [];
  for (const prompt of prompts) answers.push(await ask(url, user(prompt)));
  return answers;
};
const contents = (answers) => answers.map(({ content }) => content);
const cached = ({ usage }) => usage.prompt_tokens_details.cached_tokens;
// No more than what every prompt begins with: <bos><|turn>user\n, and perhaps a character.
const knowsNothing = (answer) => assert.ok(cached(answer) < 8, `${cached(answer)}`);
const saved = () => readdirSync(folder).filter((name) => name.endsWith('.prefix'));

test('answers after a restart are those before, and their prompts are known', async () => {
  let server = await startServer();
  const cold = await all(server.url);
  cold.forEach(knowsNothing);
  const warm = await all(server.url);
  assert.deepEqual(contents(warm), contents(cold));
  for (const answer of warm) assert.ok(cached(answer) > 100);
  assert.equal(await server.stop(), 0);

  server = await startServer(['--cache-dir', folder]);
  assert.deepEqual(contents(await all(server.url)), contents(cold));
  assert.equal(await server.stop(), 0);
  assert.ok(saved().length >= prompts.length);

  server = await startServer(['--cache-dir', folder]);
  const again = await all(server.url);
  assert.deepEqual(contents(again), contents(cold));
  for (const answer of again) assert.ok(cached(answer) > 100, `${cached(answer)} of ${answer.usage.prompt_tokens}`);
  assert.equal(await server.stop(), 0);

  // Other keys and values: nothing of it is used.
  server = await startServer(['--cache-dir', folder, '--kv-type', 'bf16']);
  (await all(server.url)).forEach(knowsNothing);
  assert.equal(await server.stop(), 0);
});

test('a kill at any time leaves nothing wrong', async () => {
  const plain = await startServer();
  const expected = contents(await all(plain.url));
  await plain.stop();
  for (let round = 0; round < 6; ++round) {
    for (const name of saved()) if (round % 2 === 0) rmSync(join(folder, name));
    const server = await startServer(['--cache-dir', folder]);
    const asking = all(server.url).catch(() => {});  // its connections break
    await new Promise((resolve) => setTimeout(resolve, 60 + 70 * round));
    await server.kill();
    await asking;
  }
  const server = await startServer(['--cache-dir', folder]);
  assert.deepEqual(contents(await all(server.url)), expected);
  assert.ok(!/damaged/.test(server.log()), server.log());
  assert.equal(await server.stop(), 0);
  // And a disk that lies: the file is left out and removed.
  for (const name of saved()) {
    const bytes = readFileSync(join(folder, name));
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(join(folder, name), bytes);
  }
  const lied = await startServer(['--cache-dir', folder]);
  assert.deepEqual(contents(await all(lied.url)), expected);
  assert.match(lied.log(), /damaged/);
  assert.equal(await lied.stop(), 0);
});

test('each of 20 turns computes its new tokens only', async () => {
  const server = await startServer();
  for (const thinking of [false, true]) {
    const messages = [];
    let before = 0;
    for (let turn = 0; turn < 20; ++turn) {
      messages.push({ role: 'user', content: `${thinking} ${turn}: go on?` });
      const answer = await ask(server.url, messages,
        { max_tokens: 24, reasoning_effort: thinking ? 'low' : 'none' });
      // All that was there before, but for a thought that is left out of the conversation, and what
      // a window that moved on takes away with it (conversation_cache_test has the exact numbers).
      if (turn > 0) assert.ok(cached(answer) >= before - 64, `turn ${turn}: ${cached(answer)} of ${before}`);
      if (turn > 0 && !thinking) assert.ok(answer.usage.prompt_tokens - cached(answer) <= 64 + 24);
      before = answer.usage.prompt_tokens;
      messages.push({ role: 'assistant', content: answer.content ?? '' });
    }
  }
  assert.equal(await server.stop(), 0);
});

test('answers are the same beside others', async () => {
  const roomy = await startServer();
  const expected = contents(await all(roomy.url));
  await roomy.stop();
  const tight = await startServer(['--max-sequences', '8']);
  const answers = await Promise.all([...prompts, ...prompts, ...prompts].map((prompt) => ask(tight.url, user(prompt))));
  assert.deepEqual(contents(answers), [...expected, ...expected, ...expected]);
  assert.equal(await tight.stop(), 0);
});
