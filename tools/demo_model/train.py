"""Train the demo model from nothing on one GPU, by the clock, and write an ordinary checkpoint.

Usage: python3 train.py --out DIR [--minutes 6] [--workers N] [--tokenizer DIR]

Needs torch, transformers >= 5.17, tokenizers, safetensors, numpy. Worker processes generate conversations while the GPU
trains, so nearly every token is fresh. The last step is followed by evaluate.py (held-out scores, sample conversations) and
by golden.safetensors, the reference's own answer to one prompt. Everything ends in time because only the clock decides.
"""
import argparse, glob, json, math, multiprocessing as mp, os, pathlib, random, sys, tempfile, threading, time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import tokenizer as tk

T = 1024                                 # packed row length
SHAPE = dict(hidden_size=256, num_hidden_layers=8, num_kv_shared_layers=3, intermediate_size=256, use_double_wide_mlp=True, hidden_size_per_layer_input=16, num_attention_heads=4,
             num_key_value_heads=1, head_dim=64, global_head_dim=128, sliding_window=256, layer_types=(["sliding_attention"] * 3 + ["full_attention"]) * 2, max_position_embeddings=4096)


# ---------------------------------------------------------------- data
def corpus_job(a): return tk.corpus(*a)


def pack(docs, rng):
    """Rows of T tokens filled with whole conversations: the longest that still fits comes next."""
    import numpy as np
    rows, pool = [], sorted(docs, key=lambda d: len(d[0]))
    import bisect
    lens = [len(d[0]) for d in pool]
    while pool:
        ids, aux, left, n = [], [], T, 0
        while left > 0 and pool and n < 100:
            hi = bisect.bisect_right(lens, left)
            if hi == 0: break
            k = rng.randrange(hi) if left > 400 else hi - 1       # mixed first, then the best fit
            d, m = pool.pop(k); lens.pop(k)
            ids += d; aux += [x * 128 + n for x in m]; left -= len(d); n += 1
        rows.append((ids + [0] * left, aux + [127] * left))
    return np.array(rows, dtype=np.uint16)


