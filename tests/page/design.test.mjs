// How the page looks and serves: colours, widths, accessibility, keys, the dashboard.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { answer, kBoxes, mockAnswers, openBrowser, openPage, picture, send, setSettings, startServer } from './browser.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let server;
let browser;
let close;
before(async () => {
  server = await startServer(['--max-sequences', '2']);
  ({ browser, close } = await openBrowser());
});
after(async () => {
  await close();
  assert.equal(await server.stop(), 0);
});

async function expectAccessible(page, where) {
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  assert.deepEqual(violations.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`), []);
}
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

for (const [size, viewport] of [['desktop', { width: 1280, height: 800 }], ['phone', { width: 390, height: 844 }]])
  for (const colorScheme of ['light', 'dark'])
    test(`${size}, ${colorScheme}: accessible, nothing wider than the screen`, async () => {
      const { page, context, problems } = await openPage(browser, server.url, { viewport, colorScheme, reducedMotion: 'reduce' });
      await page.evaluate(axe);
      await expectAccessible(page, 'welcome');
      await mockAnswers(page, [{ text: `# Long\n\n${'word'.repeat(60)}\n\n\`\`\`js\nconst line = '${'x'.repeat(200)}'; // note\n\`\`\`\n\n| ${'column | '.repeat(12)}\n|${'---|'.repeat(12)}\n| ${'cell | '.repeat(12)}\n\n${kBoxes}`,
        reasoning: 'hm', calls: [{ name: 'a_tool_with_a_long_name_indeed', arguments: JSON.stringify({ a: 'y'.repeat(300) }) }] }]);
      await page.locator('input[type=file]').setInputFiles({ name: 'p.jpg', mimeType: 'image/jpeg', buffer: await picture(browser, 'jpeg') });
      await send(page, 'z'.repeat(200));
      await answer(page);
      assert.equal(await overflow(page), 0);
      assert.ok(await page.locator('.message').evaluateAll((all) => all.every((one) => one.getBoundingClientRect().right <= innerWidth)));
      await expectAccessible(page, 'conversation');
      await page.getByRole('button', { name: 'Settings', exact: true }).click();
      await expectAccessible(page, 'settings');
      assert.equal(await overflow(page), 0);
      await page.keyboard.press('Escape');
      await page.keyboard.press('Alt+m');
      await page.locator('.chart path.line').first().waitFor({ state: 'attached' });
      await expectAccessible(page, 'dashboard');
      assert.equal(await overflow(page), 0);
      assert.deepEqual(problems, []);
      await context.close();
    });

test('colours follow the system until they are chosen, and the choice stays', async () => {
  const { page, context } = await openPage(browser, server.url, { colorScheme: 'light' });
  const brightness = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((sum, c) => sum + Number(c), 0));
  assert.ok(await brightness() > 600);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.locator('html[data-theme=dark]').waitFor();  // the page hears of it a moment later
  assert.ok(await brightness() < 150);
  await page.getByRole('button', { name: 'Light colours' }).click();
  assert.ok(await brightness() > 600);
  await page.reload();
  await page.getByRole('button', { name: 'Dark colours' }).click();
  assert.ok(await brightness() < 150);
  await context.close();
});

test('a phone hides the list behind a button', async () => {
  const { page, context } = await openPage(browser, server.url, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  assert.equal(await page.locator('#sidebar').isVisible(), false);
  await page.getByRole('button', { name: 'Show conversations' }).tap();
  await page.getByRole('button', { name: 'Dashboard' }).tap();
  await page.locator('.dashboard').waitFor();
  await context.close();
});

test('the dashboard plots what the server does', async () => {
  const { page, context, problems } = await openPage(browser, server.url, {}, '/#dashboard');
  let isOver = false;
  const load = Promise.all([1, 2, 3, 4].map(async (seed) => {
    while (!isOver)
      await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ seed, max_tokens: 60, messages: [{ role: 'user', content: 'Tell me a story.' }] }) }).then((r) => r.text());
  }));
  const rate = page.locator('.chart', { hasText: 'Tokens a second' }).locator('li b').first();
  await page.waitForFunction((node) => parseFloat(node.textContent) > 0, await rate.elementHandle());
  await page.waitForTimeout(2500);
  for (const title of ['Tokens a second', 'Answers', 'Time to first token', 'Time between tokens', 'Caches', 'Requests a second'])
    assert.ok(await page.locator('.chart', { has: page.getByRole('heading', { name: title, exact: true }) }).locator('path.line').count() >= 1, title);
  const label = await page.getByRole('img', { name: /^Time between tokens, the last 2 minutes/ }).getAttribute('aria-label');
  const [p50, p90, p99] = [...label.matchAll(/p\d\d ([\d.]+) (µs|ms|s)/g)].map(([, value, unit]) => value * { 'µs': 1e-6, ms: 1e-3, s: 1 }[unit]);
  assert.ok(p50 > 0 && p50 <= p90 && p90 <= p99 && p99 < 10, label);
  isOver = true;
  await load;
  assert.deepEqual(problems, []);
  await context.close();
});

test('rates and percentiles of two readings', async () => {
  const { page, context } = await openPage(browser, server.url);
  const found = await page.evaluate(async () => {
    const { growth, parseMetrics, quantiles, total } = await import('/page/prometheus.js');
    const text = (a, b, c) => `# HELP x\ngemma4_x_bucket{model="m",le="1"} ${a}\ngemma4_x_bucket{model="m",le="2"} ${b}\ngemma4_x_bucket{model="m",le="+Inf"} ${c}\ngemma4_x_count{model="m"} ${c}\ngemma4_x_count{model="n \\"q\\""} 5\n`;
    const before = parseMetrics(text(10, 10, 10));
    const now = parseMetrics(text(10, 20, 20));  // ten more, between 1 and 2
    return { total: total(now, 'x_count'), growth: growth(before, now, 'x_count'), middle: quantiles(before, now, 'x', [0.5, 1]),
      none: quantiles(now, now, 'x', [0.5]), restarted: [growth(now, parseMetrics(text(1, 1, 1)), 'x_count'), quantiles(now, parseMetrics(text(4, 4, 4)), 'x', [0.5])[0]],
      beyond: quantiles(before, parseMetrics(text(10, 10, 30)), 'x', [0.5]) };
  });
  assert.deepEqual(found, { total: 25, growth: 10, middle: [1.5, 2], none: [null], restarted: [6, 0.5], beyond: [2] });
  await context.close();
});

test('a server with keys: the page comes without one and asks for it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gemma4-keys-'));
  await writeFile(join(folder, 'keys'), 'sk-right name=a\n');
  const guarded = await startServer(['--api-keys', join(folder, 'keys')]);
  const { page, context, problems } = await openPage(browser, guarded.url);
  assert.match(await page.locator('.notice').innerText(), /wants an API key/);
  await send(page, 'hi');
  assert.match(await (await answer(page)).locator('.error').innerText(), /API key/);
  await setSettings(page, async (panel) => {
    await panel.getByLabel('API key').fill('sk-right');
    await panel.getByLabel('API key').press('Tab');
  });
  await page.locator('.server[data-state=up]').waitFor();
  await page.getByRole('button', { name: 'Regenerate this answer' }).click();
  await page.locator('.stats', { hasText: /tokens/ }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
  assert.equal(await guarded.stop(), 0);
  await rm(folder, { recursive: true });
});
