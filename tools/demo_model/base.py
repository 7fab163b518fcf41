"""What every generator shares: the template language, the noise on user text, word lists and the held-out rule.

A template is a string in which `[a|b|c]` is a choice (nesting allowed, an empty branch too) and `{slot}` is filled from the
keyword arguments. A generator returns exchanges: Ex(user, answer, thought).
"""
import functools, gzip, json, pathlib, re, zlib
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent


class Ex(NamedTuple):
    user: str
    answer: str
    thought: str = ""
    keep: bool = False        # the user text is shown as it is (exact words matter)


@functools.lru_cache(1)
def assets():
    return json.loads(gzip.decompress((HERE / "assets.json.gz").read_bytes()))


def held_out(*key, every=25):
    """True for the fixed 1/every of the keys that training never sees. Not Python's hash(), which changes from run to run."""
    return zlib.crc32("|".join(map(str, key)).lower().encode()) % every == 0


CHOICE = re.compile(r"\[([^\[\]]*)\]")


def fill(r, template, **slots):
    """Resolve the choices from the inside out, then the slots (so that slot values are never read as templates)."""
    t = template
    while True:
        m = CHOICE.search(t)
        if not m: break
        t = t[:m.start()] + r.choice(m.group(1).split("|")) + t[m.end():]
    if slots: t = t.format(**slots)
    return t


def pick(r, options, **slots):
    return fill(r, r.choice(options), **slots)


def cap(s):
    return s[:1].upper() + s[1:]


def an(word):
    """The word with its indefinite article."""
    return ("an " if re.match(r"[aeiou]", word, re.I) and not re.match(r"(uni|use|eu|one)", word, re.I) or re.match(r"(hour|honest)", word) else "a ") + word


def join(items, word="and"):
    items = list(items)
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" {word} " + items[-1]


def plural(w):
    irregular = {"mouse": "mice", "goose": "geese", "child": "children", "man": "men", "woman": "women", "tooth": "teeth", "foot": "feet", "sheep": "sheep",
                 "fish": "fish", "deer": "deer", "wolf": "wolves", "leaf": "leaves", "knife": "knives", "life": "lives", "person": "people", "ox": "oxen",
                 "half": "halves", "shelf": "shelves", "thief": "thieves", "elf": "elves", "wife": "wives", "calf": "calves", "loaf": "loaves",
                 "potato": "potatoes", "tomato": "tomatoes", "hero": "heroes", "cactus": "cacti", "scarf": "scarves", "mango": "mangoes"}
    if w in irregular: return irregular[w]
    if re.search(r"[^aeiou]y$", w): return w[:-1] + "ies"
    if re.search(r"(s|x|z|ch|sh)$", w): return w + "es"
    return w + "s"


COMMON_NAMES = {
    "f": "Anna Lily Emma Mia Lucy Sarah Sophie Ella Grace Nora Ruby Rosa Clara Alice Zoe Maya Lena Julia Olivia Amy Jane Kate Laura Maria Eva Ivy Daisy Molly Emily Hannah".split(),
    "m": "Tom Ben Max Sam Leo Tim Jack Paul Peter Oscar Noah Finn Luke Adam David Daniel Mark Alex Henry Oliver Felix Hugo Simon Jonas Martin Ali Omar Ravi Kenji Carlos".split()}
SYL = "ba be bo bu da de do du fa fi ga go ka ki ko la li lo lu ma mi mo na ni no pa pe po ra re ri ro sa si so ta te ti to va vi vo za zi zo".split()


def first_name(r, sex=None, held=False):
    """A first name: mostly common ones, then the long list, sometimes an invented one, so that copying a name is learnt as such."""
    while True:
        s = sex or r.choice("fm")
        k = r.random()
        if k < 0.5: n = r.choice(COMMON_NAMES[s])
        elif k < 0.88: n = r.choice(assets()["female" if s == "f" else "male"])
        else: n = cap("".join(r.choice(SYL) for _ in range(r.randint(2, 3))) + r.choice(["", "", "n", "s", "r", "l"]))
        if held_out("name", n) == held: return n


ONSET = "b bl br c ch cl cr d dr f fl fr g gl gr h j k kl kr l m n p pl pr qu r s sh sk sl sm sn sp st t th tr v w y z zh".split()
VOWEL = "a e i o u a e i o u ee oo ai au".split()
CODA = "b ck d g k l ll m mp n nd ng nk p r rk rt s sh sk st t th x zz".split()


def made_up(r, held=False):
    """A word that does not exist: the way to learn to say 'I don't know that'."""
    easy = set(assets()["easy"])
    while True:
        w = "".join(r.choice(ONSET) + r.choice(VOWEL) for _ in range(r.randint(1, 2))) + r.choice(CODA)
        w += r.choice(["", "", "", "a", "ia", "o", "us", "er", "le", "in", "or", "ium", "el", "y"])
        if 4 <= len(w) <= 11 and w not in easy and held_out("word", w, every=20) == held: return w


