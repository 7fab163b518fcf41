"""Whole conversations: topics mixed over several turns, system prompts, thinking on or off, rendered in the chat format.

`conversation(r)` gives (system, thinking, exchanges); `render()` the exact prompt text. With thinking on only the last answer
is trained on, because the format drops thoughts from earlier turns: training on those would teach not to think.
"""
import argparse, random
from base import *
import facts, stories, talk, tasks, unknown

COUNTS = [1] * 5 + [2] * 4 + [3] * 4 + [4] * 3 + [5, 5, 6, 6, 7, 8, 9, 10, 12, 14]


def conversation(r):
    thinking = r.random() < 0.27
    n = r.choice(COUNTS)
    if thinking: n = min(n, r.choice([1, 1, 1, 2, 3, 4]))
    system, speak = (talk.persona(r) if r.random() < 0.16 else (None, lambda e: e))
    mem, out, last_story, last_maths = {}, [], None, False
    while len(out) < n:
        first = not out
        k = r.random()
        if last_story and k < 0.35: out.append(stories.followup(r, last_story)); last_story = last_story if r.random() < 0.4 else None; continue
        k = r.random()
        new_story = None
        if first and k < 0.22: e = [talk.small(r, True)]
        elif first and k < 0.30: e = [talk.tell(r, mem, "name")]
        elif k < 0.20: e = [talk.small(r)]
        elif k < 0.27: e = [talk.tell(r, mem)]
        elif k < 0.36: e = [talk.recall(r, mem)] if mem or r.random() < 0.25 else [talk.tell(r, mem)]
        elif k < 0.365: e = [talk.all_about(r, mem)]
        elif k < 0.385: e = talk.chain(r, mem)
        elif k < 0.405: e, new_story = talk.story_chain(r)
        elif k < 0.425: e, new_story = talk.yes_chain(r)
        elif k < 0.645: e = [facts.question(r)]
        elif k < 0.655: e = facts.country_pair(r)
        elif k < 0.72: e = [tasks.instruction(r)]
        elif k < 0.82: e = [tasks.maths(r)]
        elif k < 0.885: e = [unknown.question(r)]
        else:
            ex, new_story = stories.request(r); e = [ex]
            if r.random() < 0.1:     # another one, please
                st2 = stories.story(r); e.append(Ex(pick(r, ["Another one!", "Tell me another story.", "One more, please.", "Another story, please.", "And another one?", "Please tell me one more."]), st2["text"], f"One more story. The hero will be called {st2['H']}.")); new_story = st2
        if first and len(e) == 1 and not e[0].keep and r.random() < 0.05:     # a greeting and a request in one message
            g = r.choice(["Hi! ", "Hello! ", "Hi, ", "Hey, ", "Good morning! ", "Hello there. "])
            e = [e[0]._replace(user=g + e[0].user, answer=(r.choice(["Hello! ", "Hi! ", ""]) if not re.match(r"(Hello|Hi|Nice|Good)\b", e[0].answer) else "") + e[0].answer)]
        out += e
        if new_story: last_story = new_story
    out = out[:max(n, 1)] if not thinking else out
    seen, final = 0, []
    for e in out:
        a = speak(e)
        a = a._replace(user=noisy(r, a.user) if not a.keep or r.random() < 0.3 else a.user)
        seen += len(a.user) + len(a.answer)
        if seen > 3600 and final: break
        final.append(a)
    return system, thinking, final


def render(system, thinking, exchanges, prompt_only=False):
    """The chat format of the E-series models, as the template writes it."""
    t = "<bos>"
    if thinking or system: t += "<|turn>system\n" + ("<|think|>\n" if thinking else "") + (system or "") + "<turn|>\n"
    for i, e in enumerate(exchanges):
        t += f"<|turn>user\n{e.user.strip()}<turn|>\n<|turn>model\n"
        if i == len(exchanges) - 1:
            if prompt_only: return t
            if thinking: t += f"<|channel>thought\n{e.thought or 'The user talks to me. I will answer in a friendly way.'}\n<channel|>"
        t += e.answer.strip() + "<turn|>\n"
    return t


def plain(r):
    """One conversation as plain text for learning the vocabulary: no control tokens."""
    s, th, ex = conversation(r)
    return "\n".join([s or ""] + [f"{e.user}\n{e.thought if th else ''}\n{e.answer}" for e in ex])


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description="Print sample conversations."); ap.add_argument("-n", type=int, default=5); ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args(); r = random.Random(a.seed)
    for _ in range(a.n): print(render(*conversation(r))); print("-" * 60)
