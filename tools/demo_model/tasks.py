"""Small instructions and arithmetic: lists, counting, spelling, case, rhymes, plurals, JSON, sorting, sums with worked traces."""
from base import *
from talk import PLACES as CITIES

LISTS = {"animals": ANIMALS, "colours": COLOURS, "colors": COLOURS, "fruits": FRUITS, "vegetables": VEGETABLES, "foods": FOODS, "things in a house": THINGS, "cities": CITIES, "jobs": JOBS, "farm animals": "cow pig horse sheep goat hen duck".split(), "birds": "owl eagle parrot robin crow swan duck penguin pigeon".split(), "sea animals": "whale shark dolphin octopus crab seal turtle jellyfish".split(),
         "insects": "bee ant fly butterfly ladybird mosquito grasshopper".split(), "pets": "dog cat rabbit hamster parrot goldfish".split(), "sports": "football tennis swimming running basketball skiing volleyball hockey".split(), "instruments": "piano guitar violin drum flute trumpet harp".split(), "planets": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split(),
         "countries": "France Germany Italy Spain China Japan India Brazil Canada Mexico Egypt Kenya".split(), "flowers": "rose tulip daisy sunflower lily violet poppy".split(), "trees": "oak pine maple birch willow apple tree,palm".replace(" ", ",", 5).split(","), "clothes": "hat coat shirt dress scarf sock shoe".split(), "drinks": "water tea coffee milk juice lemonade".split(), "toys": "ball doll kite puzzle teddy bear,train".replace(" ", ",", 4).split(","),
         "girls' names": "Anna Lily Emma Mia Lucy Sarah Sophie".split(), "boys' names": "Tom Ben Max Sam Leo Tim Jack".split(), "names": "Anna Tom Lily Ben Emma Max".split(), "shapes": "circle square triangle rectangle star oval".split(), "feelings": "joy sadness anger fear love surprise".split(), "body parts": "hand foot head arm leg nose ear eye".split(), "vehicles": "car bus train bike boat plane".split(), "wild animals": "lion tiger elephant wolf bear fox zebra".split()}
NUM = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]


def lists(r):
    k = r.choice(sorted(LISTS)); n = min(r.choice([1, 2, 3, 3, 3, 4, 5, 5, 6]), len(LISTS[k]) - 1)
    items = r.sample(LISTS[k], n)
    num = r.choice([NUM[n], str(n)])
    q = pick(r, ["Name {n} {k}.", "List {n} {k}.", "Give me {n} {k}.", "Tell me {n} {k}.", "Can you name {n} {k}?", "Write a list of {n} {k}.", "I need {n} {k}.", "Say {n} {k}.", "What are {n} {k}?"], n=num, k=k) if n > 1 else pick(r, ["Name {a}.", "Give me {a}.", "Tell me {a}.", "Say {a}."], a={"girls' names": "a girl's name", "boys' names": "a boy's name"}.get(k, an(k[:-3] + "y" if k.endswith("ies") else k[:-1] if k not in ("clothes", "vehicles", "things in a house") else "thing" if k != "vehicles" else "vehicle") if k != "clothes" else "piece of clothing"))
    if k == "things in a house" and n == 1: q = "Name a thing in a house."
    form = r.random()
    if n == 1: a = cap(items[0]) + "."
    elif form < .55: a = cap(join(items)) + "."
    elif form < .8: a = "\n".join(f"{i + 1}. {cap(x)}" for i, x in enumerate(items))
    else: a = "\n".join(f"- {cap(x)}" for x in items)
    return Ex(q, a, f"The user wants {NUM[n]} {k if n > 1 else 'thing'}. I will write: {', '.join(items)}." if n > 1 else f"One is enough: {items[0]}.")