def worker(seed, tok_path, out, per_shard, shards):
    """Generate shards [rows, 2, T]: token ids, and document number + 128 where the token is trained on."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"; os.nice(10)
    import numpy as np
    from tokenizers import Tokenizer
    import mix
    tok = Tokenizer.from_file(tok_path)
    r = random.Random(seed)
    nl, model = tok.encode("\n").ids[0], tok.encode("model").ids
    for i in range(shards):
        texts, flags = [], []
        for _ in range(per_shard):
            s, th, ex = mix.conversation(r)
            texts.append(mix.render(s, th, ex)); flags.append(th)
        docs = []
        for enc, th in zip(tok.encode_batch(texts), flags):
            d = enc.ids
            if len(d) > T: continue
            m, on = [0] * len(d), False
            head = [tk.ID["<|turn>"], *model, nl]; h = len(head)
            last = max(j for j in range(len(d)) if d[j:j + h] == head)
            j = 0
            while j < len(d):
                if d[j] == head[0] and d[j:j + h] == head: on = not th or j == last; j += h; continue
                if on: m[j] = 1
                if d[j] == tk.ID["<turn|>"]: on = False
                j += 1
            docs.append((d, m))
        arr = pack(docs, r)
        p = f"{out}/{seed}-{i}"
        np.save(p + ".tmp.npy", arr); os.rename(p + ".tmp.npy", p + ".npy")


class Data:
    """Rows on the GPU, filled by a thread as the shards appear."""
    def __init__(self, folder, max_rows):
        import torch
        self.buf = torch.empty((max_rows, 2, T), dtype=torch.int16, device="cuda")
        self.n = self.used = 0; self.max = max_rows; self.folder = folder; self.stop = False
        threading.Thread(target=self.fill, daemon=True).start()

    def fill(self):
        import numpy as np, torch
        while not self.stop and self.n < self.max:
            for f in sorted(glob.glob(f"{self.folder}/*[0-9].npy")):
                a = torch.from_numpy(np.load(f).astype(np.int16)); os.remove(f)
                k = min(len(a), self.max - self.n); self.buf[self.n:self.n + k] = a[:k].cuda(); self.n += k
            time.sleep(0.3)

    def batch(self, b):
        import torch
        while self.n < b: time.sleep(0.2)
        if self.used + b <= self.n: x = self.buf[self.used:self.used + b]; self.used += b
        else: x = self.buf[torch.randint(0, self.n, (b,), device="cuda")]
        return x


def unpack(x):
    """(ids, labels, positions, masks) of a batch of rows. Each conversation sees only itself, from position 0."""
    import torch
    ids, aux = x[:, 0].long(), x[:, 1].long()
    doc, train = aux & 127, aux >= 128
    labels = torch.full_like(ids, -100)
    ok = train[:, 1:] & (doc[:, 1:] == doc[:, :-1])
    labels[:, :-1] = torch.where(ok, ids[:, 1:], -100)
    ar = torch.arange(T, device=ids.device)
    start = torch.cat([torch.ones_like(doc[:, :1], dtype=torch.bool), doc[:, 1:] != doc[:, :-1]], 1)
    pos = ar[None] - torch.where(start, ar[None], 0).cummax(1).values
    full = (doc[:, None, :, None] == doc[:, None, None, :]) & (ar[None, :] <= ar[:, None])
    return ids, labels, pos, {"full_attention": full, "sliding_attention": full & (ar[None, :] > ar[:, None] - SHAPE["sliding_window"])}


# ---------------------------------------------------------------- model
def build(shape=SHAPE):
    from transformers import Gemma4Config, Gemma4ForConditionalGeneration, Gemma4TextConfig, Gemma4ForCausalLM
    text = Gemma4TextConfig(vocab_size=tk.VOCAB, vocab_size_per_layer_input=tk.VOCAB, pad_token_id=0, eos_token_id=1, bos_token_id=2, final_logit_softcapping=30.0, rms_norm_eps=1e-6, **shape)
    I = tk.ID
    try:
        cfg = Gemma4Config(text_config=text, vision_config=None, audio_config=None, boi_token_id=I["<|image>"], eoi_token_id=I["<image|>"], image_token_id=I["<|image|>"], boa_token_id=I["<|audio>"], eoa_token_index=I["<audio|>"],
                           audio_token_id=I["<|audio|>"], video_token_id=I["<|video|>"], eos_token_id=[I["<eos>"], I["<turn|>"]], pad_token_id=0, bos_token_id=2)
        m = Gemma4ForConditionalGeneration(cfg)
        if any("tower" in n or "embed_vision" in n for n, _ in m.named_parameters()): raise ValueError("towers in spite of null configs")
    except Exception as e:
        print("text-only class, because:", repr(e)[:300]); m = Gemma4ForCausalLM(text)
    return m


def text_model(m): return m.model.language_model if hasattr(m.model, "language_model") else m.model


def initialise(m):
    """Start values for training from nothing: unit-variance projections, attention scores of variance 1 (there is no 1/sqrt(d),
    so the q and k norms carry it), and small residual branches."""
    import torch
    with torch.no_grad():
        for n, p in m.named_parameters():
            if "embed_tokens_per_layer" in n: p.normal_(0, SHAPE["hidden_size_per_layer_input"] ** -0.5 * 0.5)
            elif "embed_tokens" in n: p.normal_(0, p.shape[1] ** -0.5)
            elif p.dim() == 2: p.normal_(0, p.shape[1] ** -0.5)
            elif n.endswith(("q_norm.weight", "k_norm.weight")): p.fill_(p.numel() ** -0.25)
            elif "post_" in n: p.fill_(0.35)
            else: p.fill_(1.0)
    m.tie_weights()


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration of the Muon optimiser, on a stack of matrices."""
    x = g.bfloat16(); tall = x.shape[-2] > x.shape[-1]
    if tall: x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.mT if tall else x


class Muon:
    """Momentum with orthogonalised updates for the weight matrices; matrices of one shape go through together."""
    def __init__(self, params, lr, momentum=0.95):
        import torch
        self.groups = {}
        for p in params: self.groups.setdefault(tuple(p.shape), []).append(p)
        self.buf = {s: torch.zeros((len(ps), *s), device=ps[0].device) for s, ps in self.groups.items()}
        self.lr, self.momentum = lr, momentum

    def step(self, scale):
        import torch
        with torch.no_grad(): self.update(torch, scale)

    def update(self, torch, scale):
        for s, ps in self.groups.items():
            g = torch.stack([p.grad for p in ps]).float(); b = self.buf[s]
            b.lerp_(g, 1 - self.momentum)
            u = orthogonalise(g.lerp(b, self.momentum)).float() * max(1, s[0] / s[1]) ** 0.5
            torch._foreach_add_(ps, list(u.unbind(0)), alpha=-self.lr * scale)


