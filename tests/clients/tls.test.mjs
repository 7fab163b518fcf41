// The server with --tls-cert and --tls-key, and a client that is only told whose certificates to believe.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startServer } from './server.mjs';

let folder, certificate, key, server;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gemma4-tls-'));
  [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-days', '1', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-out', certificate, '-keyout', key], { stdio: 'ignore' });
  server = await startServer(['--tls-cert', certificate, '--tls-key', key]);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  rmSync(folder, { recursive: true });
});

// Node reads the certificates that it is to believe when it starts.
const run = (program, believed) => new Promise((resolve) => {
  execFile(process.execPath, ['--input-type=module', '-e', program, server.url],
    { env: { ...process.env, NODE_EXTRA_CA_CERTS: believed ?? '' } },
    (error, out, err) => resolve({ code: error?.code ?? 0, out, err }));
});
const program = `
  import OpenAI from 'openai';
  const client = new OpenAI({ baseURL: process.argv[1] + '/v1', apiKey: 'none', maxRetries: 0 });
  const ask = { model: 'demo', messages: [{ role: 'user', content: 'Hello' }], temperature: 0, max_tokens: 12 };
  const whole = (await client.chat.completions.create(ask)).choices[0].message.content;
  let pieces = '';
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true }))
    pieces += chunk.choices[0]?.delta?.content ?? '';
  console.log(JSON.stringify({ whole, pieces }));`;

test('answers and streams are as without TLS', async () => {
  assert.match(server.url, /^https:/);
  const { code, out, err } = await run(program, certificate);
  assert.equal(code, 0, err);
  const { whole, pieces } = JSON.parse(out);
  assert.ok(whole.length > 0);
  assert.equal(pieces, whole);
});

test('who does not believe the certificate asks nothing', async () => {
  const { code, err } = await run(program);
  assert.notEqual(code, 0);
  assert.match(err, /self-signed certificate/);
});

test('files that do not fit together are named, and nothing is served', async () => {
  await assert.rejects(startServer(['--tls-cert', certificate, '--tls-key', certificate]),
    /ended with 1: .*certificate\.pem is no private key/s);
  await assert.rejects(startServer(['--tls-cert', certificate]), /ended with 2: .*--tls-key/s);
});