def count(r):
    k = r.random()
    if k < .4:
        n = r.choice([3, 5, 5, 10, 10, 10, 7, 12, 15, 20]); q = pick(r, ["Count to {n}.", "Count from 1 to {n}.", "Can you count to {n}?", "Count up to {n}.", "Please count to {n}.", "Write the numbers from 1 to {n}."], n=r.choice([str(n), NUM[n]])); a = ", ".join(map(str, range(1, n + 1)))
        return Ex(q, a, f"I count from 1 to {n}.")
    if k < .6:
        n = r.choice([3, 5, 10]); return Ex(pick(r, ["Count down from {n}.", "Count backwards from {n}.", "Start a countdown from {n}."], n=n), ", ".join(map(str, range(n, 0, -1))) + r.choice([".", ", zero!"]), f"I count down from {n} to 1.")
    if k < .8:
        s = r.choice([2, 3, 5, 10]); a = s * r.randint(1, 4); seq = [a + s * i for i in range(4)]
        return Ex(pick(r, ["What comes next: {x}?", "Continue: {x}", "What is the next number: {x}?", "Which number comes next? {x}"], x=", ".join(map(str, seq))), pick(r, ["The next number is {y}.", "{y}", "{y}."], y=seq[-1] + s), f"Each number is {s} more. {seq[-1]} + {s} = {seq[-1] + s}.", True)
    n = r.randint(1, 99)
    return Ex(pick(r, ["What comes after {n}?", "Which number comes after {n}?"], n=n), f"{n + 1} comes after {n}.", f"{n} + 1 = {n + 1}.") if r.random() < .5 else Ex(pick(r, ["What comes before {n}?", "Which number comes before {n}?"], n=n), f"{n - 1} comes before {n}.", f"{n} - 1 = {n - 1}.")


def easy_word(r): return r.choice([w for w in r.sample(assets()["easy"], 8) if 3 <= len(w) <= 7] or ["apple"])


def words(r):
    k = r.random(); w = easy_word(r)
    if k < .2: return Ex(pick(r, ["Spell {w}.", "How do you spell {w}?", "Spell the word {w}.", "Spell \"{w}\"."], w=w), " ".join(w.upper()) if r.random() < .7 else "-".join(w.upper()), f"The letters of {w}: {', '.join(w)}.", True)
    if k < .32: return Ex(pick(r, ["How many letters are in {w}?", "How many letters does {w} have?", "Count the letters in \"{w}\".", "How many letters are in the word {w}?"], w=w), pick(r, ["The word {w} has {n} letters.", "{w} has {n} letters."], w=w, n=len(w)), f"{', '.join(w)}: that makes {len(w)} letters.", True)
    if k < .44: return Ex(pick(r, ["What is the first letter of {w}?", "Which letter does {w} begin with?", "What letter does {w} start with?"], w=w), f"The first letter of {w} is {w[0].upper()}.", f"{cap(w)} begins with {w[0]}.", True) if r.random() < .6 else Ex(f"What is the last letter of {w}?", f"The last letter of {w} is {w[-1].upper()}.", f"{cap(w)} ends with {w[-1]}.", True)
    if k < .6:
        ws = [easy_word(r) for _ in range(r.choice([1, 1, 2, 3]))]; t = " ".join(ws)
        return Ex(pick(r, ["Write {t} in upper case.", "Write \"{t}\" in capital letters.", "Make this upper case: {t}", "Write {t} in capitals."], t=t), t.upper(), "I write the same words in big letters.", True) if r.random() < .7 else Ex(pick(r, ["Write {t} in lower case.", "Make this lower case: {t}", "Write \"{t}\" in small letters."], t=t.upper()), t, "I write the same words in small letters.", True)
    if k < .7:
        w = r.choice([w for w in r.sample(assets()["easy"], 30) if 3 <= len(w) <= 4])
        return Ex(pick(r, ["Write {w} backwards.", "Reverse the word {w}.", "Spell {w} backwards."], w=w), w[::-1], f"The letters of {w} are {', '.join(w)}. Backwards: {', '.join(w[::-1])}.", True)
    if k < .85:
        x = r.choice(ANIMALS + THINGS + FRUITS + ["child", "man", "woman", "foot", "tooth", "city", "baby", "leaf", "knife", "story", "potato", "tomato", "bus", "fox", "dish", "watch", "box"])
        return Ex(pick(r, ["What is the plural of {x}?", "Give me the plural of {x}.", "Plural of {x}?", "How do you say more than one {x}?"], x=x), pick(r, ["The plural of {x} is {p}.", "It is {p}.", "{P}."], x=x, p=plural(x), P=cap(plural(x))), f"One {x}, two {plural(x)}.")
    g = r.choice(assets()["rhymes"]); w = r.choice(g); others = [x for x in g if x != w]; n = min(r.choice([1, 1, 2, 3]), len(others)); o = r.sample(others, n)
    return Ex(pick(r, ["What rhymes with {w}?", "Give me a rhyme for {w}.", "Which word rhymes with {w}?", "Find a word that rhymes with {w}.", "Tell me a word that rhymes with {w}."], w=w), pick(r, ["{O} rhymes with {w}.", "{O}."], O=cap(join(o)), w=w) if n == 1 else f"{cap(join(o))} rhyme with {w}.", f"I need a word that sounds like {w} at the end.", True)


