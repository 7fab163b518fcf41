// Pictures, sounds and films through every client that sends them: the tokens that the usage counts
// are those that the rules of sizes give. And what is no picture is refused by name.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { ChatOllama } from '@langchain/ollama';
import { ChatOpenAI } from '@langchain/openai';
import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled } from '@openai/agents';
import { generateText, streamText } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { dataUrl, imageTokens, makeTinyModel, png, pngBomb, soundTokens, wav, y4m } from './media.mjs';
import { startServer } from './server.mjs';
import { checkedFetch } from './streams.mjs';

let tiny, server, checked, openai, anthropic, ollama, provider, text_tokens;
before(async () => {
  setTracingDisabled(true);
  tiny = makeTinyModel();
  server = await startServer([tiny.path, '--name', 'tiny', '--ctx', '3000']);
  checked = checkedFetch();
  const baseURL = `${server.url}/v1`;
  openai = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0, fetch: checked.fetch });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0, fetch: checked.fetch });
  ollama = new Ollama({ host: server.url, fetch: checked.fetch });
  provider = createOpenAICompatible({ name: 'gemma4', baseURL, apiKey: 'none', includeUsage: true, fetch: checked.fetch });
  text_tokens = (await chat([])).usage.prompt_tokens;
});
after(async () => {
  assert.ok(await checked.settle() >= 3, 'streams were checked');
  assert.equal(await server.stop(), 0);
  tiny.remove();
});

// Pictures that fill their budget in different ways, with what they cost in tokens.
const kSizes = [[640, 480], [300, 200], [48, 48], [1280, 640]];
const pictures = kSizes.map(([width, height]) =>
  ({ bytes: png(width, height), tokens: 2 + imageTokens(width, height) }));
const url = ({ bytes }) => dataUrl('image/png', bytes);
const sound = wav(16000);
const kSoundTokens = 2 + soundTokens(16000);
const settings = { model: 'tiny', temperature: 0, max_tokens: 6 };

const chat = (parts, fields = {}) => openai.chat.completions.create({ ...settings, ...fields,
  messages: [{ role: 'user', content: [...parts, { type: 'text', text: 'hi' }] }] });
const image_url = (url, fields = {}) => ({ type: 'image_url', image_url: { url, ...fields } });
const input_audio = (bytes) =>
  ({ type: 'input_audio', input_audio: { data: bytes.toString('base64'), format: 'wav' } });

test('the sizes that this test relies on are those of the specification', () => {
  assert.deepEqual(kSizes.map(([width, height]) => imageTokens(width, height)), [266, 260, 256, 253]);
  assert.equal(imageTokens(640, 480, 70), 63);
  assert.equal(imageTokens(640, 480, 1120), 1064);
  assert.equal(soundTokens(16000), 25);
});

test('openai: pictures, plain and streamed, of every size and budget', async () => {
  for (const picture of pictures) {
    const plain = await chat([image_url(url(picture))]);
    assert.equal(plain.usage.prompt_tokens, text_tokens + picture.tokens);
    let text = '', usage;
    for await (const part of await chat([image_url(url(picture))], { stream: true, stream_options: { include_usage: true } })) {
      text += part.choices[0]?.delta.content ?? '';
      usage = part.usage ?? usage;
    }
    assert.equal(text, plain.choices[0].message.content);
    assert.equal(usage.prompt_tokens, plain.usage.prompt_tokens);
  }
  for (const [detail, budget] of [['low', 70], ['high', 1120]]) {
    const { usage } = await chat([image_url(url(pictures[0]), { detail })]);
    assert.equal(usage.prompt_tokens, text_tokens + 2 + imageTokens(640, 480, budget), detail);
  }
  const two = await chat(pictures.slice(0, 2).map((picture) => image_url(url(picture))));
  assert.equal(two.usage.prompt_tokens, text_tokens + pictures[0].tokens + pictures[1].tokens);
});

