// A conversation in the browser against the demo model: send, stop, edit, keep, export.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { answer, composer, mockAnswers, openBrowser, openPage, send, setSettings, startServer, until } from './browser.mjs';

let server;
let browser;
let close;
before(async () => {
  server = await startServer();
  ({ browser, close } = await openBrowser());
});
after(async () => {
  await close();
  assert.equal(await server.stop(), 0);
});

// A test with a page of its own, in which nothing forbidden may happen.
function pageTest(name, body, options = {}) {
  test(name, async () => {
    const { page, context, problems } = await openPage(browser, server.url, options);
    await body(page, context);
    assert.deepEqual(problems, []);
    await context.close();
  });
}
const metric = async (name) => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return [...text.matchAll(new RegExp(`^gemma4_${name}\\{[^}]*\\} (\\S+)`, 'gm'))].reduce((sum, found) => sum + Number(found[1]), 0);
};

pageTest('a message is answered by the model, and its sampling settings are sent', async (page) => {
  await setSettings(page, async (panel) => {
    await panel.getByLabel('Seed').fill('3');
    await panel.getByLabel('Temperature').fill('0');
    await panel.getByLabel('System prompt').fill('Be kind.');
  });
  const request = page.waitForRequest('**/v1/chat/completions');
  await send(page, 'hi');
  assert.deepEqual((({ seed, temperature, messages, stream }) => ({ seed, temperature, messages, stream }))((await request).postDataJSON()),
    { seed: 3, temperature: 0, stream: true, messages: [{ role: 'system', content: 'Be kind.' }, { role: 'user', content: 'hi' }] });
  const said = await answer(page);
  assert.match(await said.locator('.markdown').last().innerText(), /\w+/);
  assert.match(await said.locator('.stats').innerText(), /^demo · \d+ tokens/);
  assert.equal(await page.locator('.bubble').innerText(), 'hi');
});

pageTest('stop ends the answer, and the server hears of it', async (page) => {
  const before = await metric('request_cancelled_total');
  await setSettings(page, async (panel) => {
    await panel.getByLabel('Temperature').fill('2');
    await panel.getByLabel('Your tools, as JSON').fill('[{"name": "write", "parameters": {"type": "object", "properties": {"text": {"type": "string", "minLength": 900}}, "required": ["text"]}}]');
    await panel.getByLabel('Calls').selectOption('required');
  });
  await send(page, 'Write a long text.');  // at least 900 characters, by the tool's schema
  await page.locator('.call').waitFor();
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  const said = await answer(page);
  assert.match(await said.locator('.stats').innerText(), /stopped/);
  await until(async () => await metric('request_cancelled_total') === before + 1, 'the cancellation');
  await page.getByRole('button', { name: 'Send', exact: true }).waitFor();
});

pageTest('thinking is folded and opens', async (page) => {
  await setSettings(page, async (panel) => {
    await panel.getByLabel('Thinking').selectOption('high');
    await panel.getByLabel('Temperature').fill('0');
  });
  await send(page, 'What is 47 plus 38?');
  const said = await answer(page);
  const thought = said.locator('.thinking');
  assert.match(await thought.locator('summary').innerText(), /^Thought for/);
  assert.equal(await thought.locator('.markdown').isVisible(), false);
  assert.match(await said.locator(':scope > .markdown').innerText(), /85/);
  await thought.locator('summary').click();
  assert.match(await thought.locator('.markdown').innerText(), /15/);
});

pageTest('regenerate and edit begin again from there', async (page) => {
  const requests = await mockAnswers(page, [{ text: 'one' }, { text: 'two' }, { text: 'three' }, { text: 'four' }]);
  await send(page, 'first');
  await answer(page);
  await send(page, 'second');
  await answer(page);
  await page.getByRole('button', { name: 'Regenerate this answer' }).last().click();
  await page.locator('.answer').getByText('three').waitFor();
  assert.deepEqual(requests[2].messages.map(({ content }) => content), ['first', 'one', 'second']);
  await answer(page);
  await page.locator('.user').first().hover();
  await page.getByRole('button', { name: 'Edit this message' }).first().click();
  await page.getByLabel('Edit the message').fill('changed');
  await page.getByLabel('Edit the message').press('Enter');
  await page.locator('.answer').getByText('four').waitFor();
  assert.deepEqual(requests[3].messages, [{ role: 'user', content: 'changed' }]);
  assert.equal(await page.locator('.message').count(), 2);
});

