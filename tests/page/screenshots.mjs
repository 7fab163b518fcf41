// Pictures of the page for docs/, in light and dark, on a desktop and on a phone.
//
//   scripts/test_page.sh --screenshots FOLDER [PROGRAM]
import { join } from 'node:path';
import { answer, composer, kBoxes, mockAnswers, openBrowser, openPage, picture, send, setSettings, startServer } from './browser.mjs';

const folder = process.env.SCREENSHOTS;
const server = await startServer(['--max-sequences', '4', '--ctx', '2048']);
const { browser, close } = await openBrowser();

const kCode = `Here is a sketch with its **cost**, which is *O(n)* in the length of the word:

\`\`\`python
def is_palindrome(word: str) -> bool:
    """Whether word reads the same from both ends."""
    letters = [c for c in word.lower() if c.isalnum()]
    return letters == letters[::-1]  # no recursion

print(is_palindrome("Never odd or even"), 2 ** 10)
\`\`\`

| Word | Palindrome |
|:--|:--|
| level | yes |
| gemma | no |

1. \`isalnum\` leaves out spaces and marks
2. a slice with step \`-1\` turns the list round`;

const kAnswers = [
  { text: kCode, reasoning: 'A slice is the shortest way. Marks and spaces should not count, so they are taken out first.' },
  { calls: [{ name: 'calculator', arguments: '{"expression":"(47+38)*12"}' }] },
  { text: 'Twelve times 47 plus 38 is **1020**.' },
  { text: `Four things stand on the table:\n\n${kBoxes}` },
];

// A model that sees, and a stream as slow as a real one.
async function pace(page) {
  await page.route('**/api/show', (route) => route.fulfill({ json: { capabilities: ['completion', 'tools', 'thinking', 'vision', 'audio'] } }));
  await page.addInitScript(() => {
    const { fetch } = window;
    window.fetch = async (path, options) => {
      const response = await fetch(path, options);
      if (!String(path).endsWith('/v1/chat/completions')) return response;
      const events = (await response.text()).split(/(?<=\n\n)/);
      return new Response(new ReadableStream({ async pull(controller) {
        await new Promise((resolve) => { setTimeout(resolve, 12); });
        if (events.length) controller.enqueue(new TextEncoder().encode(events.shift()));
        else controller.close();
      } }));
    };
  });
  await page.reload();
}

async function conversation(page, file) {
  await setSettings(page, async (panel) => { await panel.getByLabel('Calculator').check(); });
  await mockAnswers(page, kAnswers);
  await send(page, 'How do I check for a palindrome in Python?');
  await answer(page);
  await send(page, 'And what is (47 + 38) × 12?');
  await page.locator('.answer strong', { hasText: '1020' }).waitFor();
  await answer(page);
  await page.locator('input[type=file]').setInputFiles({ name: 'table.png', mimeType: 'image/png', buffer: file });
  await send(page, 'What is on the table? Give me boxes.');
  await page.locator('.box').first().waitFor();
  await answer(page);
  await page.mouse.move(5, 5);
  await page.waitForTimeout(300);
}

// Callers of different sizes, while the dashboard looks on.
async function load(url, until) {
  const ask = async (i) => {
    while (Date.now() < until) {
      await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ seed: i, temperature: 1, max_tokens: 20 + 40 * (i % 5),
        min_p: 0.01, messages: [{ role: 'user', content: 'Tell me a story about a fox and a lighthouse. '.repeat(1 + i % 6) }] }) }).then((r) => r.text());
      await new Promise((resolve) => setTimeout(resolve, 350 * (i % 4) * Math.abs(Math.sin(Date.now() / 9000))));
    }
  };
  await Promise.all(Array.from({ length: 9 }, (_, i) => ask(i)));
}

const file = await picture(browser);
const kSizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const shots = [];
for (const theme of ['light', 'dark'])
  for (const [size, viewport] of Object.entries(kSizes)) {
    const { page, context } = await openPage(browser, server.url, { viewport, colorScheme: theme, isMobile: size === 'phone', hasTouch: size === 'phone' });
    const shot = (name) => page.screenshot({ path: join(folder, `${name}-${size}-${theme}.png`) });
    await pace(page);
    await page.locator('.server[data-state]').waitFor({ state: 'attached' });
    await shot('welcome');
    await conversation(page, file);
    await shot('boxes');
    await page.locator('.scroller').evaluate((scroller) => { scroller.scrollTop = 0; });
    await page.locator('.thinking summary').first().click();
    await page.waitForTimeout(200);
    await shot('chat');
    await page.locator('.call').first().evaluate((card) => card.scrollIntoView({ block: 'center' }));
    await page.waitForTimeout(200);
    await shot('tools');
    await page.getByRole('button', { name: 'Settings', exact: true }).click();
    await shot('settings');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Alt+m');
    shots.push({ page, context, shot });
  }
await load(server.url, Date.now() + Number(process.env.LOAD_SECONDS ?? 60) * 1000);
for (const { shot, context } of shots) {
  await shot('dashboard');
  await context.close();
}
await close();
await server.stop();
