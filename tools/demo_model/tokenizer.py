"""Learn the 8,192-token vocabulary and write it in the form of Gemma 4's tokenizer.json.

While learning, text is cut into words, single digits, single punctuation marks and newline runs, so that the merge table
gets Gemma's structure: no merge crosses a word, digits stay single, newlines and tabs merge only among themselves, a space
mark only leads a token. The written file has no such cutting, as Gemma's has none: the merges alone decide.
"""
import json, pathlib, random

ADDED = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>', "<|think|>", "<|channel>", "<channel|>",
         "<|turn>", "<turn|>", "<|image>", "<|audio>", "<|image|>", "<|audio|>", "<image|>", "<audio|>", "<|video|>"]
ID = {t: i for i, t in enumerate(ADDED)}
ROLES = dict(pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>", mask_token="<mask>", std_token="<|tool>", etd_token="<tool|>", stc_token="<|tool_call>", etc_token="<tool_call|>", str_token="<|tool_response>",
             etr_token="<tool_response|>", escape_token='<|"|>', think_token="<|think|>", soc_token="<|channel>", eoc_token="<channel|>", sot_token="<|turn>", eot_token="<turn|>", boi_token="<|image>", eoi_token="<image|>", boa_token="<|audio>",
             eoa_token="<audio|>", image_token="<|image|>", audio_token="<|audio|>")
VOCAB = 8192
EXTRA = [("\n", "\n"), ("\n\n", "\n"), ("\n\n", "\n\n"), ("▁", "▁"), ("▁▁", "▁"), ("▁▁", "▁▁"), ("▁▁▁▁", "▁▁▁▁"), ("\t", "\t"), ("\t\t", "\t\t")]
ALPHABET = [chr(c) for c in range(33, 127)] + list("\n\t▁éèêáàâãäåæçëíìîïñóòôõöøúùûüýßœșțńłšžčćğışÉÁÖÜÄÇ’‘“”–—…€£°½×÷«»¿¡•·")


def learn(texts):
    """(vocabulary, merges) from an iterator of plain texts."""
    from tokenizers import Tokenizer, Regex, models, normalizers, pre_tokenizers, trainers
    special = ADDED + [f"<0x{b:02X}>" for b in range(256)]
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tok.normalizer = normalizers.Replace(" ", "▁")
    tok.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n+|\t+|\p{N}|▁?[\p{L}']+|▁+(?=\p{N})|▁?[^\p{L}\p{N}▁\n\t']|▁+"), behavior="isolated")
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCAB - len(EXTRA), special_tokens=special, initial_alphabet=ALPHABET, limit_alphabet=len(ALPHABET) + 20, min_frequency=2, show_progress=False))
    model = json.loads(tok.to_str())["model"]
    vocab, merges = dict(model["vocab"]), [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    for a, b in EXTRA:          # last in rank, so that they never take a space mark from a word
        if (a, b) not in merges: merges.append((a, b))
        if a + b not in vocab: vocab[a + b] = len(vocab)
    k = 0
    while len(vocab) < VOCAB: vocab[f"<unused{k}>"] = len(vocab); k += 1
    for a, b in merges:
        assert a in vocab and b in vocab and a + b in vocab
        m = a + b
        assert not ("\n" in m and m.strip("\n")) and not ("\t" in m and m.strip("\t")) and ("▁" not in m[1:] or not m.strip("▁")) and not any(c.isdigit() for c in m), m
    return vocab, merges


def write(vocab, merges, out):
    """tokenizer.json and tokenizer_config.json."""
    out = pathlib.Path(out); out.mkdir(parents=True, exist_ok=True)
    t = {"version": "1.0", "truncation": None, "padding": None,
         "added_tokens": [dict(id=i, content=c, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for i, c in enumerate(ADDED)],
         "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
         "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
         "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {}},
         "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
         "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                   "vocab": dict(sorted(vocab.items(), key=lambda kv: kv[1])), "merges": [list(m) for m in merges]}}
    assert len(vocab) == VOCAB and [vocab[c] for c in ADDED] == list(range(len(ADDED)))
    (out / "tokenizer.json").write_text(json.dumps(t, ensure_ascii=False, indent=1) + "\n")
    (out / "tokenizer_config.json").write_text(json.dumps(dict(ROLES, tokenizer_class="GemmaTokenizer", model_max_length=4096, padding_side="left", clean_up_tokenization_spaces=False, extra_special_tokens=["<|video|>"]), ensure_ascii=False, indent=1) + "\n")


def corpus(seed, n):
    """Plain texts of n conversations, with the word list and the word meanings for a wider vocabulary."""
    import mix
    from base import assets
    r = random.Random(seed)
    out = [mix.plain(r) for _ in range(n)]
    if seed % 1000 == 0: out += assets()["easy"] * 4 + [f"{w} means {g[2]}" for w, g in assets()["glosses"].items()] * 3
    return out
