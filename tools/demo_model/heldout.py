"""Write heldout/*.jsonl: prompts that training never sees, with what a right answer must contain.

Unseen here means: story requests, names, operand pairs and made-up words that base.held_out() keeps out of training, and
phrasings that appear in no generator. Fixed seeds; run it again and the files stay the same.
"""
import json, random
from base import *
import facts, stories, talk, tasks, unknown

FACT_ASK = ["Could you remind me which city is the capital of {c}?", "I forgot the name of {c}'s capital city. What was it?", "Quiz time! {c} has which capital?", "If I fly to the capital of {c}, in which city do I land?", "My teacher wants to know the capital of {c}, can you help?"]
SOUND_ASK = ["Which noise comes out of {an} usually?", "If I meet {an}, what will I hear?", "Imitate {an} for me."]
BABY_ASK = ["What's the word for a very young {a}?", "I saw a baby {a} today. What is the right word for it?"]
WORLD = [("Any idea why the sky looks so blue today?", "scatter"), ("Can you tell me what makes rainbows appear?", "light|drops"), ("How many planets go around our sun?", "eight"), ("I wonder which planet is the largest one.", "Jupiter"), ("What number of legs do spiders walk on?", "eight"), ("Do you happen to know who painted the Mona Lisa?", "Leonardo"),
         ("Tell me how many days there are in one week.", "seven|7"), ("Which animal runs the fastest on land?", "cheetah"), ("Where exactly does honey come from?", "bees|nectar"), ("At which temperature does water start to boil?", "100"), ("What do I get when I mix yellow and blue paint?", "green"), ("Which ocean on our planet is the largest?", "Pacific"),
         ("How come leaves fall off in autumn?", "winter|water"), ("Who was the very first human to walk on the moon?", "Armstrong"), ("What is the name of the highest mountain on Earth?", "Everest"), ("How many minutes make up one hour?", "60"), ("What's the biggest creature living in the sea?", "whale"), ("Which season follows winter?", "Spring|spring"),
         ("Explain to me why the sea tastes salty.", "salt"), ("Is it true that dragons are real?", "not real|stories|fairy"), ("Who is the author of Romeo and Juliet?", "Shakespeare"), ("How many months does one year have?", "twelve|12"), ("What are clouds really made of?", "water|drops"), ("What's the job of a baker?", "bread"), ("Please tell me what pandas like to eat.", "bamboo"),
         ("What keeps our feet on the ground, what is that force?", "ravity"), ("In which city can I visit the Eiffel Tower?", "Paris"), ("How many sides has a triangle got?", "three"), ("Could a penguin fly if it wanted to?", "not|No"), ("What language is spoken by people in Brazil?", "Portuguese")]
TALK = [("hiya, how's life?", "fine|well|great|good|Hello|Hi"), ("good to see you", "ou|Hello|nice|Nice"), ("hey, who am I talking with?", "demo|Demo|tiny"), ("so tell me, what kind of things can you do?", "stor|chat|question|talk"), ("who is your creator?", "gemma4|trained|demo"), ("could you make me laugh?", r"\?|!"), ("I feel really down tonight", "sorry|Sorry|talk|story|sad"), ("I'm feeling great this morning!", "glad|wonder|nice|Nice|happy|good|great"),
        ("thanks a million", "welcome|pleasure|happy|glad"), ("alright, I have to leave now, see you!", "bye|Bye|See you|day|Take care"), ("are you a real human being?", "program|not|model"), ("I'm starving, any ideas for dinner?", "soup|pasta|sandwich|fruit|meal"), ("it's raining cats and dogs here", "tea|warm|dry|book|rain|story"), ("what's your favourite animal in the world?", "fox|animal|lik"), ("do you have any brothers?", "program|no |No"),
        ("guess what, my birthday is today", "irthday|day"), ("you are really sweet", "hank|nice"), ("you're not very smart, are you?", "tiny|small|sorry|try|Not"), ("can you please write a poem for me", r"\w{3,}"), ("give me a hard riddle please", r"\?"), ("I can't fall asleep tonight", "sleep|story|dark|breath|rest|dream|tea"), ("I have a terrible headache", "sorry|rest|doctor|Rest|better|well"), ("do you speak any German?", "English|only"), ("are you the same as ChatGPT?", "demo|tiny|gemma4|No"),
        ("how many parameters are inside you?", "million|small|tiny"), ("nice weather today, isn't it?", "nice|walk|sun|Lovely|day|ovely"), ("what do you think about cats?", "cat|Cat|soft|lik"), ("I'm a bit nervous about my test", "luck|breath|can do|rest|rust"), ("sing something for me please", "la|La|star|sun|song"), ("good night my friend", "night|leep|dream|Good")]
