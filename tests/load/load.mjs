// Load over loopback: many streams at a time, every answer compared with the greedy answer that its
// prompt gets alone.
//
//   node tests/load/load.mjs PROGRAM [--model PATH] [--requests N] [--connections N] [--tokens N]
//                            [--prompts N] [--seconds MOST] [--threads N] [--speedup LEAST]
//                            [--plots DIR] [--plot-name NAME] [--args "…"]
//
// Without --model, the demo model. A model of full size, of a file that `gemma4 synth` wrote, takes fewer:
//   --requests 64 --connections 16 --tokens 16 --prompts 4 --plot-name load-e2b
//
// Ends with 1 when an answer was lost or mixed up, when memory grew by more than 2 % after the
// warm-up, or when 16 streams together are less than --speedup times as fast as one.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { parseArgs } from 'node:util';
import { histogram, lines } from './plot.mjs';

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: {
  model: { type: 'string' }, requests: { type: 'string', default: '10000' },
  connections: { type: 'string', default: '256' }, tokens: { type: 'string', default: '24' },
  prompts: { type: 'string', default: '40' }, seconds: { type: 'string', default: '900' },
  threads: { type: 'string', default: '2' }, plots: { type: 'string' },
  'plot-name': { type: 'string', default: 'load' },
  speedup: { type: 'string', default: '3' }, long: { type: 'string', default: '64' },
  args: { type: 'string', default: '' } } });
const number = (name) => Number(options[name]);
const program = positionals[0];
const agent = new http.Agent({ keepAlive: true, maxSockets: 1024 });

const args = ['serve', ...(options.model ? [options.model] : []), '--name', 'load', '--port', '0', '--threads',
  options.threads, '--max-sequences', '16', '--max-waiting', '1024', ...options.args.split(' ').filter(Boolean)];
const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
const url = await new Promise((resolve, reject) => {
  server.stdout.on('data', (data) => {
    const found = /http:\/\/\S+/.exec(data);
    if (found) resolve(new URL(found[0]));
  });
  server.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
});
const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]) / 1024;
const metric = async (name) => {
  const text = await (await fetch(new URL('/metrics', url))).text();
  return Number(new RegExp(`^gemma4_${name}\\{[^}]*\\} (\\S+)`, 'm').exec(text)?.[1]);
};

// Streams one answer; resolves with its text and the times of its pieces.
function ask(prompt, tokens) {
  const body = JSON.stringify({ model: 'load', stream: true, temperature: 0, max_tokens: tokens,
    messages: [{ role: 'user', content: prompt }], stream_options: { include_usage: true } });
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const request = http.request(new URL('/v1/chat/completions', url),
      { method: 'POST', agent, headers: { 'content-length': Buffer.byteLength(body) } }, (response) => {
        let pending = '', text = '', endings = 0, done = 0, usage;
        const times = [];
        response.setEncoding('utf8');
        response.on('data', (data) => {
          const now = performance.now();
          const events = (pending + data).split('\n\n');
          pending = events.pop();
          for (const event of events) {
            const payload = event.slice('data: '.length);
            if (payload === '[DONE]') { ++done; continue; }
            const chunk = JSON.parse(payload);
            if (chunk.usage) usage = chunk.usage;
            for (const choice of chunk.choices) {
              if (choice.delta.content) { text += choice.delta.content; times.push(now); }
              if (choice.finish_reason) ++endings;
            }
          }
        });
        response.on('end', () => {
          if (response.statusCode !== 200 || endings !== 1 || done !== 1 || pending !== '')
            return reject(new Error(`status ${response.statusCode}, ${endings} endings, ${done} [DONE]: ${pending}`));
          resolve({ text, times, usage, start, end: performance.now() });
        });
        response.on('error', reject);
      });
    request.on('error', reject);
    request.end(body);
  });
}

// `count` requests, `width` at a time.
async function run(count, width, work) {
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(width, count) }, async () => {
    while (next < count) await work(next++);
  }));
}
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))];
const summary = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  return Object.fromEntries([50, 90, 99].map((p) => [`p${p}`, Math.round(percentile(sorted, p / 100) * 10) / 10]));
};

