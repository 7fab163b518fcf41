// Alternates llama.cpp and `gemma4 bench` on the same files and prints a table. bench/compare_llamacpp
// calls it and says what its options are.
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parseTest, timed } from "./measure.mjs";

const kQuiet = 0.05; // share of the processors that others may have in a sample that counts
const kTests = {
  "e2b:q4_0": "p512,p2048,g64,g32@4096,b4,b16",
  "e2b:q8_0": "p512,p2048,g64",
  "e4b:q4_0": "p512,g64",
  "26b-a4b:q4_0": "p512,g64",
};

const { values: options } = parseArgs({
  options: {
    cache: { type: "string" },
    models: { type: "string", default: Object.keys(kTests).join(",") },
    tests: { type: "string" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    program: { type: "string", default: "build/release/gemma4" },
    out: { type: "string" },
  },
});
const here = path.dirname(fileURLToPath(import.meta.url));

function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${result.error ?? `ended with ${result.status}`}`);
  return result.stdout;
}

// The file of a model such as "e2b:q4_0", made if it is not there.
function fileOf(model) {
  const [shape, type] = model.split(":");
  const config = `tests/golden/spec/configs/${shape}.json`;
  if (!existsSync(config) || !type)
    throw new Error(`unknown model "${model}": SHAPE:TYPE with a file ${config} is needed`);
  const file = path.join(options.cache, `${shape}-${type}.gguf`);
  if (!existsSync(file)) run(options.program, ["synth", config, file, "--type", type, "--text-only"]);
  return file;
}

function peerSamples(file, tests) {
  const preload = { LD_PRELOAD: path.resolve(options.cache, "pin_threads.so") };
  const args = [path.join(here, "peer.mjs"), options.cache, file, options.threads, ...tests];
  return run(process.execPath, args, preload).trim().split("\n").map((line) => JSON.parse(line));
}

// Runs a program and also says how many processor seconds it used, which the shell knows.
function runTimed(command, args) {
  const output = run("/bin/sh", ["-c", '"$@" && times', "sh", command, ...args]);
  const lines = output.trimEnd().split("\n");
  const ofChildren = lines[lines.length - 1].matchAll(/(\d+)m([\d.]+)s/g);
  const seconds = [...ofChildren].reduce((sum, [, m, s]) => sum + 60 * m + Number(s), 0);
  return { output: lines.slice(0, -2).join("\n"), seconds };
}

// One process for each test, as only whole processes say how much they used.
async function ourSamples(file, tests) {
  const samples = [];
  for (const name of tests) {
    const test = parseTest(name);
    const shape =
      test.steps === 0
        ? ["-p", test.prompt, "-n", 0]
        : ["-p", 0, "-n", test.steps, "-d", test.prompt, "-b", test.sequences];
    const args = ["bench", file, "--json", "-r", 2, "-t", options.threads, "--device", "cpu"];
    let result;
    let used = 0;
    const { others } = await timed(
      0,
      () => {
        const { output, seconds } = runTimed(options.program, [...args, ...shape].map(String));
        result = JSON.parse(output);
        used = seconds;
      },
      () => used,
    );
    const row = result.rows[0];
    samples.push({
      test: name,
      speed: row.tokens_per_second,
      others,
      memory: { own: row.resident_own_bytes, mapped: row.resident_mapped_bytes },
      share: row.bandwidth_share ?? row.products_share,
      bandwidth: result.read_bandwidth_bytes_per_second,
      peak: result.product_operations_per_second,
    });
  }
  return samples;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
const quiet = (samples) => samples.filter((sample) => sample.others < kQuiet);

// Our median, and our best, beside the peer's best.
function printRow(model, test, ours, theirs) {
  const counted = quiet(ours).length > 0 ? quiet(ours) : ours;
  const speeds = counted.map((sample) => sample.speed);
  const mine = [median(speeds), Math.max(...speeds)];
  const best = Math.max(...theirs.map((sample) => sample.speed));
  const gb = (bytes) => (bytes / 1e9).toFixed(2);
  const memory = (sample) => `${gb(sample.memory.own)} + ${gb(sample.memory.mapped)}`;
  // Bandwidth is measured around each run, the best of products once a process, and one that is
  // disturbed would flatter us.
  const share = (samples) => {
    const percent = (value) => `${(100 * value).toFixed(0)} %`;
    if (parseTest(test).steps > 0) return `${percent(median(samples.map((sample) => sample.share)))} of bandwidth`;
    const peak = Math.max(...samples.map((sample) => sample.peak));
    const done = median(samples.map((sample) => sample.share * sample.peak));
    return `${percent(done / peak)} of ${(peak / 1e9).toFixed(0)} GOP/s`;
  };
  const cells = [
    model,
    test,
    mine.map((speed) => speed.toFixed(1)).join(", "),
    best.toFixed(1),
    mine.map((speed) => (speed / best).toFixed(2)).join(", "),
    share(counted),
    memory(ours[ours.length - 1]),
    memory(theirs[theirs.length - 1]),
    `${quiet(ours).length}/${ours.length}, ${quiet(theirs).length}/${theirs.length}`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

const rounds = Number(options.rounds);
const titles = ["model", "test", "ours", "llama.cpp", "ratio", "share", "ours GB", "llama.cpp GB", "quiet"];
console.log(`Tokens per second: our median and best of ${rounds} rounds, llama.cpp's best; memory is own + mapped.\n`);
console.log(`| ${titles.join(" | ")} |`);
console.log(`|${titles.map(() => "---|").join("")}`);
for (const model of options.models.split(",")) {
  const tests = (options.tests ?? kTests[model] ?? "p512,g64").split(",");
  tests.forEach(parseTest);
  const file = fileOf(model);
  const samples = { ours: [], theirs: [] };
  for (let round = 0; round < rounds; round++) {
    samples.theirs.push(...peerSamples(file, tests));
    samples.ours.push(...(await ourSamples(file, tests)));
  }
  if (options.out)
    for (const [engine, list] of Object.entries(samples))
      for (const sample of list)
        appendFileSync(options.out, JSON.stringify({ engine, model, ...sample }) + "\n");
  for (const test of tests)
    printRow(
      model,
      test,
      samples.ours.filter((sample) => sample.test === test),
      samples.theirs.filter((sample) => sample.test === test),
    );
}
