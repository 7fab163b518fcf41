// What every stream must be, whoever reads it: order, form, and exactly one ending. The checks read
// the bytes that the server sent; checkedFetch() puts them beside any client that lets its fetch be
// given.
import assert from 'node:assert/strict';

// Blocks of server-sent events: [{event, data}]; nothing else may be in the stream.
function blocks(text) {
  assert.ok(text.endsWith('\n\n'), 'the stream ends within an event');
  return text.slice(0, -2).split('\n\n').map((block) => {
    const found = /^(?:event: (\w+)\n)?data: ([^\n]*)$/.exec(block);
    assert.ok(found, `not an event: ${block}`);
    return { event: found[1], data: found[2] };
  });
}

// One answer of OpenAI's chat, whose deltas come in this order: role, thought, text or calls,
// reason. `calls` have rising indexes, each begun once with id and name.
function checkChatChoice(choice, state) {
  assert.equal(state.finished, undefined, 'a chunk after the answer has ended');
  const { delta } = choice;
  if (!state.begun) assert.equal(delta.role, 'assistant', 'the first delta has the role');
  else assert.equal(delta.role, undefined, 'the role comes once');
  state.begun = true;
  if (delta.reasoning_content) assert.ok(!state.content && state.calls.length === 0, 'a thought comes first');
  if (delta.content) state.content = true;
  for (const call of delta.tool_calls ?? []) {
    if (call.index === state.calls.length) {
      assert.ok(call.id && call.function.name, 'a call begins with id and name');
      assert.equal(call.type, 'function');
      state.calls.push('');
    } else {
      assert.equal(call.index, state.calls.length - 1, 'calls come one after the other');
      assert.ok(!call.id && !call.function.name, 'id and name come once');
    }
    state.calls[call.index] += call.function.arguments ?? '';
  }
  if (choice.finish_reason === null || choice.finish_reason === undefined) return;
  assert.match(choice.finish_reason, /^(stop|length|tool_calls)$/);
  if (choice.finish_reason === 'tool_calls') {
    assert.ok(state.calls.length > 0);
    for (const call of state.calls) assert.equal(typeof JSON.parse(call), 'object');
  }
  state.finished = choice.finish_reason;
}

// /v1/chat/completions and /v1/completions
export function checkOpenAiStream(text, request) {
  const events = blocks(text);
  assert.equal(events.filter(({ data }) => data === '[DONE]').length, 1, 'one [DONE]');
  assert.equal(events.pop().data, '[DONE]', 'nothing after [DONE]');
  const chunks = events.map(({ event, data }) => (assert.equal(event, undefined), JSON.parse(data)));
  const is_chat = request.messages !== undefined;
  const answers = new Map();
  let usages = 0;
  for (const [i, chunk] of chunks.entries()) {
    assert.equal(chunk.object, is_chat ? 'chat.completion.chunk' : 'text_completion');
    assert.deepEqual([chunk.id, chunk.created, chunk.model],
      [chunks[0].id, chunks[0].created, chunks[0].model], 'all chunks are of one answer');
    if (chunk.usage) {
      ++usages;
      assert.equal(i, chunks.length - 1, 'the usage comes last');
      assert.deepEqual(chunk.choices, []);
      assert.equal(chunk.usage.total_tokens, chunk.usage.prompt_tokens + chunk.usage.completion_tokens);
      continue;
    }
    assert.equal(chunk.choices.length, 1);
    const [choice] = chunk.choices;
    if (!answers.has(choice.index)) answers.set(choice.index, { calls: [] });
    const state = answers.get(choice.index);
    if (is_chat) {
      checkChatChoice(choice, state);
      continue;
    }
    assert.equal(state.finished, undefined, 'a chunk after the answer has ended');
    assert.equal(typeof choice.text, 'string');
    state.finished = choice.finish_reason ?? undefined;
  }
  assert.equal(answers.size, request.n ?? 1, 'every answer is there');
  for (const state of answers.values()) assert.ok(state.finished, 'an answer without an ending');
  assert.equal(usages, request.stream_options?.include_usage ? 1 : 0);
}

