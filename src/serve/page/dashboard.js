// The server at work, from its /metrics: rates and percentiles are computed here.
import { metricsText } from './api.js';
import { Chart } from './chart.js';
import { element } from './dom.js';
import { growth, largest, parseMetrics, quantiles, total } from './prometheus.js';

const kPeriod = 1000;          // ms between readings
const kShownSeconds = 120;
const kLatencyWindow = 15000;  // ms that percentiles are of
const kPercentiles = [0.5, 0.9, 0.99];

const short = (value) => (value >= 1e6 ? `${+(value / 1e6).toPrecision(3)}M` : value >= 10000 ? `${+(value / 1000).toPrecision(3)}k`
  : value >= 100 ? String(Math.round(value)) : String(+value.toPrecision(2)));
const time = (value) => (value === 0 ? '0' : value < 0.001 ? `${+(value * 1e6).toPrecision(2)} µs` : value < 1 ? `${+(value * 1000).toPrecision(3)} ms` : `${+value.toPrecision(3)} s`);
const percent = (value) => `${+(100 * value).toPrecision(3)} %`;

const chart = (title, series, format, more = {}) => new Chart({ title, series, format, seconds: kShownSeconds, ...more });

export class Dashboard {
  constructor() {
    this.charts = {
      tokens: chart('Tokens a second', ['generated', 'prompt'], short, { area: true }),
      work: chart('Answers', ['running', 'waiting'], short, { area: true }),
      ttft: chart('Time to first token', ['p50', 'p90', 'p99'], time),
      itl: chart('Time between tokens', ['p50', 'p90', 'p99'], time),
      cache: chart('Caches', ['prompt tokens found', 'blocks in use'], percent, { most: 1 }),
      requests: chart('Requests a second', ['answered', 'failed'], short, { area: true }),
    };
    this.tiles = Object.fromEntries([['tokens', 'tokens a second'], ['running', 'answers running'], ['waiting', 'waiting'],
      ['hits', 'prompt tokens from cache'], ['step', 'a step of the engine'], ['all', 'tokens generated']].map(([name, label]) =>
      [name, { value: element('b', {}, '–'), label }]));
    this.problem = element('div.error', { role: 'alert', hidden: true });
    this.element = element('div.dashboard', { tabindex: '0', role: 'region', 'aria-label': 'The server at work' },
      element('dl.tiles', {}, Object.values(this.tiles).map(({ value, label }) => element('div', {}, element('dt', {}, label), element('dd', {}, value)))),
      this.problem,
      element('div.charts', {}, Object.values(this.charts).map((each) => each.element)),
      element('p.note', {}, `Read from /metrics every second; percentiles are of the last ${kLatencyWindow / 1000} seconds.`));
    this.readings = [];  // {time, metrics}
  }
  start() {
    this.stop();
    this.abort = new AbortController();
    const read = async () => {
      const { signal } = this.abort;
      if (!document.hidden) await this.read(signal);
      if (!signal.aborted) this.timer = setTimeout(read, kPeriod);
    };
    read();
  }
  stop() {
    this.abort?.abort();
    clearTimeout(this.timer);
  }
  async read(signal) {
    try {
      const metrics = parseMetrics(await metricsText(signal));
      this.problem.hidden = true;
      this.take({ time: Date.now(), metrics });
    } catch (error) {
      if (signal.aborted) return;
      this.problem.textContent = error.message;
      this.problem.hidden = false;
      this.readings = [];
    }
  }
  take(reading) {
    this.readings.push(reading);
    while (this.readings[0].time < reading.time - kLatencyWindow && this.readings.length > 2) this.readings.shift();
    if (this.readings.length > 1) this.show(this.readings[0].metrics, this.readings.at(-2), reading);
  }
  show(windowStart, before, { time: now, metrics }) {
    const seconds = (now - before.time) / 1000;
    const rate = (name) => growth(before.metrics, metrics, name) / seconds;
    const ratio = (part, whole, from) => { const all = growth(from, metrics, whole); return all > 0 ? growth(from, metrics, part) / all : null; };
    // Every token is the first of its answer or one of the next, counted as it comes.
    const generated = rate('time_to_first_token_seconds_count') + rate('inter_token_latency_seconds_count');
    const running = total(metrics, 'num_requests_running'), waiting = total(metrics, 'num_requests_waiting');
    const hits = ratio('prefix_cache_hit_tokens', 'prefix_cache_queried_tokens', windowStart);
    const { charts } = this;
    charts.tokens.add(now, [generated, rate('prefix_cache_queried_tokens')]);
    charts.work.add(now, [running, waiting]);
    charts.ttft.add(now, quantiles(windowStart, metrics, 'time_to_first_token_seconds', kPercentiles));
    charts.itl.add(now, quantiles(windowStart, metrics, 'inter_token_latency_seconds', kPercentiles));
    charts.cache.add(now, [hits, largest(metrics, 'kv_cache_usage_ratio')]);
    charts.requests.add(now, this.requestRates(before, metrics, seconds));
    const step = ratio('engine_step_seconds', 'engine_steps', windowStart);
    const shown = { tokens: short(generated), running: short(running), waiting: short(waiting), hits: hits === null ? '–' : percent(hits),
      step: step === null ? '–' : time(step), all: short(total(metrics, 'time_to_first_token_seconds_count') + total(metrics, 'inter_token_latency_seconds_count')) };
    for (const [name, text] of Object.entries(shown)) this.tiles[name].value.textContent = text;
  }
  // Of answers; the page's own files and readings are left out.
  requestRates(before, metrics, seconds) {
    const count = (from, failed) => (from.get('gemma4_http_requests_total') ?? [])
      .filter(({ labels }) => /^\/(v1|api)\//.test(labels.route) && (Number(labels.status) >= 400) === failed)
      .reduce((sum, { value }) => sum + value, 0);
    return [false, true].map((failed) => Math.max(0, count(metrics, failed) - count(before.metrics, failed)) / seconds);
  }
}