test('openai: what a picture shows changes the answer', async () => {
  const asked = async (shade) => {
    const { choices: [choice] } = await chat([image_url(dataUrl('image/png', png(300, 200, shade)))],
      { logprobs: true, top_logprobs: 5, max_tokens: 1 });
    return choice.logprobs.content[0].top_logprobs.map(({ token, logprob }) => [token, logprob]);
  };
  assert.deepEqual(await asked(0), await asked(0));
  assert.notDeepEqual(await asked(0), await asked(100));
});

test('openai: sound and films', async () => {
  const heard = await chat([input_audio(sound)]);
  assert.equal(heard.usage.prompt_tokens, text_tokens + kSoundTokens);
  // Each frame has its time before it, and a space between it and the next.
  const stamps = ['00:00 ', ' 00:01 ', ' 00:02 '];
  let stamp_tokens = 0;
  for (const content of stamps) {
    const answer = await fetch(`${server.url}/tokenize`, { method: 'POST', body: JSON.stringify({ content }) });
    stamp_tokens += (await answer.json()).count;
  }
  const film = { type: 'video_url', video_url: { url: dataUrl('video/x-yuv4mpeg', y4m(96, 96, 3)) } };
  const seen = await chat([film]);
  assert.equal(seen.usage.prompt_tokens, text_tokens + stamp_tokens + 3 * (2 + imageTokens(96, 96, 70)));
});

test('openai: responses with pictures and sound', async () => {
  const ask = (content) => openai.responses.create({ model: 'tiny', temperature: 0, max_output_tokens: 6,
    input: [{ role: 'user', content: [...content, { type: 'input_text', text: 'hi' }] }] });
  const seen = await ask([{ type: 'input_image', image_url: url(pictures[1]), detail: 'auto' }]);
  assert.equal(seen.usage.input_tokens, text_tokens + pictures[1].tokens);
  const heard = await ask([input_audio(sound)]);
  assert.equal(heard.usage.input_tokens, text_tokens + kSoundTokens);
});

const anthropicAsk = (content, fields = {}) => anthropic.messages.create({ ...settings, ...fields,
  messages: [{ role: 'user', content: [...content, { type: 'text', text: 'hi' }] }] });
const anthropicImage = (bytes, media_type = 'image/png') =>
  ({ type: 'image', source: { type: 'base64', media_type, data: bytes.toString('base64') } });
const anthropicTokens = (usage) => usage.input_tokens + (usage.cache_read_input_tokens ?? 0);

test('anthropic: pictures, plain, streamed, counted and in a result of a tool', async () => {
  for (const picture of pictures) {
    const plain = await anthropicAsk([anthropicImage(picture.bytes)]);
    assert.equal(anthropicTokens(plain.usage), text_tokens + picture.tokens);
  }
  let text = '', start;
  for await (const event of await anthropicAsk([anthropicImage(pictures[0].bytes)], { stream: true })) {
    if (event.type === 'message_start') start = event.message.usage;
    if (event.type === 'content_block_delta') text += event.delta.text;
  }
  assert.equal(anthropicTokens(start), text_tokens + pictures[0].tokens);
  assert.equal(text, (await anthropicAsk([anthropicImage(pictures[0].bytes)])).content[0].text);
  const counted = await anthropic.messages.countTokens({ model: 'tiny',
    messages: [{ role: 'user', content: [anthropicImage(pictures[2].bytes), { type: 'text', text: 'hi' }] }] });
  assert.equal(counted.input_tokens, text_tokens + pictures[2].tokens);
  const tools = [{ name: 'camera', input_schema: { type: 'object' } }];
  const shown = (content) => anthropic.messages.countTokens({ model: 'tiny', tools, messages: [
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'camera', input: {} }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content }] }] });
  const words = { type: 'text', text: 'there' };
  const without = await shown([words]), with_picture = await shown([words, anthropicImage(pictures[1].bytes)]);
  assert.ok(with_picture.input_tokens - without.input_tokens >= pictures[1].tokens);
});