pageTest('a reload keeps the conversation; it can be renamed, found and deleted', async (page) => {
  await send(page, 'remember me');
  const text = await (await answer(page)).locator('.markdown').last().innerText();
  await page.reload();
  assert.equal(await page.locator('.bubble').innerText(), 'remember me');
  assert.equal(await page.locator('.answer .markdown').last().innerText(), text);
  await page.getByRole('button', { name: 'Rename remember me' }).click();
  await page.getByLabel('Title').fill('A better name');
  await page.getByLabel('Title').press('Enter');
  await page.getByRole('heading', { name: 'A better name' }).waitFor();
  await page.getByRole('button', { name: 'New chat' }).first().click();
  await page.getByLabel('Search conversations').fill('nowhere');
  assert.equal(await page.locator('.conversations li').count(), 0);
  await page.getByLabel('Search conversations').fill('remember');
  await page.getByRole('button', { name: 'A better name', exact: true }).click();
  assert.equal(await page.locator('.bubble').innerText(), 'remember me');
  await page.getByLabel('Search conversations').fill('');
  await page.getByRole('button', { name: 'Delete A better name' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.locator('.conversations li').waitFor({ state: 'detached' });
  await page.reload();
  await page.locator('.welcome').waitFor();
  assert.equal(await page.locator('.conversations li').count(), 0);
});

pageTest('export as Markdown and JSON', async (page) => {
  await mockAnswers(page, [{ text: 'Use `a`:\n\n```js\nb()\n```', reasoning: 'because' }]);
  await send(page, 'export this');
  await answer(page);
  const save = async (name) => {
    await page.getByLabel('Export', { exact: true }).click();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name }).click()]);
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
  };
  const markdown = await save('As Markdown');
  assert.equal(markdown.name, 'export-this.md');
  for (const part of ['# export this', '## You\n\nexport this', '> because', '```js\nb()\n```']) assert.ok(markdown.text.includes(part), part);
  const json = await save('As JSON');
  assert.equal(json.name, 'export-this.json');
  assert.deepEqual(JSON.parse(json.text).messages.map(({ role, text }) => [role, text]), [['user', 'export this'], ['assistant', 'Use `a`:\n\n```js\nb()\n```']]);
});

pageTest('what the server refuses is one sentence', async (page) => {
  await setSettings(page, async (panel) => { await panel.getByLabel('Temperature').fill('-1'); });
  await send(page, 'hi');
  const error = (await answer(page)).locator('.error');
  assert.match(await error.innerText(), /^Temperature: .*\.$/);
  await page.route('**/v1/chat/completions', (route) => route.abort());
  await send(page, 'and now');
  assert.match(await (await answer(page)).locator('.error').innerText(), /^The server cannot be reached; is it still running\?$/);
});

pageTest('a stream that breaks off is said to, and what came stays', async (page) => {
  await page.route('**/v1/chat/completions', (route) => route.fulfill({ contentType: 'text/event-stream',
    body: 'data: {"choices":[{"index":0,"delta":{"content":"half an"},"finish_reason":null}]}\n\n' }));
  await send(page, 'hi');
  const said = await answer(page);
  assert.equal(await said.locator('.markdown').last().innerText(), 'half an');
  assert.match(await said.locator('.error').innerText(), /connection broke/);
});

pageTest('keys alone: a whole conversation, panels, the dashboard', async (page) => {
  await page.keyboard.press('Tab');  // the field has the focus from the start
  await page.keyboard.press('/');
  await composer(page).fill('');
  await page.keyboard.type('first line');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second line');
  await page.keyboard.press('Enter');
  await answer(page);
  assert.equal(await page.locator('.bubble').innerText(), 'first line\nsecond line');
  assert.equal(await composer(page).evaluate((area) => area === document.activeElement), true);
  await page.keyboard.press('Alt+s');
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('Alt+m');
  await page.locator('.dashboard').waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Shortcuts' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Alt+n');
  await page.locator('.welcome').waitFor();
  await page.keyboard.press('Alt+k');
  await page.keyboard.type('first');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('.bubble').waitFor();
});