// /v1/messages
export function checkAnthropicStream(text) {
  const events = blocks(text);
  let open = -1, closed = 0, state = 'new', input = '', type;
  for (const { event, data } of events) {
    const value = JSON.parse(data);
    assert.equal(event, value.type);
    assert.notEqual(state, 'stopped', 'an event after message_stop');
    switch (event) {
      case 'message_start':
        assert.equal(state, 'new');
        assert.deepEqual([value.message.role, value.message.content, value.message.stop_reason],
          ['assistant', [], null]);
        state = 'blocks';
        break;
      case 'ping':
        assert.equal(state, 'blocks');
        break;
      case 'content_block_start':
        assert.deepEqual([state, open, value.index], ['blocks', -1, closed]);
        open = value.index;
        type = value.content_block.type;
        input = '';
        break;
      case 'content_block_delta':
        assert.equal(value.index, open, 'a delta of the open block');
        assert.ok({ text: ['text_delta'], thinking: ['thinking_delta', 'signature_delta'],
          tool_use: ['input_json_delta'] }[type].includes(value.delta.type), `${value.delta.type} in ${type}`);
        input += value.delta.partial_json ?? '';
        break;
      case 'content_block_stop':
        assert.equal(value.index, open, 'the open block ends');
        if (type === 'tool_use' && input !== '') state = isJson(input) ? 'blocks' : 'cut';
        open = -1;
        ++closed;
        break;
      case 'message_delta':
        assert.equal(open, -1);
        assert.match(value.delta.stop_reason, /^(end_turn|max_tokens|stop_sequence|tool_use)$/);
        if (state === 'cut') assert.equal(value.delta.stop_reason, 'max_tokens', 'a call that is cut off');
        else assert.equal(state, 'blocks');
        assert.ok(value.usage.output_tokens >= 0);
        state = 'ended';
        break;
      case 'message_stop':
        assert.equal(state, 'ended');
        state = 'stopped';
        break;
      default:
        assert.fail(`an unknown event ${event}`);
    }
  }
  assert.equal(state, 'stopped', 'a stream without an ending');
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

// /api/chat and /api/generate
export function checkOllamaStream(text, request) {
  assert.ok(text.endsWith('\n'), 'the stream ends within a line');
  const lines = text.slice(0, -1).split('\n').map((line) => JSON.parse(line));
  let content = false;
  for (const [i, line] of lines.entries()) {
    assert.equal(line.done, i === lines.length - 1, 'done is said by the last line, and by it alone');
    assert.equal(line.model, lines[0].model);
    assert.ok(!Number.isNaN(Date.parse(line.created_at)));
    const said = request.messages === undefined ? { content: line.response, thinking: line.thinking } : line.message;
    assert.equal(typeof said.content, 'string');
    if (request.messages !== undefined) assert.equal(said.role, 'assistant');
    if (said.thinking) assert.ok(!content, 'a thought comes first');
    if (said.content) content = true;
  }
  const last = lines.at(-1);
  assert.match(last.done_reason, /^(stop|length)$/);
  assert.ok(last.prompt_eval_count > 0 && last.eval_count >= 0 && last.total_duration > 0);
}

export function checkStream(path, text, request) {
  if (path === '/v1/messages') return checkAnthropicStream(text);
  if (path.startsWith('/api/')) return checkOllamaStream(text, request);
  return checkOpenAiStream(text, request);
}

// A fetch whose streams are checked beside the client that reads them. `settle` waits for the
// checks and returns how many there were; streams that the client broke off are not checked.
export function checkedFetch() {
  const checks = [];
  const fetcher = async (input, init) => {
    const response = await fetch(input, init);
    if (!/event-stream|ndjson/.test(response.headers.get('content-type') ?? '')) return response;
    const [mine, theirs] = response.body.tee();
    checks.push(new Response(mine).text().then(
      (text) => {
        checkStream(new URL(input.url ?? input).pathname, text, JSON.parse(init.body));
        return true;
      },
      () => false));
    return new Response(theirs, response);
  };
  return { fetch: fetcher, settle: async () => (await Promise.all(checks)).filter(Boolean).length };
}