test('ollama: pictures in chat and generate, plain and streamed', async () => {
  const options = { temperature: 0, num_predict: 6 };
  for (const picture of pictures) {
    const images = [picture.bytes.toString('base64')];
    const message = { role: 'user', content: 'hi', images };
    const plain = await ollama.chat({ model: 'tiny', messages: [message], options });
    assert.equal(plain.prompt_eval_count, text_tokens + picture.tokens);
    let last, text = '';
    for await (const part of await ollama.chat({ model: 'tiny', messages: [message], options, stream: true })) {
      last = part;
      text += part.message.content;
    }
    assert.equal(text, plain.message.content);
    assert.equal(last.prompt_eval_count, plain.prompt_eval_count);
    const generated = await ollama.generate({ model: 'tiny', prompt: 'hi', images, options });
    assert.equal(generated.prompt_eval_count, plain.prompt_eval_count);
  }
});

test('ai: pictures and sound', async () => {
  const ask = (make, part) => make({ model: provider('tiny'), temperature: 0, maxOutputTokens: 6, maxRetries: 0,
    messages: [{ role: 'user', content: [part, { type: 'text', text: 'hi' }] }] });
  const picture = { type: 'image', image: pictures[0].bytes, mediaType: 'image/png' };
  const seen = await ask(generateText, picture);
  assert.equal(seen.usage.inputTokens, text_tokens + pictures[0].tokens);
  const streamed = ask(streamText, picture);
  assert.equal(await streamed.text, seen.text);
  assert.equal((await streamed.usage).inputTokens, seen.usage.inputTokens);
  const heard = await ask(generateText, { type: 'file', data: sound, mediaType: 'audio/wav' });
  assert.equal(heard.usage.inputTokens, text_tokens + kSoundTokens);
});

test('langchain: pictures over both protocols, and sound', async () => {
  const over_openai = new ChatOpenAI({ model: 'tiny', apiKey: 'none', maxRetries: 0, temperature: 0, maxTokens: 6,
    configuration: { baseURL: `${server.url}/v1`, fetch: checked.fetch } });
  const over_ollama = new ChatOllama({ model: 'tiny', baseUrl: server.url, maxRetries: 0, temperature: 0,
    numPredict: 6, fetch: checked.fetch });
  const ask = (model, part) => model.invoke([{ role: 'user', content: [part, { type: 'text', text: 'hi' }] }]);
  const seen = await ask(over_openai, image_url(url(pictures[3])));
  assert.equal(seen.usage_metadata.input_tokens, text_tokens + pictures[3].tokens);
  // Its Ollama client makes a message of each part.
  const parts = await ollama.chat({ model: 'tiny', options: { num_predict: 1 },
    messages: [{ role: 'user', content: '' }, { role: 'user', content: 'hi' }] });
  const seen_by_parts = await ask(over_ollama, image_url(url(pictures[3])));
  assert.equal(seen_by_parts.usage_metadata.input_tokens, parts.prompt_eval_count + pictures[3].tokens);
  const heard = await ask(over_openai, input_audio(sound));
  assert.equal(heard.usage_metadata.input_tokens, text_tokens + kSoundTokens);
});

test('agents: pictures and sound', async () => {
  const agent = new Agent({ name: 'tiny', model: new OpenAIChatCompletionsModel(openai, 'tiny'),
    modelSettings: { temperature: 0, maxTokens: 6 } });
  const ask = (part) => run(agent, [{ role: 'user', content: [part, { type: 'input_text', text: 'hi' }] }]);
  const tokens = (result) => result.rawResponses[0].usage.inputTokens;
  assert.equal(tokens(await ask({ type: 'input_image', image: url(pictures[1]) })), text_tokens + pictures[1].tokens);
  assert.equal(tokens(await ask({ type: 'audio', audio: sound.toString('base64'), format: 'wav' })),
    text_tokens + kSoundTokens);
});

