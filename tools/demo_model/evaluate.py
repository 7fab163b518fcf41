"""Score a checkpoint on heldout/*.jsonl with the reference implementation and print sample conversations.

Usage: python3 evaluate.py DIR [--device cuda]

Rules only, no judge: a story must use the requested character (and adjective and object), keep to a name that it introduced
and end properly within the limit; other answers must match the expected pattern. Greedy decoding for the scores.
"""
import argparse, json, pathlib, re, sys, time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import tokenizer as tk

SCRIPTS = [  # (thinking, system, user turns)
    (False, None, ["hi", "My name is Greta.", "tell me a story about a brave dragon", "What was the dragon's name?", "What is my name?", "bye"]),
    (False, None, ["Hello!", "I am fine, thanks. what is your name?", "What can you do?", "what is the capital of France?", "and of Italy?", "thank you"]),
    (False, None, ["what is 7 plus 5?", "why is the sky blue?", "Who is Zorblax Pintock?", "Tell me a joke", "haha, good one"]),
    (True, None, ["What is 47 plus 38?"]),
    (True, None, ["Tell me a short story about a lonely robot."]),
    (True, None, ["Tom has 9 apples. He gives 4 to Anna. How many apples are left?", "hi", "what is the capital of Japan?"]),
    (False, "You are a pirate.", ["Who are you?", "What is the capital of Spain?", "Tell me a joke."]),
    (False, None, ["I love dogs.", "My favourite colour is green.", "I live in Berlin", "what is my favourite colour?", "where do I live?", "what is my name?"]),
    (False, None, ["I'm bored", "yes please", "that was nice", "tell me a story about a cat and a mouse", "what can we learn from it?"]),
    (False, None, ["Name three fruits.", "List 4 animals", "spell cat", "what rhymes with tree?", "what is the opposite of hot?"]),
    (False, None, ["how are you?", "I am sad", "my dog is sick", "thanks", "good night"]),
    (True, "You are a helpful assistant.", ["hello", "who are you?"]),
    (False, None, ["what is photosynthesis?", "explain quantum physics", "who is the president of France?", "what time is it?", "write python code"]),
    (False, "Your name is Max. You are a friendly robot.", ["what's your name", "tell me a fun fact"]),
]
PROBES = """hi|hello there|hey whats up|How are you today?|what's your name|who made you?|are you human?|what can you do|tell me a story|tell me a story about a dragon|write a story about a little girl and a wolf|tell me a bedtime story about the moon|write a short story about a robot who learns to love|tell me a scary story|story about two friends|what is the capital of germany|Whats the capital of Brazil?|capital of australia|What is the capital of England?|where is paris|what language do they speak in mexico|what is 2+2|2 + 2 = ?|what is 12 times 3|100 - 37|What is 9 x 8?|how much is 15 and 27|If I have 3 apples and eat one, how many are left?|why is the sky blue|why is grass green?|how do planes fly|what is gravity|what is a dog|What do cows say?|what sound does a cat make|how many legs does a spider have|what is water made of?|who was albert einstein?|who wrote hamlet|who is Taylor Swift?|what is bitcoin?|what is the meaning of life?|do you love me?|I love you|i hate you|you are stupid|tell me a joke|tell me a riddle|write a poem about a flower|sing a song|what should I cook tonight?|can you help me with my homework|I am tired|i feel lonely|I have a cat named Tom.|my name is john|I am 30 years old|what is my name?|what is the weather like today|what time is it|translate hello to french|write a python program|count to 10|count backwards from 5|list the days of the week|name five colors|give me a list of three animals|write apple in uppercase|reverse the word dog|how many letters are in banana|sort 5, 2, 9, 1|is 7 even or odd?|What comes after Tuesday?|What is the opposite of happy?|plural of mouse|what rhymes with cat|say hello|say banana three times|which is bigger, 15 or 51?|What is the biggest planet?|how far is the moon|is the earth flat?|are dragons real?|can penguins fly?|where do polar bears live?|what do pandas eat|what is a baby cow called|what does brave mean?|define happy|what is a flumbo?|where is Zantoria|who is Bob Smith|thanks!|ok|yes|no|why?|goodbye|What did you do yesterday?|do you have a favorite movie?|Which do you prefer, tea or coffee?|I went to the zoo today|It is raining|I'm hungry|What is your favorite color?|Recommend a book|How do I make pancakes?|how can I sleep better?|who won the world cup in 1998?|what is the chemical symbol for gold|how many continents are there?|Good morning!|see you later|make me laugh|let's play a game|Are you ChatGPT?|asdfgh|Give me some advice|My favorite food is pizza. What is yours?|What's the difference between a cat and a dog?|describe a tree|what is love|can you speak spanish?|How old are you?""".split("|")


def load(path, dtype, device, attention="sdpa"):
    from transformers import Gemma4ForCausalLM, Gemma4ForConditionalGeneration
    cls = Gemma4ForConditionalGeneration if "ConditionalGeneration" in json.loads(pathlib.Path(path, "config.json").read_text())["architectures"][0] else Gemma4ForCausalLM
    return cls.from_pretrained(path, dtype=dtype, attn_implementation=attention).to(device).eval()


def prompt(messages, thinking=False, system=None):
    t = "<bos>" + (f"<|turn>system\n{'<|think|>' + chr(10) if thinking else ''}{system or ''}<turn|>\n" if thinking or system else "")
    for m in messages: t += f"<|turn>{'model' if m['role'] == 'assistant' else 'user'}\n{m['content'].strip()}<turn|>\n"
    return t + "<|turn>model\n"