REFUSE = r"not know|never heard|don't know|too hard|tiny model|can not|nothing about|too small|beyond me|not learn"


def write(name, rows):
    (HERE / "heldout").mkdir(exist_ok=True)
    (HERE / "heldout" / f"{name}.jsonl").write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in rows))
    print(name, len(rows))


def user(t): return [{"role": "user", "content": t}]


def main():
    r = random.Random(7004)
    rows = []
    while len(rows) < 80:
        ex, st = stories.request(r, held=True)
        if st["adj"] is None and r.random() < .8: continue
        rows.append(dict(messages=user(noisy(r, ex.user)), noun=st["noun"], adj=st["adj"], obj=st["obj"]))
    write("stories", rows)
    rows = []
    for i in range(80):
        mem = {}
        turns = [talk.tell(r, mem, "name", held=True)]
        if r.random() < .5: turns.append(talk.tell(r, mem, r.choice(["colour", "animal", "food", "hobby", "city"]), held=True))
        for _ in range(r.randint(0, 3)): turns.append(r.choice([talk.small, facts.question, tasks.maths])(r))
        key = r.choice(sorted(mem)) if i % 2 else "name"
        q = talk.recall(r, mem, key)
        m = [x for e in turns for x in ({"role": "user", "content": e.user}, {"role": "assistant", "content": e.answer})]
        rows.append(dict(messages=m + user(noisy(r, q.user)), expect=re.escape(mem[key]["v"])))
    write("memory", rows)
    rows = [dict(messages=user(q), expect=e, kind="world") for q, e in WORLD]
    for c in r.sample([c for c in facts.countries() if c["name"] in facts.FAMOUS], 30) + r.sample([c for c in facts.countries() if c["name"] not in facts.FAMOUS], 30):
        rows.append(dict(messages=user(r.choice(FACT_ASK).format(c=c["the"])), expect=re.escape(c["capital"]), kind="capital"))
    for a in r.sample([a for a in sorted(facts.ANIMAL) if facts.ANIMAL[a][1] != "no sound"], 15): rows.append(dict(messages=user(r.choice(SOUND_ASK).format(an=an(a))), expect=re.escape(facts.ANIMAL[a][1]), kind="animal"))
    for a in r.sample(sorted(facts.ANIMAL), 15): rows.append(dict(messages=user(r.choice(BABY_ASK).format(a=a)), expect=re.escape(facts.ANIMAL[a][2]), kind="animal"))
    write("facts", rows)
    rows = []
    for i in range(120):
        op = "+-*+-"[i % 5]
        e = tasks.arithmetic(r, True, op) if i < 80 else tasks.word_problem(r, True)
        y = re.findall(r"\d+", e.thought)[-1]
        rows.append(dict(messages=user(e.user), expect=rf"(?<!\d){y}(?!\d)\D*$", kind="sum" if i < 80 else "word problem"))
    write("arithmetic", rows)
    rows = []
    while len(rows) < 80:
        e, w = unknown.fake(r, held=True)
        if w.lower() in e.user.lower(): rows.append(dict(messages=user(noisy(r, e.user)), expect=REFUSE))
    write("unknown", rows)
    write("talk", [dict(messages=user(q), expect=e) for q, e in TALK])


if __name__ == "__main__":
    main()
