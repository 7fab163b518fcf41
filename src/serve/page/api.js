// The server's API as the page uses it. Every failure is an ApiError whose message is one sentence.
import { preferences } from './store.js';

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;  // 0: there was no answer
  }
}

function headers() {
  const key = preferences.get('apiKey', '');
  return { 'Content-Type': 'application/json', ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

async function sentenceOf(response) {
  const text = await response.text().catch(() => '');
  let message;
  try {
    const body = JSON.parse(text);
    message = body.error?.message ?? body.error;
  } catch { /* not JSON: a proxy's page, say */ }
  if (typeof message !== 'string' || !message) message = `the server answered ${response.status} ${response.statusText}`.trim();
  const wait = Number(response.headers.get('retry-after'));
  if (wait > 0) message += `; try again in ${wait} s`;
  return asSentence(message);
}

export function asSentence(text) {
  const whole = text.trim().replace(/\s+/g, ' ');
  return whole.charAt(0).toUpperCase() + whole.slice(1) + (/[.!?]$/.test(whole) ? '' : '.');
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { headers: headers(), cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server cannot be reached; is it still running?');
  }
  if (!response.ok) throw new ApiError(await sentenceOf(response), response.status);
  return response;
}

export async function listModels() {
  const models = (await (await request('/v1/models')).json()).data;
  return Promise.all(models.map(async (model) => ({ ...model, capabilities: await capabilitiesOf(model.id) })));
}

// ["completion", "tools", "vision", …]; null when the server does not say.
async function capabilitiesOf(model) {
  try {
    const shown = await request('/api/show', { method: 'POST', body: JSON.stringify({ model }) });
    return (await shown.json()).capabilities ?? null;
  } catch {
    return null;
  }
}

export const metricsText = async (signal) => (await request('/metrics', { signal })).text();

// Yields the chunks of a streamed chat completion.
export async function* streamChat(body, signal) {
  const response = await request('/v1/chat/completions', {
    method: 'POST', signal,
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  });
  let done = false;
  for await (const data of eventsOf(response.body)) {
    if (data === '[DONE]') { done = true; continue; }
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(asSentence(chunk.error.message ?? String(chunk.error)));
    yield chunk;
  }
  if (!done) throw new ApiError('The connection broke before the answer was complete.');
}

// The data of server-sent events.
async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  try {
    for (;;) {
      let piece;
      try {
        piece = await reader.read();
      } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new ApiError('The connection broke before the answer was complete.');
      }
      if (piece.done) return;
      buffer += piece.value;
      for (let end; (end = buffer.indexOf('\n\n')) >= 0; buffer = buffer.slice(end + 2))
        for (const line of buffer.slice(0, end).split('\n'))
          if (line.startsWith('data:')) yield line.slice(5).trimStart();
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
