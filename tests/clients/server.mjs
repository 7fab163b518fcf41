// Starts the server that the tests talk to: GEMMA4_PROGRAM, the demo model, a free port.
import { spawn } from 'node:child_process';

// A test that failed before it stopped its server must not keep the others waiting: servers do not hold
// up the end of this process, unless it waits for theirs, and end with it.
const servers = [];
process.on('exit', () => { for (const server of servers) server.kill('SIGKILL'); });

export async function startServer(options = []) {
  const program = process.env.GEMMA4_PROGRAM;
  if (!program) throw new Error('GEMMA4_PROGRAM must name the program');
  const server = spawn(program, ['serve', '--port', '0', '--threads', '1', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  servers.push(server);
  let log = '';
  server.stderr.on('data', (data) => { log += data; });
  const url = await new Promise((resolve, reject) => {
    let text = '';
    server.stdout.on('data', (data) => {
      text += data;
      const found = /https?:\/\/\S+/.exec(text);
      if (found) resolve(found[0]);
    });
    server.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
  for (const held of [server, server.stdout, server.stderr]) held.unref();
  const end = (signal) => new Promise((resolve) => {
    server.ref();
    server.removeAllListeners('exit');
    server.on('exit', (code, by) => resolve(code ?? by));
    server.kill(signal);
  });
  return {
    url,
    pid: server.pid,
    log: () => log,
    kill: () => end('SIGKILL'),
    // Its exit code once it has drained.
    stop: () => end('SIGTERM'),
  };
}

export const weather = {
  name: 'get_weather',
  description: 'The weather in a city',
  parameters: {
    type: 'object',
    properties: { city: { enum: ['Oslo', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
};

export const time = {
  name: 'get_time',
  description: 'The time in a zone',
  parameters: {
    type: 'object',
    properties: { zone: { enum: ['UTC', 'CET'] } },
    required: ['zone'],
    additionalProperties: false,
  },
};

// A request for which the demo model makes two calls or more: the same seed gives the same tokens.
// What the marker that begins a call (token 7) is worth is raised, since it rarely makes a second.
export async function parallelCalls(url, fields) {
  for (let seed = 0; seed < 60; ++seed) {
    const request = { seed, temperature: 1, max_tokens: 200, logit_bias: { 7: 8 } };
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST', body: JSON.stringify({ ...fields, ...request, tool_choice: 'required' }) });
    const [choice] = (await answer.json()).choices;
    if (choice.finish_reason === 'tool_calls' && choice.message.tool_calls.length > 1)
      return { request, calls: choice.message.tool_calls.map((call) => call.function) };
  }
  throw new Error('no seed of 60 makes two calls');
}

export const person = {
  type: 'object',
  properties: { name: { enum: ['Ann', 'Bob'] }, age: { type: 'integer', minimum: 1, maximum: 99 } },
  required: ['name', 'age'],
  additionalProperties: false,
};

// The number of requests that the server has in its batch or queue.
export async function busy(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  return [...text.matchAll(/^gemma4_num_requests_(?:running|waiting)\{[^}]*\} (\d+)/gm)]
    .reduce((sum, found) => sum + Number(found[1]), 0);
}

export async function until(condition, what) {
  for (let i = 0; i < 200; ++i) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not come true in 10 s`);
}
