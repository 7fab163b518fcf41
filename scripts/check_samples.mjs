// Validates lines of `schema TAB "instance text"` with ajv. Exit status 1 if an instance is invalid.
//
//   node scripts/check_samples.mjs AJV_FOLDER SUITE_FOLDER SAMPLES
//
// Left out, and counted: schemas about which ajv disagrees with the official suite's own instances,
// and instances with numbers of more than 15 digits, which ajv rounds.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, suite, samples] = process.argv.slice(2);
const require = createRequire(path.resolve(folder, "index.js"));
const Ajv = require("ajv/dist/2020").default;
const addFormats = require("ajv-formats").default;

const tests = new Map(); // of the suite, by schema
for (const file of fs.readdirSync(suite).filter((name) => name.endsWith(".json")))
  for (const group of JSON.parse(fs.readFileSync(path.join(suite, file), "utf8")))
    tests.set(JSON.stringify(group.schema), group.tests);

const counts = { schemas: 0, valid: 0, invalid: 0, leftOut: 0, rounded: 0 };
const validators = new Map();
for (const line of fs.readFileSync(samples, "utf8").split("\n")) {
  if (line === "") continue;
  const [schema, text] = line.split("\t");
  if (!validators.has(schema)) {
    const ajv = new Ajv({ strict: false, logger: false, validateFormats: true });
    addFormats(ajv);
    try {
      const compiled = ajv.compile(JSON.parse(schema));
      const own = JSON.parse(schema).format === undefined && tests.get(JSON.stringify(JSON.parse(schema)));
      if (own && own.some((test) => compiled(test.data) !== test.valid)) throw new Error("ajv is wrong");
      validators.set(schema, compiled);
      ++counts.schemas;
    } catch {
      validators.set(schema, null); // or references that it does not resolve
      ++counts.leftOut;
    }
  }
  const validate = validators.get(schema);
  if (validate === null) continue;
  if (/[0-9]{16}/.test(JSON.parse(text).replaceAll(".", ""))) {
    ++counts.rounded;
  } else if (validate(JSON.parse(JSON.parse(text)))) {
    ++counts.valid;
  } else {
    ++counts.invalid;
    console.log(`INVALID ${JSON.parse(text)}\n  under ${schema}\n  ${JSON.stringify(validate.errors[0])}`);
  }
}
console.log(
  `check_samples: ${counts.valid} valid and ${counts.invalid} invalid samples of ${counts.schemas} schemas; ` +
    `${counts.leftOut} schemas are beyond ajv, ${counts.rounded} samples have too long numbers`,
);
process.exit(counts.invalid === 0 && counts.schemas >= 200 ? 0 : 1);