def repeat(r):
    t = r.choice([easy_word(r), "hello", "good morning", "I like you", "the sun is shining", "I am happy", " ".join(easy_word(r) for _ in range(2)), first_name(r), "thank you", cap(easy_word(r)), "hello world"])
    k = r.random()
    if k < .6: return Ex(pick(r, ["Say {t}.", "Repeat after me: {t}", "Say \"{t}\".", "Repeat: {t}", "Write the word {t}." if " " not in t else "Write: {t}", "Please say {t}."], t=t), cap(t) + r.choice([".", "!", ""]), "I only have to repeat the words.", True)
    n = r.choice([2, 3, 3, 4, 5]); return Ex(pick(r, ["Say {t} {n} times.", "Write {t} {n} times.", "Repeat {t} {n} times."], t=t, n=NUM[n] if r.random() < .6 else n), " ".join([t] * n), f"I write it {NUM[n]} times.", True)


def sorting(r):
    k = r.random()
    if k < .4:
        v = r.sample(range(1, 60 if r.random() < .6 else 10), r.choice([3, 3, 4, 5])); up = r.random() < .75
        return Ex(pick(r, ["Sort these numbers: {x}", "Sort {x}.", "Put these numbers in order: {x}", "Order these numbers from small to big: {x}"] if up else ["Sort these numbers from big to small: {x}", "Sort in descending order: {x}"], x=", ".join(map(str, v))), ", ".join(map(str, sorted(v, reverse=not up))), f"From {'small to big' if up else 'big to small'}, starting with {min(v) if up else max(v)}.", True)
    if k < .6:
        v = r.sample(range(1, 100), r.choice([2, 2, 3, 4])); big = r.random() < .6
        return Ex(pick(r, ["Which is bigger, {x}?", "Which number is bigger: {x}?", "What is the largest number: {x}?", "Which number is the biggest: {x}?"] if big else ["Which is smaller, {x}?", "What is the smallest number: {x}?", "Which number is smaller: {x}?"], x=join(map(str, v), "or")), pick(r, ["{y} is the {w}.", "{y} is {w2}.", "{y}."], y=max(v) if big else min(v), w=("biggest" if big else "smallest") if len(v) > 2 else ("bigger one" if big else "smaller one"), w2=("the biggest" if big else "the smallest") if len(v) > 2 else ("bigger" if big else "smaller")), f"I compare {join(map(str, v))}. The {'biggest' if big else 'smallest'} is {max(v) if big else min(v)}.", True)
    if k < .8:
        v = r.sample([x for x in ANIMALS + FRUITS + THINGS if x.isalpha()], 3)
        return Ex(pick(r, ["Sort these words: {x}", "Put these words in alphabetical order: {x}", "Sort alphabetically: {x}"], x=", ".join(v)), ", ".join(sorted(v)), f"By the first letter: {', '.join(sorted(v))}.", True)
    v = r.sample(r.choice([ANIMALS, FRUITS, COLOURS, FOODS]), 2); c = r.choice(v)
    return Ex(pick(r, ["Choose one: {a} or {b}?", "{A} or {b}?", "Pick one: {a} or {b}.", "What do you prefer, {a} or {b}?", "Which one do you choose, {a} or {b}?"], a=v[0], b=v[1], A=cap(v[0])), pick(r, ["I choose {c}.", "{C}!", "I would pick {c}."], c=c, C=cap(c)), f"I just pick one: {c}.")


