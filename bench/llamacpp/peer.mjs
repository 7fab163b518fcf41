// Runs tests in llama.cpp and prints a JSON line for each sample: {test, speed, others, memory}.
//   node peer.mjs CACHE MODEL THREADS TEST [TEST ...]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseTest, timed } from "./measure.mjs";

const [cache, modelPath, threadsText, ...tests] = process.argv.slice(2);
const threads = Number(threadsText);
const require = createRequire(path.resolve(cache, "package.json"));
const { getLlama, LlamaLogLevel } = await import(
  pathToFileURL(require.resolve("node-llama-cpp")).href
);

const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: threads,
  logLevel: LlamaLogLevel.error,
  progressLogs: false,
});
const model = await llama.loadModel({
  modelPath: path.resolve(modelPath),
  ignoreMemorySafetyChecks: true,
});
const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;

let seed = 1;
function randomTokens(count) {
  return Array.from({ length: count }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return 512 + Math.floor((seed / 2 ** 32) * (vocabulary - 512)); // no control tokens
  });
}

function residentBytes(key) {
  const match = new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"));
  return match ? Number(match[1]) * 1024 : 0;
}

const oneToken = { generateNext: { token: true, options: { temperature: 0 } } };
const step = (sequence) => sequence.controlledEvaluate([[randomTokens(1)[0], oneToken]]);

for (const name of tests) {
  const test = parseTest(name);
  const context = await model.createContext({
    contextSize: 64 + test.sequences * (test.prompt + test.steps + 8),
    sequences: test.sequences,
    batchSize: 512,
    threads,
    flashAttention: true,
  });
  const sequences = Array.from({ length: test.sequences }, () =>
    context.getSequence({ checkpoints: { max: 0, interval: false } }),
  );
  const fill = (sequence, count) =>
    sequence.evaluateWithoutGeneratingNewTokens(randomTokens(count));
  let sample;
  if (test.steps === 0) {
    await fill(sequences[0], Math.min(64, test.prompt)); // warm
    await sequences[0].clearHistory();
    sample = await timed(test.prompt, () => fill(sequences[0], test.prompt));
  } else {
    for (const sequence of sequences) await fill(sequence, test.prompt);
    for (let i = 0; i < 4; i++) await Promise.all(sequences.map(step)); // warm
    sample = await timed(test.steps * test.sequences, async () => {
      for (let i = 0; i < test.steps; i++) await Promise.all(sequences.map(step));
    });
  }
  const memory = { own: residentBytes("RssAnon"), mapped: residentBytes("RssFile") };
  process.stdout.write(JSON.stringify({ test: name, ...sample, memory }) + os.EOL);
  await context.dispose();
}
process.exit(0); // the binding would keep the process alive