// What the error of a client says, which must have come with status 400: one sentence with no line
// break.
async function refusal(asking) {
  let failed;
  try {
    await asking;
  } catch (error) {
    failed = error;
  }
  assert.ok(failed, 'it was answered');
  assert.equal(failed.status ?? failed.status_code ?? failed.statusCode, 400, `${failed}`);
  assert.ok(failed.message.length < 400 && !/\n/.test(failed.message), failed.message);
  return failed.message;
}
const ollamaAsk = (images, model = 'tiny') =>
  ollama.chat({ model, messages: [{ role: 'user', content: 'hi', images }], options: { num_predict: 1 } });

test('what is no picture, or too large a one, is a 400 in every protocol', async () => {
  const whole = png(300, 200);
  const wrong = {
    cut: whole.subarray(0, whole.length >> 1),
    empty: Buffer.alloc(0),
    text: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
    sound,
    bomb: pngBomb(60000, 60000),
    wide: pngBomb(0x7fffffff, 1),
  };
  const said = {};
  for (const [what, bytes] of Object.entries(wrong)) {
    said[what] = [
      await refusal(chat([image_url(dataUrl('image/png', bytes))])),
      await refusal(anthropicAsk([anthropicImage(bytes)])),
      await refusal(ollamaAsk([bytes.toString('base64')])),
      await refusal(openai.responses.create({ model: 'tiny', input: [{ role: 'user', content: [
        { type: 'input_image', image_url: dataUrl('image/png', bytes), detail: 'auto' }] }] })),
    ];
  }
  for (const message of [...said.bomb, ...said.wide]) assert.match(message, /pixels|large|limit/i);
  // The media's type is read from its bytes; one that says that it is something else is wrong.
  await refusal(chat([image_url(dataUrl('audio/wav', sound))]));
  await refusal(chat([image_url('data:image/png;base64,%%%%')]));
  await refusal(chat([image_url('data:image/png')]));
  await refusal(chat([input_audio(whole)]));
  await refusal(chat([input_audio(sound.subarray(0, 20))]));
  await refusal(chat([{ type: 'video_url', video_url: { url: dataUrl('video/mp4', Buffer.from('no film')) } }]));
  // And the server is as it was.
  assert.equal((await chat([image_url(url(pictures[1]))])).usage.prompt_tokens, text_tokens + pictures[1].tokens);
});

test('pictures that do not fit the context are told the numbers', async () => {
  const many = Array.from({ length: 12 }, () => image_url(url(pictures[0])));
  const message = await refusal(chat(many));
  assert.match(message, /3000/);
  assert.match(message, new RegExp(`${text_tokens + 12 * pictures[0].tokens}`));
});

test('a model without towers says so to every client', async () => {
  const blind = await startServer();
  try {
    const options = { apiKey: 'none', maxRetries: 0 };
    const other = { openai: new OpenAI({ baseURL: `${blind.url}/v1`, ...options }),
      anthropic: new Anthropic({ baseURL: blind.url, ...options }), ollama: new Ollama({ host: blind.url }) };
    const ask = (part) => other.openai.chat.completions.create({ messages: [{ role: 'user', content: [part] }] });
    assert.match(await refusal(ask(image_url(url(pictures[1])))), /does not see/);
    assert.match(await refusal(ask(input_audio(sound))), /does not hear/);
    assert.match(await refusal(other.anthropic.messages.create({ model: 'demo', max_tokens: 1,
      messages: [{ role: 'user', content: [anthropicImage(pictures[1].bytes)] }] })), /does not see/);
    assert.match(await refusal(other.ollama.chat({ model: 'demo',
      messages: [{ role: 'user', content: 'hi', images: [pictures[1].bytes.toString('base64')] }] })), /does not see/);
  } finally {
    assert.equal(await blind.stop(), 0);
  }
});
