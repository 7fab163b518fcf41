// What messages hold: Markdown, hostile and not, media, boxes, tools.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answer, composer, kBoxes, mockAnswers, openBrowser, openPage, picture, send, setSettings, startServer } from './browser.mjs';

let server;
let browser;
let close;
let png;
before(async () => {
  server = await startServer();
  ({ browser, close } = await openBrowser());
  png = await picture(browser);
});
after(async () => {
  await close();
  assert.equal(await server.stop(), 0);
});
function pageTest(name, body) {
  test(name, async () => {
    const { page, context, problems } = await openPage(browser, server.url);
    await body(page);
    assert.deepEqual(problems, []);
    await context.close();
  });
}

pageTest('Markdown and code, coloured, with a button that copies it', async (page) => {
  await mockAnswers(page, [{ text: '# Top\n\n**bold** and `code` &amp; [link](https://example.org/)\n\n- [x] done\n- [ ] not\n\n```python\nif x:\n    return "s"\n```\n\n| a | b |\n|--:|---|\n| 1 | 2 |' }]);
  await send(page, 'show');
  const said = await answer(page);
  assert.equal(await said.locator('h3').innerText(), 'Top');
  assert.equal(await said.locator('strong').innerText(), 'bold');
  assert.match(await said.locator('p').first().innerText(), /code & link/);
  assert.equal(await said.locator('a').getAttribute('rel'), 'noopener noreferrer nofollow');
  assert.equal(await said.locator('input[type=checkbox]').count(), 2);
  assert.equal(await said.locator('input[checked]').count(), 1);
  assert.equal(await said.locator('td').first().evaluate((cell) => cell.style.textAlign), 'right');
  await said.locator('.hl-keyword', { hasText: 'return' }).waitFor();
  await said.getByRole('button', { name: 'Copy the code' }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'if x:\n    return "s"');
});

const kHostile = [
  '<script>document.title="owned"</script>', '<img src=x onerror=alert(1)>', '![picture](https://evil.example/p.png)',
  '![x](javascript:alert(1))', '[click](javascript:alert(1))', '[click](data:text/html,<script>alert(1)</script>)', '[vb](vbscript:x)',
  '<https://evil.example/auto>', '<svg onload=alert(1)>', '<iframe src="https://evil.example"></iframe>', '[a](java\nscript:alert(1))',
  '<style>body{background:url(https://evil.example)}</style>', '[ref]\n\n[ref]: javascript:alert(1)', '`<b>`', '```html\n<script>alert(1)</script>\n```',
  '```"><img src=x onerror=alert(1)>\nx\n```', '| <img src=x onerror=alert(1)> |\n|---|\n| <b onclick=alert(1)>x</b> |', '&lt;img src=x onerror=alert(1)&gt;',
  '<a href="javascript:alert(1)">a</a>', '<math><mi xlink:href="javascript:alert(1)">x</mi></math>', '<form action="https://evil.example"><button>x</button></form>',
];

pageTest('hostile Markdown runs nothing and loads nothing', async (page) => {
  await mockAnswers(page, [{ text: kHostile.join('\n\n'), reasoning: kHostile.join('\n\n'), calls: [{ name: '<img src=x onerror=alert(1)>', arguments: '{"a":"<script>alert(1)</script>"}' }] }]);
  await send(page, '<img src=x onerror=alert(1)>');
  await answer(page);
  await page.locator('.thinking summary').click();
  await page.waitForTimeout(300);
  assert.equal(await page.locator('.log :is(script, img, iframe, style, form, object, embed, base, link, meta, math, [onclick], [onerror], [onload])').count(), 0);
  for (const url of await page.locator('.log a').evaluateAll((links) => links.map((link) => link.href))) assert.match(url, /^https:\/\/evil\.example\//);
  assert.doesNotMatch(await page.title(), /owned/);
  await page.reload();  // from the browser's store, the same
  await page.locator('.answer').waitFor();
  assert.equal(await page.locator('.log :is(script, img, iframe)').count(), 0);
});

test('the policy forbids what the page never does', async () => {
  const { page, context, problems } = await openPage(browser, server.url);
  const refused = await page.evaluate(async () => {
    const found = [];
    try { document.body.innerHTML = '<p>x</p>'; } catch { found.push('markup'); }
    try { await fetch('https://evil.example/'); } catch { found.push('fetch'); }
    const outcome = (tag, source) => new Promise((resolve) => {
      const node = document.createElement(tag);
      node.onload = () => resolve('loaded');
      node.onerror = () => resolve('refused');
      node.src = source;
      document.body.append(node);
    });
    if (await outcome('img', 'https://evil.example/p.png') === 'refused') found.push('picture');
    return found;
  });
  assert.deepEqual(refused, ['markup', 'fetch', 'picture']);
  assert.equal(problems.filter((problem) => /has been blocked/.test(problem)).length, 3, problems.join('\n'));
  await context.close();
});

pageTest('a picture: chosen, seen, sent, refused by a model without eyes', async (page) => {
  await page.locator('input[type=file]').setInputFiles({ name: 'table.png', mimeType: 'image/png', buffer: png });
  assert.equal(await page.locator('.tray img').evaluate((image) => image.decode().then(() => image.naturalWidth)), 640);
  const request = page.waitForRequest('**/v1/chat/completions');
  await send(page, 'What is this?');
  const [part, text] = (await request).postDataJSON().messages[0].content;
  assert.equal(part.image_url.url, `data:image/png;base64,${png.toString('base64')}`);
  assert.equal(text.text, 'What is this?');
  assert.equal(await page.locator('.user img').evaluate((image) => image.naturalWidth), 640);
  assert.match(await (await answer(page)).locator('.error').innerText(), /\.$/);
  await page.reload();
  assert.equal(await page.locator('.user img').evaluate((image) => image.decode().then(() => image.naturalWidth)), 640);
});

// A file comes as from outside, by `kind` of event.
const give = (page, kind, name, type, base64) => page.evaluate(([how, file, mime, data]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], file, { type: mime }));
  if (how === 'paste') document.querySelector('#prompt').dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
  else for (const event of ['dragenter', 'dragover', 'drop']) document.body.dispatchEvent(new DragEvent(event, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}, [kind, name, type, base64]);

