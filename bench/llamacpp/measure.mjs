// What both sides of the comparison share: the names of tests, and how a sample is timed.
import { readFileSync } from "node:fs";

// pN, gN[@D], bN -> tokens in the cache before, timed steps (0: the prompt is timed), sequences.
export function parseTest(name) {
  const match = /^([pgb])(\d+)(?:@(\d+))?$/.exec(name);
  if (!match) throw new Error(`unknown test "${name}": p512, g64, g32@4096 or b16 are known`);
  const [, kind, count, depth] = match;
  if (kind === "p") return { prompt: Number(count), steps: 0, sequences: 1 };
  if (kind === "g") return { prompt: Number(depth ?? 1), steps: Number(count), sequences: 1 };
  return { prompt: 32, steps: 32, sequences: Number(count) };
}

// Processor seconds of the whole machine since it started: in use, and in all.
function machineSeconds() {
  const ticks = readFileSync("/proc/stat", "utf8").split("\n")[0].trim().split(/\s+/);
  const [user, nice, system, idle, wait, irq, softirq, steal] = ticks.slice(1, 9).map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy: busy / 100, all: (busy + idle + wait) / 100 };
}

// Tokens per second of `run`, and the share of the processors that others had meanwhile, which is
// what the machine did beyond `ownSeconds()`.
export async function timed(tokens, run, ownSeconds = ownProcessorSeconds) {
  const before = machineSeconds();
  const own = ownSeconds();
  const start = performance.now();
  await run();
  const seconds = (performance.now() - start) / 1000;
  const after = machineSeconds();
  const foreign = after.busy - before.busy - (ownSeconds() - own);
  return { speed: tokens / seconds, others: Math.max(0, foreign / (after.all - before.all)) };
}

export function ownProcessorSeconds() {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) / 1e6;
}
