// Abuse of the program itself, over sockets of its own: none of it brings the server down, is
// answered by anything but an error, or keeps others from their answers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { busy, startServer, until } from './server.mjs';

let server, port;
before(async () => {
  server = await startServer(['--ctx', '1024']);
  port = Number(new URL(server.url).port);
});
after(async () => assert.equal(await server.stop(), 0));

async function ask(content = 'hi') {
  const answer = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST',
    body: JSON.stringify({ messages: [{ role: 'user', content }], temperature: 0, max_tokens: 8 }) });
  assert.equal(answer.status, 200);
  return (await answer.json()).choices[0].message.content;
}

// Whatever a test did, the next client gets what the first one got.
let expected;
beforeEach(async () => { expected ??= await ask(); });
afterEach(async () => { assert.equal(await ask(), expected); });

// What comes back for these bytes, until the server closes or nothing comes for two seconds.
function raw(...pieces) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    const done = () => { socket.destroy(); resolve(text); };
    socket.setTimeout(2000, done);
    socket.on('data', (data) => { text += data.toString('latin1'); });
    socket.on('close', done);
    socket.on('error', () => {});  // the server may close while bytes are on their way
    for (const piece of pieces) socket.write(piece);
  });
}
const status = (text) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
const post = (path, body) => Buffer.concat([Buffer.from(
  `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`), body]);

const paths = ['/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/embeddings', '/v1/messages',
  '/v1/messages/count_tokens', '/v1/responses/input_tokens', '/api/chat', '/api/generate', '/api/embed',
  '/api/embeddings', '/api/show', '/tokenize', '/detokenize'];

const peakMemory = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'latin1'))[1]) / 1024;

test('100 MB that are announced are refused before they are read', async () => {
  for (const path of paths) {
    const text = await raw(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n{"messages":`);
    assert.equal(status(text), 413, `${path}: ${text}`);
    assert.match(text, /Connection: close/);
  }
});

test('100 MB that are not announced are cut off at the limit, and do not stay in memory', async () => {
  const before = peakMemory();
  const piece = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(1 << 20, 'x'), Buffer.from('\r\n')]);
  const text = await raw('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n',
    ...Array.from({ length: 100 }, () => piece));
  // The answer may be lost with the connection that still sends; an answer is a refusal.
  if (text !== '') assert.equal(status(text), 413, text);
  assert.ok(peakMemory() - before < 160, `${before} MB, then ${peakMemory()} MB`);
});

test('a body just below the limit is read and refused for what it says', async () => {
  const body = Buffer.alloc(60 << 20, ' ');
  body.write('{"messages":[]}');
  assert.equal(status(await raw(post('/v1/chat/completions', body))), 400);
});

test('bytes that are not UTF-8 are a 400 everywhere', async () => {
  for (const path of paths) {
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]]) {
      const text = await raw(post(path, Buffer.concat([Buffer.from('{"content":"'), Buffer.from(bytes), Buffer.from('"}')])));
      assert.equal(status(text), 400, `${path} ${bytes}: ${text}`);
    }
  }
});

test('paths lead to no file', async () => {
  for (const path of ['/../../../../etc/passwd', '/..%2f..%2f..%2fetc/passwd', '/%2e%2e/%2e%2e/etc/passwd',
    '//etc/passwd', '/./etc/passwd', '/vendor/../../../etc/passwd', '/..\\..\\etc\\passwd', '/%00',
    '/index.html%00.js', `/${'../'.repeat(500)}etc/passwd`, 'http://x/etc/passwd', 'file:///etc/passwd']) {
    const text = await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.ok([400, 404].includes(status(text)), `${path}: ${text}`);
    assert.doesNotMatch(text, /root:/);
  }
});

test('requests within requests are not answered', async () => {
  const hidden = 'GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n';
  for (const headers of ['Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
    'Content-Length: 0\r\nContent-Length: 40\r\n\r\n', 'Content-Length: +0\r\n\r\n', 'Content-Length: 0\n\n',
    'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', 'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n']) {
    const text = await raw(`POST /tokenize HTTP/1.1\r\nHost: x\r\n${headers}${hidden}`);
    assert.doesNotMatch(text, /"object":"list"/, headers);
    assert.doesNotMatch(text, / 200 /, headers);
  }
});

test('floods of headers are cut off', async () => {
  const flood = await raw('GET /health HTTP/1.1\r\nHost: x\r\n', Buffer.from('a: b\r\n'.repeat(200_000)));
  if (flood !== '') assert.equal(status(flood), 431);
  const line = await raw(Buffer.alloc(4 << 20, 'G'));
  if (line !== '') assert.ok([400, 431].includes(status(line)));
});

test('clients that vanish in the middle of their streams give their places back', async () => {
  const body = Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], stream: true,
    temperature: 0, max_tokens: 900, frequency_penalty: -100 }));
  await Promise.all(Array.from({ length: 20 }, () => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('close', resolve);
    socket.once('data', () => socket.resetAndDestroy());
    socket.write(post('/v1/chat/completions', body));
  })));
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});

test('a body that comes a byte at a time is read, and nobody waits for it', async () => {
  const body = Buffer.from(JSON.stringify({ content: 'slow' }));
  const whole = post('/tokenize', body);
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (data) => { text += data; });
  const closed = new Promise((resolve) => socket.on('close', resolve));
  for (const [i, byte] of whole.entries()) {
    socket.write(Buffer.from([byte]));
    if (i % 40 === 0) assert.equal(await ask(), expected);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await closed;
  assert.equal(status(text), 200);
});

test('a client that does not read holds up nobody, and its place is given back when it leaves', async () => {
  const body = Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], stream: true, n: 8,
    temperature: 0, max_tokens: 900, frequency_penalty: -100 }));
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  socket.write(post('/v1/chat/completions', body));
  await until(async () => await busy(server.url) > 0, 'a busy engine');
  assert.equal(await ask(), expected);
  socket.destroy();
  await until(async () => await busy(server.url) === 0, 'an idle engine');
});
