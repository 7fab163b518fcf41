// A server, a browser, and answers of a certain shape where the demo model cannot give them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export { startServer, until } from './server.mjs';

export async function openBrowser() {
  const home = await mkdtemp(join(tmpdir(), 'gemma4-page-'));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'],
    env: { ...process.env, HOME: home },
  });
  return { browser, close: async () => { await browser.close(); await rm(home, { recursive: true, force: true }); } };
}

// A page of its own browser profile. `problems` collects what must not happen: scripts that fail,
// refusals of the content security policy, requests to other origins.
export async function openPage(browser, url, options = {}, path = '/') {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ['clipboard-read', 'clipboard-write', 'microphone'], acceptDownloads: true, ...options });
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`script: ${error.message}`));
  page.on('console', (message) => { if (/Content Security Policy|Trusted/i.test(message.text())) problems.push(message.text()); });
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => { if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(url)) problems.push(`request: ${request.url()}`); });
  await page.goto(url + path);
  await page.locator('.server[data-state]').waitFor({ state: 'attached' });
  return { page, context, problems };
}

const sse = (deltas, finish) => [...deltas.map((delta) => ({ choices: [{ index: 0, delta, finish_reason: null }] })),
  { choices: [{ index: 0, delta: {}, finish_reason: finish }] },
  { choices: [], usage: { prompt_tokens: 42, completion_tokens: 128, prompt_tokens_details: { cached_tokens: 24 } } }]
  .map((chunk) => `data: ${JSON.stringify({ object: 'chat.completion.chunk', model: 'demo', ...chunk })}\n\n`).join('') + 'data: [DONE]\n\n';

// Chat completions answer with `answers` in turn, each {text, reasoning, calls}; gives the requests.
export async function mockAnswers(page, answers) {
  const requests = [];
  await page.route('**/v1/chat/completions', async (route) => {
    const { text = '', reasoning = '', calls = [] } = answers[Math.min(requests.length, answers.length - 1)];
    requests.push(route.request().postDataJSON());
    const pieces = (whole) => whole.match(/[\s\S]{1,7}/g) ?? [];
    await route.fulfill({ contentType: 'text/event-stream', body: sse([
      ...pieces(reasoning).map((piece) => ({ reasoning_content: piece })),
      ...pieces(text).map((piece) => ({ content: piece })),
      ...calls.flatMap(({ name, arguments: given }, index) => [
        { tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name, arguments: '' } }] },
        ...pieces(given).map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] }))]),
    ], calls.length ? 'tool_calls' : 'stop') });
  });
  return requests;
}

export const composer = (page) => page.getByRole('textbox', { name: 'Message' });
export async function send(page, text) {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}
// The newest answer, once it is whole.
export async function answer(page) {
  await page.locator('.answer').last().waitFor();
  const last = page.locator('.answer:not(.pending)').last();
  await page.locator('body:not(.busy)').waitFor();
  return last;
}
export async function setSettings(page, change) {
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  const panel = page.getByRole('dialog', { name: 'Settings' });
  await change(panel);
  await panel.getByRole('button', { name: 'Close' }).click();
  await panel.waitFor({ state: 'detached' });
}

// A still life, as the bytes of a picture.
export async function picture(browser, type = 'png') {
  const page = await browser.newPage({ viewport: { width: 640, height: 420 } });
  await page.setContent(`<body style="margin:0"><svg width="640" height="420" viewBox="0 0 640 420">
    <defs><linearGradient id="w" x2="0" y2="1"><stop stop-color="#f6d9b8"/><stop offset="1" stop-color="#eab98b"/></linearGradient>
    <radialGradient id="a" cx=".35" cy=".3"><stop stop-color="#ff8d75"/><stop offset="1" stop-color="#c4252b"/></radialGradient>
    <radialGradient id="l" cx=".35" cy=".3"><stop stop-color="#fff3a1"/><stop offset="1" stop-color="#e9b820"/></radialGradient></defs>
    <rect width="640" height="420" fill="url(#w)"/><circle cx="520" cy="86" r="52" fill="#fff4dc" opacity=".7"/>
    <rect y="300" width="640" height="120" fill="#8a5a3c"/><rect y="300" width="640" height="9" fill="#a8714d"/>
    <g fill="#2f7d55"><path d="M120 220c-60-50-70-110-40-150 30 40 50 90 45 150z"/><path d="M125 220c-5-70 10-130 55-160 15 60-10 120-50 160z" fill="#3f9a69"/><path d="M122 222c30-50 70-70 110-65-15 45-60 70-106 66z" fill="#27694a"/></g>
    <path d="M82 218h86l-12 106H94z" fill="#d9734e"/><rect x="76" y="206" width="98" height="22" rx="6" fill="#e58762"/>
    <ellipse cx="330" cy="330" rx="84" ry="10" fill="#0003"/><circle cx="300" cy="282" r="50" fill="url(#a)"/><path d="M300 236c0-16 6-26 14-32" stroke="#5b3a22" stroke-width="6" fill="none" stroke-linecap="round"/><path d="M310 222c12-18 32-18 42-12-8 16-26 20-42 12z" fill="#4c9a52"/>
    <ellipse cx="392" cy="300" rx="44" ry="32" fill="url(#l)"/><ellipse cx="500" cy="336" rx="80" ry="9" fill="#0003"/>
    <path d="M452 208h96v96a28 28 0 01-28 28h-40a28 28 0 01-28-28z" fill="#f4f7fb"/><path d="M548 228h14a28 28 0 010 60h-14" fill="none" stroke="#f4f7fb" stroke-width="12"/><ellipse cx="500" cy="208" rx="48" ry="10" fill="#5a3a2a"/>
    </svg></body>`);
  const bytes = await page.screenshot({ type });
  await page.close();
  return bytes;
}
export const kBoxes = '```json\n[{"box_2d": [125, 95, 775, 372], "label": "plant"}, {"box_2d": [480, 390, 795, 550], "label": "apple"},\n {"box_2d": [636, 542, 792, 682], "label": "lemon"}, {"box_2d": [468, 704, 792, 936], "label": "mug"}]\n```';