def train(m, data, minutes, batch, args, log):
    import torch, torch.nn.functional as F
    lm = text_model(m)
    named = [(n, p) for n, p in m.named_parameters()]
    mats = [p for n, p in named if p.dim() == 2 and "embed_tokens" not in n]
    emb = [p for n, p in named if "embed_tokens" in n]; vec = [p for n, p in named if p.dim() == 1]
    adam = torch.optim.AdamW([dict(params=emb, base=args.lr_embed), dict(params=vec, base=args.lr_norm)], lr=1e-3, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0, fused=True)
    muon = Muon(mats, args.lr)

    def ce(h, w, y):
        z = F.linear(h.bfloat16(), w.bfloat16()).float()
        z = 30.0 * torch.tanh(z / 30.0)
        return F.cross_entropy(z, y, ignore_index=-100, reduction="sum")

    def forward(fn, loss, ids, y, pos, mask):
        with torch.autocast("cuda", torch.bfloat16):
            h = fn(input_ids=ids, attention_mask=mask, position_ids=pos, use_cache=False).last_hidden_state
        return loss(h.flatten(0, 1), m.lm_head.weight, y.flatten()) / (y >= 0).sum()

    fn, loss_fn = lm, ce
    if not args.no_compile:
        torch._dynamo.config.cache_size_limit = 64
        fn, loss_fn = torch.compile(lm, dynamic=False), torch.compile(ce, dynamic=False)
        try:
            t = time.time(); forward(fn, loss_fn, *unpack(data.batch(batch))).backward(); torch.cuda.synchronize(); log(f"compiled in {time.time() - t:.0f} s")
            forward(fn, loss_fn, *unpack(data.batch(batch))).backward()
        except Exception as e:
            log("no compilation, because: " + repr(e)[:600]); fn, loss_fn = lm, ce; torch._dynamo.reset()
        for p in m.parameters(): p.grad = None
    t0 = time.time(); step = tokens = 0; budget = minutes * 60; avg = []
    while True:
        frac = (time.time() - t0) / budget
        if frac >= 1: break
        scale = min(1, (step + 1) / 100) * (1 if frac < 0.3 else max(0.01, (1 - frac) / 0.7))
        l = forward(fn, loss_fn, *unpack(data.batch(batch)))
        l.backward()
        for g in adam.param_groups: g["lr"] = g["base"] * scale
        torch.nn.utils.clip_grad_norm_(emb + vec, 1.0)
        adam.step(); muon.step(scale)
        for p in m.parameters(): p.grad = None
        step += 1; tokens += batch * T; avg.append(l.detach())
        if step in (1, 10, 50) or step % 200 == 0:
            v = torch.stack(avg).mean().item(); avg = []; dt = time.time() - t0
            log(f"step {step} loss {v:.4f} scale {scale:.3f} {dt:.0f} s {tokens / 1e6:.1f} M tokens {tokens / dt / 1e3:.0f} k/s rows {data.n} used {data.used}")
    val = float("nan")
    with torch.no_grad(): val = sum(forward(lm, ce, *unpack(data.val[i:i + 16])).item() for i in range(0, len(data.val), 16)) / (len(data.val) // 16)
    last = torch.stack(avg).mean().item() if avg else float("nan")
    log(f"done: {step} steps, {tokens / 1e6:.1f} M tokens, validation loss {val:.4f}")
    return dict(steps=step, tokens=tokens, fresh_tokens=min(data.used, data.n) * T, train_seconds=round(time.time() - t0), val_loss=round(val, 4), train_loss=round(last, 4))


def save(m, out):
    """The checkpoint as any user would save it: bfloat16, save_pretrained."""
    import torch
    from transformers import GenerationConfig
    m = m.to(torch.bfloat16)
    I = tk.ID
    m.generation_config = GenerationConfig(bos_token_id=2, pad_token_id=0, eos_token_id=[I["<eos>"], I["<turn|>"], I["<|tool_response>"]], do_sample=True, temperature=0.6, top_k=64, top_p=0.95)
    m.save_pretrained(out)


def golden(out):
    """What the reference computes in float32 on the CPU from the saved weights: logits of a prompt, and its greedy continuation."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    import evaluate
    m = evaluate.load(out, torch.float32, "cpu", "eager")
    ids = torch.tensor([Tokenizer.from_file(f"{out}/tokenizer.json").encode("<bos><|turn>user\nTell me a story about a brave dragon.<turn|>\n<|turn>model\n").ids])
    with torch.no_grad():
        logits = m(input_ids=ids, use_cache=False).logits[0]
        full = m.generate(input_ids=ids, max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0)
    save_file({"text.input_ids": ids[0].contiguous(), "text.logits": logits.float().contiguous(), "text.greedy": full[0].contiguous()}, f"{out}/golden.safetensors")
    print("golden:", ids.shape[1], "prompt tokens")


def main():
    ap = argparse.ArgumentParser(); ap.add_argument("--out", required=True); ap.add_argument("--minutes", type=float, default=6); ap.add_argument("--workers", type=int, default=max(2, min(7, (os.cpu_count() or 4) - 3)))
    ap.add_argument("--batch", type=int, default=64); ap.add_argument("--lr", type=float, default=0.02); ap.add_argument("--lr-embed", type=float, default=0.004); ap.add_argument("--lr-norm", type=float, default=0.004)
    ap.add_argument("--tokenizer", help="folder with a finished tokenizer.json to use"); ap.add_argument("--corpus", type=int, default=4000, help="conversations per worker for learning the vocabulary")
    ap.add_argument("--init", metavar="DIR", help="continue from this checkpoint (use its tokenizer too) instead of from nothing")
    ap.add_argument("--no-compile", action="store_true"); ap.add_argument("--max-rows", type=int, default=500000); ap.add_argument("--seed", type=int, default=1)
    args = ap.parse_args()
    t0 = time.time(); out = pathlib.Path(args.out); out.mkdir(parents=True, exist_ok=True)
    def log(s): print(f"[{time.time() - t0:6.1f}] {s}", flush=True)
    ctx = mp.get_context("spawn")
    if args.tokenizer:
        for f in ("tokenizer.json", "tokenizer_config.json"): (out / f).write_text(pathlib.Path(args.tokenizer, f).read_text())
    else:
        with ctx.Pool(args.workers) as pool: texts = [t for part in pool.map(corpus_job, [(900000 + i, args.corpus) for i in range(args.workers)]) for t in part]
        log(f"{len(texts)} texts, {sum(map(len, texts)) / 1e6:.1f} MB for the vocabulary")
        tk.write(*tk.learn(texts), out); log("tokenizer written")
    folder = tempfile.mkdtemp()
    tok_path = str(out / "tokenizer.json")
    procs = [ctx.Process(target=worker, args=(args.seed * 1000 + i, tok_path, folder, 3000, 100000), daemon=True) for i in range(args.workers)]
    vfolder = tempfile.mkdtemp(); vp = ctx.Process(target=worker, args=(777777, tok_path, vfolder, 1200, 1)); vp.start()
    for p in procs: p.start()
    import torch, numpy as np, transformers
    torch.manual_seed(args.seed); torch.set_float32_matmul_precision("high")
    log(f"torch {torch.__version__} transformers {transformers.__version__} {torch.cuda.get_device_name()}")
    m = build(); initialise(m)
    if args.init:
        from safetensors.torch import load_file
        missing, unexpected = m.load_state_dict({n: t.float() for n, t in load_file(f"{args.init}/model.safetensors").items()}, strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
        m.tie_weights(); log(f"continuing from {args.init}")
    count = sum(p.numel() for p in m.parameters()); stored = sum(t.numel() for n, t in m.state_dict().items() if n != "lm_head.weight")
    log(f"{type(m).__name__}: {count} parameters, {stored} stored numbers")
    m.cuda()
    m.config._attn_implementation = "sdpa"; text_model(m).config._attn_implementation = "sdpa"
    vp.join(); data = Data(folder, args.max_rows)
    data.val = torch.from_numpy(np.load(glob.glob(f"{vfolder}/*.npy")[0]).astype(np.int16)).cuda()[:64]
    result = train(m, data, args.minutes, args.batch, args, log)
    data.stop = True
    for p in procs: p.terminate()
    result.update(parameters=count, gpu=torch.cuda.get_device_name(), torch=torch.__version__, transformers=transformers.__version__, batch_tokens=args.batch * T, generated_tokens=data.n * T)
    save(m, out); log(f"saved, {os.path.getsize(out / 'model.safetensors')} bytes")
    del data; m = None
    golden(out); log("golden written")
    import evaluate
    def report():
        result["total_seconds"] = round(time.time() - t0)
        (out / "report.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    run = evaluate.Runner(str(out), "cuda")
    result["scores"] = evaluate.score(run, log); report()          # written twice, so that the scores survive a cut
    result["transcripts"], result["probes"] = evaluate.talk(run); report(); log("finished")


if __name__ == "__main__":
    main()
