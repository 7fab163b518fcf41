// Times @mlc-ai/web-xgrammar (npm) on the cases of bench/constrain_bench.cc. compare_xgrammar.sh
// calls it: node scripts/compare_xgrammar.mjs FOLDER CASES, where CASES has lines of JSON
// {vocabulary} and {name, schema, ids}. Prints per case: name, compile ms, p50 us, p99 us.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [folder, file] = process.argv.slice(2);
const require = createRequire(path.resolve(folder, "index.js"));
// The package calls itself a module but is none; under another name it loads.
const bundle = path.join(folder, "node_modules/@mlc-ai/web-xgrammar/lib/index");
fs.copyFileSync(bundle + ".js", bundle + ".cjs");
const api = require(path.resolve(bundle + ".cjs"));
const lines = fs.readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
const { pieces } = JSON.parse(lines[0]);

const begun = performance.now();
const info = await api.TokenizerInfo.createTokenizerInfo(pieces, "byte_fallback", false, pieces.length, [1, 106]);
console.log(JSON.stringify({ name: "vocabulary", compile_ms: performance.now() - begun }));
const at = (times, q) => times[Math.floor(q * (times.length - 1))];
for (const line of lines.slice(1)) {
  const { name, schema, ids } = JSON.parse(line);
  try {
    const compiler = await api.GrammarCompiler.createGrammarCompiler(info, false);
    let begin = performance.now();
    const compiled = await compiler.compileJSONSchema(schema, true, 2, undefined, false);
    const compile_ms = performance.now() - begin;
    const times = [];
    let refused = -1;
    for (let repeat = 0; repeat < 20 && refused < 0; ++repeat) {
      const matcher = await api.GrammarMatcher.createGrammarMatcher(compiled);
      for (let i = 0; i < ids.length; ++i) {
        begin = performance.now();
        const mask = await matcher.getNextTokenBitmask();
        times.push((performance.now() - begin) * 1000);
        if (!matcher.acceptToken(ids[i])) {
          refused = i;
          break;
        }
      }
      matcher.dispose();
    }
    times.sort((a, b) => a - b);
    console.log(JSON.stringify({ name, compile_ms, p50_us: at(times, 0.5), p99_us: at(times, 0.99), refused }));
  } catch (error) {
    console.log(JSON.stringify({ name, error: String(error).slice(0, 200) }));
  }
}