class Runner:
    def __init__(self, path, device):
        import torch
        from tokenizers import Tokenizer
        self.torch, self.device = torch, device
        self.tok = Tokenizer.from_file(str(pathlib.Path(path, "tokenizer.json")))
        self.model = load(path, torch.bfloat16 if device == "cuda" else torch.float32, device)

    def __call__(self, prompts, limit=320, sample=False):
        """Raw model output (text, ended properly) for each rendered prompt, all in one left-padded batch."""
        torch = self.torch
        enc = [self.tok.encode(p).ids for p in prompts]; n = max(map(len, enc))
        ids = torch.tensor([[0] * (n - len(e)) + e for e in enc], device=self.device); mask = torch.tensor([[0] * (n - len(e)) + [1] * len(e) for e in enc], device=self.device)
        stop = [tk.ID["<eos>"], tk.ID["<turn|>"], tk.ID["<|tool_response>"]]
        kw = dict(do_sample=True, temperature=0.6, top_k=64, top_p=0.95) if sample else dict(do_sample=False, temperature=None, top_k=None, top_p=None)
        with torch.no_grad(): out = self.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=limit, eos_token_id=stop, pad_token_id=0, **kw)[:, n:].tolist()
        res = []
        for o in out:
            cut = next((i for i, t in enumerate(o) if t in stop), None)
            res.append((self.tok.decode(o[:cut] if cut is not None else o, skip_special_tokens=False), cut is not None))
        return res


def split(text):
    """(thought or None, answer) of a raw output."""
    m = re.match(r"<\|channel>thought\n(.*?)\n?<channel\|>(.*)", text, re.S)
    return (m.group(1), m.group(2).strip()) if m else (None, text.strip())


def rows(name): return [json.loads(l) for l in (HERE / "heldout" / f"{name}.jsonl").read_text().splitlines()]


def story_ok(row, answer):
    """The parts of a good story that a rule can check."""
    low = answer.lower()
    name = re.search(r"(?:named|called|is the story of) ([A-Z]\w+)|^(?:\W*)?([A-Z]\w+) was an? ", answer)
    name = name and (name.group(1) or name.group(2))
    return dict(character=row["noun"] in low, adjective=row["adj"] is None or row["adj"] in low, object=row["obj"] is None or row["obj"] in low, name_kept=bool(name) and answer.count(name) >= 3, length=50 <= len(answer.split()) <= 260, end=answer.endswith((".", "!", '"')))


def score(run, log=print):
    """Every held-out set, thinking off and on."""
    scores, samples, t = {}, [], time.time()
    for think in (False, True):
        tag = "thinking" if think else "direct"
        sets = {n: rows(n) for n in (("stories", "facts", "arithmetic", "unknown") if think else ("stories", "memory", "facts", "arithmetic", "unknown", "talk"))}
        all_outs = iter(run([prompt(r["messages"], think) for d in sets.values() for r in d], 330))      # one batch: much faster
        for name, data in sets.items():
            outs = [next(all_outs) for _ in data]
            parts, good = {}, 0
            for r, (o, ended) in zip(data, outs):
                thought, ans = split(o)
                if name == "stories":
                    c = dict(story_ok(r, ans), ended=ended)
                    for k, v in c.items(): parts.setdefault(k, []).append(v)
                    ok = all(c.values())
                else:
                    ok = ended and bool(re.search(r["expect"], ans))
                    if "kind" in r: parts.setdefault(r["kind"], []).append(ok)
                if think: parts.setdefault("used the thought channel", []).append(thought is not None)
                good += ok
                if not ok: samples.append(f"{tag} {name} | {r['messages'][-1]['content']} | expected {r.get('expect', r.get('noun'))} | got {ans[:150]!r}")
            scores[f"{name}, {tag}"] = dict(score=round(good / len(data), 3), n=len(data), **{k: round(sum(v) / len(v), 3) for k, v in parts.items()})
            log(f"{name}, {tag}: {scores[f'{name}, {tag}']}")
    log(f"scored in {time.time() - t:.0f} s; some misses:")
    for s in samples[::max(1, len(samples) // 40)]: print("  miss", s)
    return scores


def talk(run):
    """Sample conversations and single questions at the default sampling settings, printed and returned."""
    transcripts = [dict(thinking=th, system=sy, turns=[]) for th, sy, _ in SCRIPTS]
    run.torch.manual_seed(1)
    for turn in range(max(len(s[2]) for s in SCRIPTS)):
        live = [i for i, s in enumerate(SCRIPTS) if turn < len(s[2])]
        ps = []
        for i in live:
            msgs = [m for u, _, a in transcripts[i]["turns"] for m in ({"role": "user", "content": u}, {"role": "assistant", "content": a})] + [{"role": "user", "content": SCRIPTS[i][2][turn]}]
            ps.append(prompt(msgs, SCRIPTS[i][0], SCRIPTS[i][1]))
        outs = run(ps + ([prompt([{"role": "user", "content": p}]) for p in PROBES] if turn == 0 else []), 300, True)
        if turn == 0: probes = [(p, split(o)[1]) for p, (o, _) in zip(PROBES, outs[len(ps):])]
        for i, (o, ended) in zip(live, outs): transcripts[i]["turns"].append((SCRIPTS[i][2][turn], *split(o)))
    for t in transcripts:
        print(f"--- thinking {t['thinking']} system {t['system']}")
        for u, th, a in t["turns"]: print(f"U: {u}\n" + (f"   [{th}]\n" if th else "") + f"M: {a}")
    print("--- probes")
    for p, a in probes: print(f"U: {p} => {a[:230]!r}")
    return transcripts, probes


if __name__ == "__main__":
    ap = argparse.ArgumentParser(); ap.add_argument("dir"); ap.add_argument("--device", default="cuda"); a = ap.parse_args()
    run = Runner(a.dir, a.device); scores = score(run); talk(run); print(json.dumps(scores, indent=1))
