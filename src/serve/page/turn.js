// One turn: what was said so far becomes a request, its stream a message; calls of tools that run
// here are answered, until the model has nothing more to call or a person must answer.
//
// A message is {role: 'user', text, media} or {role: 'assistant', text, reasoning, calls, …};
// a call is {id, name, arguments, result}, result null while nobody has answered it.
import { streamChat } from './api.js';
import { contentPart } from './media.js';
import { runBuiltin, toolsOf } from './tools.js';

const kMostRounds = 8;  // of tools that answer by themselves

async function userMessage(message) {
  if (!message.media.length) return { role: 'user', content: message.text };
  const parts = await Promise.all(message.media.map(contentPart));
  if (message.text) parts.push({ type: 'text', text: message.text });
  return { role: 'user', content: parts };
}

function assistantMessages(message) {
  const said = { role: 'assistant', content: message.text || (message.calls.length ? null : '') };
  if (!message.calls.length) return [said];
  if (message.reasoning) said.reasoning_content = message.reasoning;
  said.tool_calls = message.calls.map((call) => ({ id: call.id, type: 'function',
    function: { name: call.name, arguments: call.arguments } }));
  return [said, ...message.calls.map((call) => ({ role: 'tool', tool_call_id: call.id, content: call.result ?? '' }))];
}

const kNumbers = { temperature: 'temperature', topP: 'top_p', topK: 'top_k', maxTokens: 'max_tokens', seed: 'seed' };

export async function requestOf(conversation) {
  const { settings } = conversation;
  const messages = settings.system.trim() ? [{ role: 'system', content: settings.system }] : [];
  for (const message of conversation.messages) {
    if (message.role === 'user') messages.push(await userMessage(message));
    else if (message.text || message.calls.length) messages.push(...assistantMessages(message));
  }
  const body = { messages };
  if (settings.model) body.model = settings.model;
  for (const [name, field] of Object.entries(kNumbers))
    if (settings[name] !== '' && settings[name] !== undefined) body[field] = Number(settings[name]);
  if (settings.thinking !== 'none') body.reasoning_effort = settings.thinking;
  const tools = toolsOf(settings);
  if (tools.length) {
    body.tools = tools;
    // A call that must be made is made once: after its result the model may speak.
    const called = conversation.messages.at(-1).role === 'assistant';
    body.tool_choice = settings.toolChoice === 'required' && called ? 'auto' : settings.toolChoice;
  }
  return body;
}

function addDelta(message, delta, now) {
  if (delta.reasoning_content) {
    message.reasoning += delta.reasoning_content;
    message.thinkingSince ??= now;
  }
  if (message.thinkingSince && message.thinkingSeconds === null && (delta.content || delta.tool_calls))
    message.thinkingSeconds = (now - message.thinkingSince) / 1000;
  if (delta.content) message.text += delta.content;
  for (const piece of delta.tool_calls ?? []) {
    message.calls[piece.index] ??= { id: piece.id, name: '', arguments: '', result: null };
    message.calls[piece.index].name += piece.function?.name ?? '';
    message.calls[piece.index].arguments += piece.function?.arguments ?? '';
  }
}

// One answer into `message`; `changed()` after each piece.
async function stream(body, message, changed, signal) {
  const start = performance.now();
  let first = null;
  for await (const chunk of streamChat(body, signal)) {
    const now = performance.now();
    const choice = chunk.choices?.[0];
    message.model = chunk.model ?? message.model;
    if (choice?.delta && Object.keys(choice.delta).some((key) => key !== 'role' && choice.delta[key])) first ??= now;
    if (choice?.delta) addDelta(message, choice.delta, now);
    if (choice?.finish_reason) message.finish = choice.finish_reason;
    if (chunk.usage) {
      message.stats = { tokens: chunk.usage.completion_tokens, prompt: chunk.usage.prompt_tokens,
        cached: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
        firstSeconds: ((first ?? now) - start) / 1000, seconds: (now - (first ?? now)) / 1000 };
    }
    changed();
  }
}

export const newAnswer = () => ({ role: 'assistant', text: '', reasoning: '', calls: [], thinkingSeconds: null,
  finish: null, error: null, pending: true, stats: null, model: '' });

// Adds answers to the conversation until it is a person's turn. `added(message)` and
// `changed(message)` follow it. Failures become the message's `error`, a stop its finish 'stopped'.
export async function runTurn(conversation, { added, changed, signal }) {
  for (let round = 0; round < kMostRounds; ++round) {
    const message = newAnswer();
    try {
      const body = await requestOf(conversation);  // before the new message is part of it
      conversation.messages.push(message);
      added(message);
      await stream(body, message, () => changed(message), signal);
      for (const call of message.calls) call.result = runBuiltin(call);
    } catch (error) {
      if (!conversation.messages.includes(message)) {
        conversation.messages.push(message);
        added(message);
      }
      if (signal.aborted) message.finish = 'stopped';
      else message.error = error.message;
      message.calls = [];  // perhaps half a call, and nobody waits for it
    }
    message.pending = false;
    if (message.thinkingSince && message.thinkingSeconds === null)
      message.thinkingSeconds = (performance.now() - message.thinkingSince) / 1000;
    delete message.thinkingSince;
    changed(message);
    if (message.error || signal.aborted || !canGoOn(message)) return;
  }
}

// Whether all its calls have results that the model has not seen.
export const canGoOn = (message) => message.role === 'assistant' && message.calls.length > 0 && message.calls.every((call) => call.result !== null);