CONTRACT = [("what is", "what's"), ("who is", "who's"), ("where is", "where's"), ("I am", "I'm"), ("do not", "don't"), ("it is", "it's"), ("that is", "that's"),
            ("I would", "I'd"), ("can not", "can't"), ("you are", "you're"), ("let us", "let's"), ("What is", "What's"), ("Who is", "Who's"), ("how is", "how's"), ("How is", "How's")]


def noisy(r, text):
    """The same request as different people type it: case, punctuation, contractions, politeness."""
    t = text
    if r.random() < 0.35:
        for a, b in CONTRACT:
            t = re.sub(r"\b" + a + r"\b", b, t)
    if "\n" not in t and len(t) < 160:
        k = r.random()
        if k < 0.05: t = r.choice(["Hey, ", "Ok, ", "OK. ", "So, ", "Hi, ", "Hello, ", "Well, ", "Um, ", "Now ", "And "]) + (t if t.startswith(("I ", "I'")) else t[:1].lower() + t[1:])
        elif k < 0.08 and t.endswith("?"): t = t[:-1] + ", please?"
        elif k < 0.11 and t.endswith("."): t = t[:-1] + ", please."
        elif k < 0.125 and re.match(r"(Tell|Give|Name|Say|Write|List|Show)", t): t = "Please " + t[:1].lower() + t[1:]
        elif k < 0.14 and re.match(r"(Tell|Give|Name|Say|Write|List|Show)", t): t = r.choice(["Can you ", "Could you ", "Can you please "]) + t[:1].lower() + t[1:].rstrip(".!") + "?"
    if r.random() < 0.3: t = t.lower()
    k = r.random()
    if k < 0.3: t = t.rstrip(".?!")
    elif k < 0.33: t = t + t[-1] if t[-1:] in "?!" else t
    elif k < 0.35 and t[-1:] == ".": t = t[:-1] + "!"
    if r.random() < 0.06: t = t.replace("'", "")
    if r.random() < 0.02: t = t.upper()
    if r.random() < 0.03:
        for a, b in (("you", "u"), ("are", "r"), ("your", "ur"), ("please", "pls"), ("what", "wat")): t = re.sub(r"\b" + a + r"\b", b, t)
    if r.random() < 0.03:       # one slip of the finger in a longer word
        ws = [m for m in re.finditer(r"\b[a-z]{5,}\b", t)]
        if ws:
            m = r.choice(ws); i = r.randrange(m.start() + 1, m.end() - 1)
            t = r.choice([t[:i] + t[i + 1:], t[:i] + t[i] + t[i:], t[:i] + t[i + 1] + t[i] + t[i + 2:]])
    if r.random() < 0.03: t = t.replace(",", "")
    return t or text


ANIMALS_STORY = "dragon cat dog mouse rabbit fox bear owl lion frog duck hen pig horse goat sheep turtle squirrel hedgehog wolf elephant monkey penguin dolphin whale tiger bee ant butterfly snail spider crab unicorn robot ghost witch wizard knight princess prince king queen pirate giant fairy monster dinosaur boy girl farmer baker teacher sailor astronaut clown cowboy king inventor painter snowman teddy bear toy train little car old tree cloud star moon".split()
COLOURS = "red blue green yellow orange purple pink brown black white grey".split()
FRUITS = "apple banana orange pear grape cherry lemon peach plum strawberry mango melon pineapple kiwi blueberry".split()
VEGETABLES = "carrot potato tomato onion pea bean cabbage pumpkin cucumber spinach broccoli corn".split()
FOODS = "pizza soup bread cheese rice pasta cake chocolate pancakes salad ice cream,sandwiches,apple pie,noodles,potatoes,cookies,strawberries".replace(" ", ",").replace("ice,cream", "ice cream").replace("apple,pie", "apple pie").split(",")
HOBBIES = "reading swimming drawing singing dancing cooking painting running cycling gardening hiking fishing skating football chess baking knitting climbing,playing the piano,playing the guitar,playing football,playing video games,riding my bike,watching movies,taking photos,collecting stamps".replace(" ", ",", 17).split(",")
ANIMALS = "dog cat horse cow pig sheep goat hen duck goose rabbit mouse rat fox wolf bear lion tiger elephant giraffe zebra monkey gorilla kangaroo koala panda penguin dolphin whale shark octopus crab turtle snake frog crocodile owl eagle parrot bee ant spider butterfly snail bat camel deer squirrel hedgehog otter seal".split()
THINGS = "book ball chair table lamp cup spoon shoe hat key clock bag box pencil phone bottle window door bed mirror umbrella coat bike car".split()
PLACES = "Paris London Rome Berlin Madrid Tokyo Cairo Vienna Lisbon Dublin Athens Oslo Prague Boston Chicago Toronto Sydney Moscow Delhi Nairobi".split()
JOBS = "teacher doctor nurse farmer baker cook driver pilot painter singer writer builder dentist gardener scientist engineer".split()
