// Rebuilds Gemma 4's tokenizer.json from Gemma 3's, byte for byte.
//
//   node gemma4_tokenizer_json.mjs GEMMA3_JSON OUTPUT
//
// The two share every merge and differ in the names of reserved entries, in the added tokens and in
// the post-processor. The caller checks the hash of the result (fetch_vocabulary.sh).
import { readFileSync, writeFileSync } from "node:fs";

const kAddedTokens = {
  0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 4: "<mask>",
  46: "<|tool>", 47: "<tool|>", 48: "<|tool_call>", 49: "<tool_call|>",
  50: "<|tool_response>", 51: "<tool_response|>", 52: '<|"|>', 98: "<|think|>",
  100: "<|channel>", 101: "<channel|>", 105: "<|turn>", 106: "<turn|>",
  255999: "<|image>", 256000: "<|audio>", 258880: "<|image|>", 258881: "<|audio|>",
  258882: "<image|>", 258883: "<audio|>", 258884: "<|video|>",
};

const [input, output] = process.argv.slice(2);
const tokenizer = JSON.parse(readFileSync(input, "utf8"));

const pieces = [];
for (const [piece, id] of Object.entries(tokenizer.model.vocab)) pieces[id] = piece;
let unused = 0;
for (let id = 0; id < pieces.length; ++id) {
  if (id in kAddedTokens) pieces[id] = kAddedTokens[id];
  else if (/^<unused\d+>$/.test(pieces[id])) pieces[id] = `<unused${unused++}>`;
}

tokenizer.added_tokens = Object.entries(kAddedTokens).map(([id, content]) => ({
  id: Number(id), content, single_word: false, lstrip: false, rstrip: false, normalized: false,
  special: true,
}));
const sequence = (id, type_id) => ({ Sequence: { id, type_id } });
tokenizer.post_processor = {
  type: "TemplateProcessing",
  single: [sequence("A", 0)],
  pair: [sequence("A", 0), sequence("B", 1)],
  special_tokens: {},
};

// A JavaScript object lists keys like "7" before all others, so the vocabulary, which the file keeps
// in the order of the ids, is written by hand in place of a marker.
const kMarker = "the vocabulary goes here";
tokenizer.model.vocab = kMarker;
const vocabulary = pieces.map((piece, id) => `      ${JSON.stringify(piece)}: ${id}`).join(",\n");
const [before, after] = JSON.stringify(tokenizer, null, 2).split(JSON.stringify(kMarker));
writeFileSync(output, `${before}{\n${vocabulary}\n    }${after}`);