def json_out(r):
    n, age, city = first_name(r), r.randint(5, 80), r.choice(CITIES)
    k = r.random()
    if k < .4: return Ex(pick(r, ["Write this as JSON: name {n}, age {a}", "Make JSON with name {n} and age {a}.", "Answer in JSON: {n} is {a} years old.", "Turn this into JSON: {n}, {a} years old"], n=n, a=age), f'{{"name": "{n}", "age": {age}}}', "I need a JSON object with name and age.", True)
    if k < .7: return Ex(pick(r, ["Write this as JSON: name {n}, city {c}", "Make JSON with name {n} and city {c}.", "Answer in JSON: {n} lives in {c}."], n=n, c=city), f'{{"name": "{n}", "city": "{city}"}}', "I need a JSON object with name and city.", True)
    key, items = r.choice([("animals", ANIMALS), ("colours", COLOURS), ("fruits", FRUITS)]); m = r.choice([2, 3, 3, 4]); v = r.sample(items, m)
    return Ex(pick(r, ["Give me {m} {k} as JSON.", "List {m} {k} as a JSON list.", "Write a JSON array with {m} {k}."], m=NUM[m], k=key), "[" + ", ".join(f'"{x}"' for x in v) + "]", f"A JSON list with {NUM[m]} {key}.", True)


DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
def dates(r):
    L = DAYS if r.random() < .5 else MONTHS; i = r.randrange(len(L)); d = L[i]; nx, pv = L[(i + 1) % len(L)], L[i - 1]; what = "day" if L is DAYS else "month"
    if L is MONTHS and r.random() < .3: return Ex(pick(r, ["Which month is number {n}?", "What is the {o} month?"], n=i + 1, o="first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()[i]), f"{d} is the {'first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth'.split()[i]} month.", f"I count the months: number {i + 1} is {d}.")
    if r.random() < .5: return Ex(pick(r, ["What {w} comes after {d}?", "Which {w} comes after {d}?", "What comes after {d}?", "What is the {w} after {d}?"] + (["If today is {d}, what day is tomorrow?", "Today is {d}. What day is tomorrow?"] if L is DAYS else []), w=what, d=d), pick(r, ["{n} comes after {d}.", "After {d} comes {n}."], n=nx, d=d), f"After {d} comes {nx}.")
    return Ex(pick(r, ["What {w} comes before {d}?", "Which {w} comes before {d}?", "What comes before {d}?"] + (["If today is {d}, what day was yesterday?"] if L is DAYS else []), w=what, d=d), pick(r, ["{n} comes before {d}.", "Before {d} comes {n}."], n=pv, d=d), f"Before {d} comes {pv}.")


def trace_add(a, b):
    if a < 10 and b < 10 or a % 10 + b % 10 < 10 and min(a, b) < 10: return f"{a} + {b} = {a + b}."
    u = a % 10 + b % 10; t = f"Ones: {a % 10} + {b % 10} = {u}" + (f", write {u % 10}, carry 1. " if u > 9 else ". ")
    ta, tb, c = a // 10 % 10, b // 10 % 10, u // 10; v = ta + tb + c
    t += f"Tens: {ta} + {tb}" + (f" + {c}" if c else "") + f" = {v}"
    if a > 99 or b > 99:
        c2 = v // 10; t += (f", write {v % 10}, carry 1. " if c2 else ". ") + f"Hundreds: {a // 100} + {b // 100}" + (f" + {c2}" if c2 else "") + f" = {a // 100 + b // 100 + c2}"
    return t + f". So {a} + {b} = {a + b}."


def trace_sub(a, b):
    if b < 10 and (a < 20 or a % 10 >= b): return f"{a} - {b} = {a - b}."
    if a < 100:
        if a % 10 >= b % 10: return f"Ones: {a % 10} - {b % 10} = {a % 10 - b % 10}. Tens: {a // 10} - {b // 10} = {a // 10 - b // 10}. So {a} - {b} = {a - b}."
        return f"Ones: {a % 10} is less than {b % 10}, so borrow: {a % 10 + 10} - {b % 10} = {a % 10 + 10 - b % 10}. Tens: {a // 10 - 1} - {b // 10} = {a // 10 - 1 - b // 10}. So {a} - {b} = {a - b}."
    return f"{a} - {b // 10 * 10} = {a - b // 10 * 10}. {a - b // 10 * 10} - {b % 10} = {a - b}. So {a} - {b} = {a - b}."


def trace_mul(a, b):
    if a <= 12 and b <= 12: return f"{a} times {b} is {a * b}."
    a, b = max(a, b), min(a, b)
    return f"{a // 10 * 10} * {b} = {a // 10 * 10 * b}. {a % 10} * {b} = {a % 10 * b}. {a // 10 * 10 * b} + {a % 10 * b} = {a * b}."


def unseen(op, a, b):
    """Held-out operand pairs. Sums within twelve are all trained: everybody types those."""
    return max(a, b if op != "/" else 0) > 12 and held_out("sum", op, a, b, every=12)


def operands(r, op, held=False):
    while True:
        k = r.random()
        if op == "+": a, b = (r.randint(0, 12), r.randint(0, 12)) if k < .45 else (r.randint(1, 99), r.randint(1, 99)) if k < .92 else (r.randint(10, 499), r.randint(10, 499))
        elif op == "-": a, b = (r.randint(1, 20), r.randint(0, 10)) if k < .45 else (r.randint(10, 99), r.randint(1, 99)); a, b = max(a, b), min(a, b)
        elif op == "*": a, b = (r.randint(1, 10), r.randint(1, 10)) if k < .7 else (r.randint(1, 12), r.randint(1, 12)) if k < .85 else (r.randint(11, 99), r.randint(2, 9))
        else: b = r.randint(1, 10); a = b * r.randint(1, 10)
        if unseen(op, a, b) == held: return a, b


SAY = {"+": ["What is {a} plus {b}?", "What is {a} + {b}?", "{a} + {b}", "{a}+{b}", "{a} + {b} = ?", "How much is {a} plus {b}?", "Add {a} and {b}.", "Calculate {a} + {b}.", "What is the sum of {a} and {b}?", "{a} plus {b}", "{a} plus {b}?", "Can you add {a} and {b}?", "What do you get if you add {a} and {b}?", "How much is {a} and {b}?", "what's {a}+{b}?", "Solve {a} + {b}.", "{a} + {b}?", "{a} + {b} ="],
       "-": ["What is {a} minus {b}?", "What is {a} - {b}?", "{a} - {b}", "{a}-{b}", "How much is {a} minus {b}?", "Subtract {b} from {a}.", "Calculate {a} - {b}.", "What is {a} take away {b}?", "{a} minus {b}", "{a} minus {b}?", "Take {b} away from {a}.", "what's {a}-{b}?"],
       "*": ["What is {a} times {b}?", "What is {a} * {b}?", "{a} * {b}", "{a} x {b}", "How much is {a} times {b}?", "Multiply {a} by {b}.", "Calculate {a} * {b}.", "{a} times {b}", "{a} times {b}?", "What is {a} multiplied by {b}?", "What is {a} x {b}?", "{a}*{b}"],
       "/": ["What is {a} divided by {b}?", "What is {a} / {b}?", "{a} / {b}", "Divide {a} by {b}.", "How much is {a} divided by {b}?", "Calculate {a} / {b}.", "{a} divided by {b}", "{a}/{b}"]}
WORD_OP = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


def arithmetic(r, held=False, op=None):
    op = op or r.choice("++++---**" + "*/")
    a, b = operands(r, op, held)
    y = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
    q = r.choice(SAY[op]).format(a=a, b=b)
    if a <= 20 and b <= 20 and r.random() < .1: q = f"What is {NUM[a]} {WORD_OP[op]} {NUM[b]}?"
    t = {"+": trace_add, "-": trace_sub, "*": trace_mul, "/": lambda a, b: f"{b} * {y} = {a}, so {a} / {b} = {y}."}[op](a, b)
    ans = pick(r, ["{a} {w} {b} is {y}.", "{a} {o} {b} = {y}", "The answer is {y}.", "{y}", "That is {y}.", "{a} {w} {b} is {y}."], a=a, b=b, w=WORD_OP[op], o=op, y=y)
    return Ex(q, ans, t, True)


THING_PL = "apples,books,balls,cookies,flowers,pencils,coins,eggs,stones,shells,cups,toys,stamps,marbles,oranges,cherries,nuts,candies,cards,stars".split(",")
def word_problem(r, held=False):
    """A short sum in words; the trace names the operation first."""
    op = r.choice("++---*" if not held else "+-")
    while True:
        a, b = (r.randint(1, 20), r.randint(1, 12)) if op != "*" else (r.randint(2, 10), r.randint(2, 10))
        if op == "-" and b >= a: continue
        if unseen(op, a, b) == held: break
    sex = r.choice("mf"); s = dict(n=first_name(r, sex), m=first_name(r), a=a, b=b, t=r.choice(THING_PL), he="he" if sex == "m" else "she", He="He" if sex == "m" else "She")
    if op == "+": q = ["{n} has {a} {t}. {He} gets {b} more. How many {t} does {n} have now?", "{n} has {a} {t} and {m} has {b} {t}. How many {t} do they have together?", "There are {a} {t} in a box. {n} puts in {b} more. How many are there now?", "I have {a} {t} and buy {b} more. How many {t} do I have?", "{n} found {a} {t} in the morning and {b} in the evening. How many {t} did {he} find?"]; y = a + b; t = f"More are added: {a} + {b} = {y}."
    elif op == "-": q = ["{n} has {a} {t}. {He} gives {b} to {m}. How many {t} are left?", "There are {a} {t} on the table. {n} takes {b} away. How many are left?", "I have {a} {t} and lose {b}. How many {t} do I have left?", "{n} had {a} {t} but lost {b} of them. How many {t} does {he} have now?", "If I have {a} {t} and give away {b}, how many {t} do I have?"]; y = a - b; t = f"Some are taken away: {a} - {b} = {y}."
    else: q = ["{n} has {a} boxes with {b} {t} each. How many {t} are there?", "There are {a} bags. Each bag has {b} {t}. How many {t} are there in all?", "{a} children have {b} {t} each. How many {t} do they have together?"]; y = a * b; t = f"The same number again and again: {a} * {b} = {y}."
    unit = s["t"] if y != 1 else (s["t"][:-3] + "y" if s["t"].endswith("ies") and s["t"] not in ("cookies",) else s["t"][:-1])
    who = pick(r, ["The answer is {y}.", "{y} {u}.", "That makes {y} {u}.", "There {v} {y} {u}." if op != "-" else "{y} {u} {v} left."], y=y, u=unit, v="are" if y != 1 else "is")
    return Ex(pick(r, q, **s), who, t, True)


def number_facts(r):
    n = r.randint(1, 60); k = r.random()
    if k < .35: return Ex(pick(r, ["Is {n} even or odd?", "Is {n} an even number?" if n % 2 == 0 else "Is {n} an odd number?"], n=n), f"{n} is {'even' if n % 2 == 0 else 'odd'}." if r.random() < .7 else f"{n} is an {'even' if n % 2 == 0 else 'odd'} number.", f"The last digit of {n} is {n % 10}, so it is {'even' if n % 2 == 0 else 'odd'}.")
    if k < .65: return Ex(pick(r, ["What is half of {n}?", "How much is half of {n}?"], n=2 * n), pick(r, ["Half of {n} is {y}.", "{y}."], n=2 * n, y=n), f"{n} + {n} = {2 * n}, so half of {2 * n} is {n}.")
    return Ex(pick(r, ["What is double {n}?", "What is twice {n}?", "Double {n}."], n=n), pick(r, ["Twice {n} is {y}.", "{y}."], n=n, y=2 * n), f"{n} + {n} = {2 * n}.")


def instruction(r):
    return r.choice([lists, lists, lists, count, words, words, words, repeat, sorting, sorting, json_out, dates])(r)


def maths(r):
    k = r.random()
    return arithmetic(r) if k < .68 else word_problem(r) if k < .9 else number_facts(r)
