"""Print the model card from a training report: python3 card.py OUT/report.json > README.md"""
import json, sys


def pc(x): return f"{100 * x:.0f} %"


def conversation(t):
    out = []
    for user, thought, answer in t["turns"]:
        out.append("    > " + user)
        if thought: out.append(f"    [{thought}]")
        out += ["    " + l for l in answer.splitlines() if l]
    return "\n".join(out)


def main():
    r = json.load(open(sys.argv[1])); s = r["scores"]
    def row(name, what, key, part=None, n=None):
        d, t = s[f"{key}, direct"], s.get(f"{key}, thinking")
        v = lambda x: pc(x[part or "score"]) if x else "–"
        return f"| {name} | {what} | {n or d['n']} | {v(d)} | {v(t)} |"
    rows = [row("stories, unseen character and adjective", "requested character, adjective and object used, hero's name kept, 50 to 260 words, proper end", "stories"),
            row("memory, unseen names", "the name, colour, city … told up to four turns before", "memory"), row("facts, unseen wordings", "capitals", "facts", "capital", 60), row("", "animals", "facts", "animal", 30), row("", "everyday knowledge", "facts", "world", 30),
            row("arithmetic, unseen operand pairs", "+ − × with an operand above twelve", "arithmetic", "sum", 80), row("", "word problems", "arithmetic", "word problem", 40), row("made-up things", "says that it does not know", "unknown"), row("small talk, unseen wordings", "a fitting answer (by keywords)", "talk")]
    t = r["transcripts"]
    print(f"""# gemma4.cpp demo model

A tiny chat model that ships with the program, so that `gemma4 run -p "…"` and `gemma4 chat` work with nothing downloaded. It
holds a short English conversation, tells short stories, knows some everyday facts, does small sums, remembers what you told it
in the conversation, uses the thinking channel when asked, and mostly says so when it does not know. It was trained from nothing
on generated text; it is not derived from Google's Gemma weights and has only their architecture. Do not rely on what it says.

| | |
|---|---|
| class | `Gemma4ForConditionalGeneration`, towers null (text only) |
| parameters | {r['parameters']:,} (embedding 2.10 M, per-layer embedding 1.05 M, the rest 3.78 M); bfloat16, 13.9 MB |
| layers | 8: three sliding (window 256) and one full, twice; the last 3 share keys and values and have the double-wide MLP |
| widths | hidden 256, MLP 256 (512 in the shared layers), 4 query heads, 1 KV head, head dim 64 (sliding) and 128 (full), per-layer input 16 |
| vocabulary | 8,192 tokens, byte fallback, Gemma 4's tokenizer form and control tokens (own ids: pad 0, eos 1, bos 2, `<\\|turn>` 15, `<turn\\|>` 16) |
| context | 4,096 positions in the configuration; conversations in training have up to about 900 tokens |
| default sampling | temperature 0.6, top-k 64, top-p 0.95 |
| `golden.safetensors` | the reference's float32 logits for a short prompt (`text.input_ids`, `text.logits`) and its greedy continuation by 24 tokens (`text.greedy`) |

## Training

`tools/demo_model` (generators, script, sources and licences). One {r['gpu']}, transformers {r['transformers']}, torch {r['torch'].split('+')[0]}:
{r['train_seconds'] / 60:.1f} minutes of training, {r['steps']:,} steps of {r['batch_tokens']:,} tokens, {r['tokens'] / 1e6:.0f} M tokens ({r['fresh_tokens'] / 1e6:.0f} M of them fresh); loss on unseen
generated conversations {r['val_loss']:.3f} per token. Learning the vocabulary, compilation and scoring made it {r['total_seconds'] / 60:.0f} minutes in all. Thinking is
on in about 28 % of the conversations.

Data: hand-written templates and facts of this project; word meanings from WordNet 3.0; countries from world-countries (**contains
information from world-countries, made available under the ODbL 1.0**); first names, rhymes and US capitals from @stdlib datasets;
easy-word lists of Spache and Dale-Chall. Details: `tools/demo_model/NOTICE`. The weights are under the project's licence.

## Held-out scores

Prompts that training never saw (`tools/demo_model/heldout`), greedy decoding, the reference implementation with the bfloat16 weights, checked by rules.

| set | what counts as right | n | direct | thinking |
|---|---|---|---|---|
""" + "\n".join(rows) + f"""

The story rule checks form, not sense: the requested character is there, but the plot is one of 22, whatever else was asked for.
Memory questions are worded as in training; only the names and the conversations are new.

## Conversations (default sampling, unedited)

{conversation(t[0])}

Thinking on:

{conversation(t[3])}

## Limits

* It knows its templates. A question far from them can get a wrong answer, an answer to another question, or words without
  much sense. Plain short questions work best.
* English only, text only, no tools. Counting letters, rhymes and three-digit sums are weak.
* Stories follow 22 plots; a special wish beyond character, object, place, theme or dream is ignored.
* An invented word that looks like a known one may be "explained".
* It is a demo: do not use it for advice, and check its facts.""")


if __name__ == "__main__":
    main()