pageTest('drop, paste and the microphone', async (page) => {
  const requests = await mockAnswers(page, [{ text: 'ok' }]);
  await give(page, 'paste', 'pasted.png', 'image/png', png.toString('base64'));
  await page.locator('.tray li').nth(0).waitFor();
  await give(page, 'drop', 'film.mp4', 'video/mp4', 'AAAA');
  await page.locator('.tray li').nth(1).waitFor();
  await give(page, 'drop', 'notes.txt', 'text/plain', 'AAAA');
  assert.equal(await page.locator('.notice').innerText(), 'notes.txt is no picture, sound or video.');
  await page.getByRole('button', { name: 'Record from the microphone' }).click();
  await page.getByRole('button', { name: 'Stop recording' }).waitFor();
  await page.waitForTimeout(700);
  await page.getByRole('button', { name: 'Stop recording' }).click();
  await page.locator('.tray li').nth(2).waitFor();
  await give(page, 'drop', 'gone.png', 'image/png', png.toString('base64'));
  await page.getByRole('button', { name: 'Remove gone.png' }).click();
  await composer(page).press('Enter');
  await answer(page);
  const [image, film, sound, ...rest] = requests[0].messages[0].content;
  assert.deepEqual(rest, []);
  assert.match(image.image_url.url, /^data:image\/png;base64,/);
  assert.equal(film.video_url.url, 'data:video/mp4;base64,AAAA');
  assert.equal(sound.input_audio.format, 'wav');
  const wav = Buffer.from(sound.input_audio.data, 'base64');
  assert.equal(wav.toString('latin1', 0, 4) + wav.toString('latin1', 8, 16), 'RIFFWAVEfmt ');
  assert.equal(wav.readUInt32LE(24), 16000);
  assert.ok(wav.length > 16000 * 0.2 * 2, `${wav.length} bytes`);
});

pageTest('boxes are drawn where they belong', async (page) => {
  await mockAnswers(page, [{ text: `On the table:\n\n${kBoxes}` }]);
  await page.locator('input[type=file]').setInputFiles({ name: 'table.png', mimeType: 'image/png', buffer: png });
  await send(page, 'boxes');
  const said = await answer(page);
  await page.waitForTimeout(200);
  const frame = await said.locator('.boxes-picture').boundingBox();
  const apple = await said.locator('.box', { hasText: 'apple' }).boundingBox();
  const near = (value, expected) => assert.ok(Math.abs(value - expected) < 2, `${value} is not ${expected}`);
  near(apple.x - frame.x, 0.390 * frame.width);
  near(apple.y - frame.y, 0.480 * frame.height);
  near(apple.width, 0.160 * frame.width);
  near(apple.height, 0.315 * frame.height);
  assert.deepEqual(await said.locator('figcaption li').allInnerTexts(), ['plant', 'apple', 'lemon', 'mug']);
});

pageTest('a tool of the page runs by itself', async (page) => {
  const requests = await mockAnswers(page, [{ calls: [{ name: 'calculator', arguments: '{"expression":"2^10 - sqrt(16)*-3"}' }] }, { text: 'It is 1036.' }]);
  await setSettings(page, (panel) => panel.getByLabel('Calculator').check());
  await send(page, 'compute');
  await page.locator('.answer').getByText('It is 1036.').waitFor();
  assert.equal(requests[0].tools[0].function.name, 'calculator');
  const last = requests[1].messages.at(-1);
  assert.deepEqual([last.role, last.tool_call_id, JSON.parse(last.content).value], ['tool', 'call_0', 1036]);
  const card = page.locator('.call');
  assert.equal(await card.locator('.call-name').innerText(), 'calculator');
  assert.match(await card.innerText(), /ran in this page[\s\S]*2\^10[\s\S]*1036/);
});

pageTest('a declared tool is called by the model and answered by hand', async (page) => {
  await setSettings(page, async (panel) => {
    const field = panel.getByLabel('Your tools, as JSON');
    await field.fill('[{"name": ');
    assert.match(await panel.locator('.problem').innerText(), /not JSON/);
    await field.fill('[{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"enum":["Oslo","Rome"]}},"required":["city"],"additionalProperties":false}}]');
    await panel.getByLabel('Calls').selectOption('required');
    await panel.getByLabel('Temperature').fill('0');
  });
  await send(page, 'Is it warm in Rome?');
  const said = await answer(page);  // of the demo model, by constrained decoding
  assert.equal(await said.locator('.call-name').first().innerText(), 'get_weather');
  assert.match(await said.locator('.call pre').first().innerText(), /"city": "(Oslo|Rome)"/);
  const fields = said.getByLabel('You are the tool. Result:');
  const request = page.waitForRequest('**/v1/chat/completions');
  for (let left = await fields.count(); left > 0; --left) {
    await fields.first().fill('18 degrees');
    await fields.first().press('Enter');
  }
  const body = (await request).postDataJSON();
  assert.equal(body.messages.at(-1).content, '18 degrees');
  assert.equal(body.tool_choice, 'auto');
  await answer(page);
  assert.match(await page.locator('.call').first().innerText(), /answered[\s\S]*18 degrees/);
});