const names = ['Oslo', 'Rome', 'Lima', 'Cairo', 'Quito'];
const prompts = Array.from({ length: number('prompts') }, (_, i) => {
  if (i % 4 === 0) return `What is ${11 + i} plus ${23 + 2 * i}?`;
  if (i % 4 === 1) return `Is it warm in ${names[i % 5]}, number ${i}?`;
  if (i % 4 === 2) return `hi ${i}`;
  return `${`Item ${i} of a list. `.repeat(1 + i % 7 * Math.ceil(number('long') / 64))}Say what comes next.`;
});
const budget = Date.now() + 1000 * number('seconds');
const report = {};
try {
  const tokens = number('tokens');
  // Alone, one after the other: what everyone must get.
  const alone = [];
  for (const prompt of prompts) alone.push((await ask(prompt, tokens)).text);

  // Tokens per second of one stream and of 16, of the steps' own clock and of the clients'.
  const speed = async (width, count) => {
    const before = [await metric('engine_step_seconds'), await metric('generation_tokens_total')];
    const start = performance.now();
    await run(count, width, (i) => ask(prompts[(i * 4 + 2) % prompts.length], tokens));
    const seconds = (performance.now() - start) / 1000;
    const generated = await metric('generation_tokens_total') - before[1];
    const stepping = await metric('engine_step_seconds') - before[0];
    return { tokens_per_second: generated / seconds, outside_steps: 1 - stepping / seconds };
  };
  const few = Math.max(2, Math.min(32, Math.round(number('requests') / 100)));
  await speed(16, 16);
  report.one_stream = await speed(1, few);
  report.sixteen_streams = await speed(16, 16 * Math.ceil(few / 4));
  report.speedup = report.sixteen_streams.tokens_per_second / report.one_stream.tokens_per_second;

  const ttft = [], gaps = [], memory = [];
  let answered = 0, wrong = 0, most_at_once = 0, at_once = 0, cut = false;
  const warm = Math.max(number('connections'), Math.round(number('requests') / 10));
  const every = Math.max(1, Math.min(50, Math.floor(number('requests') / 40)));  // a sample of memory
  const begin = performance.now();
  await run(number('requests'), number('connections'), async (i) => {
    if (Date.now() > budget) { cut = true; return; }
    const which = (i * 7 + (i >> 5)) % prompts.length;
    most_at_once = Math.max(most_at_once, ++at_once);
    const answer = await ask(prompts[which], tokens);
    --at_once;
    if (answer.text !== alone[which] && ++wrong < 4)
      console.error(`mixed up: ${prompts[which]}\n  alone ${alone[which]}\n  now   ${answer.text}`);
    if (answer.times.length > 0) ttft.push(answer.times[0] - answer.start);
    for (let t = 1; t < answer.times.length; ++t) gaps.push(answer.times[t] - answer.times[t - 1]);
    if (++answered % every === 0) memory.push({ answered, mb: rss() });
  });
  const settled = memory.filter(({ answered: count }) => count >= warm).map(({ mb }) => mb);
  Object.assign(report, {
    requests: number('requests'), answered, wrong, most_at_once,
    requests_per_second: answered / ((performance.now() - begin) / 1000),
    ttft_ms: summary(ttft), inter_token_ms: summary(gaps),
    rss_mb: { at_warm: settled[0], at_end: settled.at(-1),
      growth: settled.length ? settled.at(-1) / settled[0] - 1 : 0 } });
  if (cut) report.cut = 'the time was over';
  if (options.plots) {
    const file = (what) => `${options.plots}/${options['plot-name']}-${what}.svg`;
    writeFileSync(file('latency'), histogram(
      `Latency under ${most_at_once} streams (ms, logarithmic)`, { 'first token': ttft, 'between tokens': gaps }));
    writeFileSync(file('memory'), lines('Resident memory (MB) by answered requests',
      memory.filter((_, i) => i % Math.ceil(memory.length / 200) === 0).map(({ answered: x, mb }) => [x, mb])));
  }
  const failures = [
    !cut && answered !== number('requests') && 'answers were lost',
    wrong > 0 && `${wrong} answers were mixed up`,
    Math.abs(report.rss_mb.growth) > 0.02 && 'memory is not flat',
    report.speedup < number('speedup') && `16 streams are ${report.speedup.toFixed(2)} times as fast as one`,
  ].filter(Boolean);
  console.log(JSON.stringify(report, null, 1));
  for (const failure of failures) console.error(`load: ${failure}`);
  process.exitCode = failures.length > 0 ? 1 : 0;
} finally {
  agent.destroy();
  server.removeAllListeners('exit');
  server.kill('SIGTERM');
}
