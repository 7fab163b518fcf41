"""Questions with a known answer: countries, states, elements, animals, word meanings, opposites, and the hand-written everyday knowledge."""
from base import *
from talk import qa

SKIP = {"DR Congo", "Republic of the Congo"}
THE = {"United States", "United Kingdom", "Netherlands", "Philippines", "Czechia", "United Arab Emirates", "Bahamas", "Maldives", "Gambia", "Dominican Republic", "Central African Republic", "Marshall Islands", "Solomon Islands", "Comoros", "Seychelles"} - {"Czechia"}
FAMOUS = "France Germany Italy Spain Portugal Austria Switzerland Poland Greece Turkey Russia China Japan India Australia Canada Mexico Brazil Argentina Egypt Kenya Norway Sweden Finland Denmark Ireland Belgium Netherlands Hungary Czechia Ukraine Israel Thailand Vietnam Indonesia Iran Iraq Peru Chile Colombia Cuba Morocco Nigeria Ethiopia".split() + ["United States", "United Kingdom", "South Korea", "South Africa", "New Zealand", "Saudi Arabia"]
CAPITAL_FIX = {"Washington D.C.": "Washington, D.C.", "Nur-Sultan": "Astana", "City of San Marino": "San Marino", "Kiev": "Kyiv"}
REGION = {"Americas": {"North America": "North America", "South America": "South America", "Caribbean": "North America", "Central America": "North America"}}


@functools.lru_cache(1)
def countries():
    out = []
    for c in assets()["countries"]:
        if c["name"] in SKIP: continue
        c = dict(c, name={"Türkiye": "Turkey", "Czech Republic": "Czechia"}.get(c["name"], c["name"]), capital=CAPITAL_FIX.get(c["capital"], c["capital"]))
        c["the"] = ("the " if c["name"] in THE else "") + c["name"]
        if c["region"] == "Americas": c["continent"] = "South America" if c["subregion"] == "South America" else "North America"
        elif c["region"] == "Oceania": c["continent"] = "Oceania"
        else: c["continent"] = c["region"]
        out.append(c)
    return out


@functools.lru_cache(1)
def country_by_name(): return {c["name"]: c for c in countries()}


CAP_ASK = ["What is the capital of {c}?", "What is the capital city of {c}?", "Which city is the capital of {c}?", "Do you know the capital of {c}?", "Tell me the capital of {c}.", "Name the capital of {c}.", "capital of {c}", "capital of {c}?", "What's {c}'s capital?", "Can you tell me the capital of {c}?", "What city is the capital of {c}?", "{C}'s capital?", "I need the capital of {c}.", "{C}: what is its capital?", "Which city is {c}'s capital?", "Which capital does {c} have?", "What capital has {c}?", "Please give me the capital of {c}.", "Say the capital of {c}.", "How is the capital of {c} called?", "What is the name of the capital of {c}?", "Tell me what the capital of {c} is.", "I want to know the capital of {c}.", "The capital of {c} is?", "The capital of {c}?", "I am going to the capital of {c}. Which city is that?", "{C} has a capital. What is it called?", "A quiz question: the capital of {c}?", "In {c}, which city is the capital?", "Where is the government of {c}?", "{C}, capital?", "For {c}, name the capital.", "Which is the capital of {c}?"]
CAP_SAY = ["The capital of {c} is {x}.", "The capital of {c} is {x}.", "{x} is the capital of {c}.", "It is {x}."]


def country(r, kind=None, c=None):
    """One exchange about a country (the well-known ones more often), and what it was about."""
    c = c or (country_by_name().get(r.choice(FAMOUS)) if r.random() < 0.5 else None) or r.choice(countries())
    kind = kind or r.choice(["capital"] * 6 + ["where", "where", "continent", "of", "of", "language", "currency", "people", "neighbours", "about", "sea"])
    s = dict(c=c["the"], C=cap(c["the"]), x=c["capital"], k=c["continent"], l=join(c["languages"]) if c["languages"] else "", m=(c["currency"] or ["its own money"])[0], d=c["demonym"], n=len(c["borders"]), b=join(c["borders"][:6]) if c["borders"] else "")
    if kind == "capital": q, a = CAP_ASK, CAP_SAY; t = ["The user asks for the capital of {c}. It is {x}.", "The capital of {c} is {x}."]
    elif kind == "where": q, a = ["Where is {c}?", "Where is {c} located?", "Where can I find {c}?", "In which part of the world is {c}?"], ["{C} is in {k}. Its capital is {x}.", "{C} is a country in {k}."]; t = ["{C} is a country in {k}."]
    elif kind == "continent": q, a = ["Which continent is {c} in?", "On which continent is {c}?", "What continent is {c} on?", "In which continent is {c}?", "Is {c} in {k}?"], ["{C} is in {k}."]; t = ["The question is about the continent of {c}. It is {k}."]
    elif kind == "of": q, a = ["Which country has the capital {x}?", "{x} is the capital of which country?", "In which country is {x}?", "What country is {x} in?", "Where is {x}?", "What is {x}?", "{x} is the capital of what?"], ["{x} is the capital of {c}.", "{x} is in {c}. It is the capital."]; t = ["{x} is the capital of {c}."]
    elif kind == "language" and c["languages"]: q, a = ["What language do they speak in {c}?", "What language do people speak in {c}?", "Which languages are spoken in {c}?", "What is the language of {c}?", "What is the official language of {c}?"], ["In {c} people speak {l}.", "People in {c} speak {l}."]; t = ["The question is about the language of {c}: {l}."]
    elif kind == "currency" and c["currency"]: q, a = ["What is the currency of {c}?", "Which currency is used in {c}?", "What money do they use in {c}?", "How do people pay in {c}?"], ["The currency of {c} is the {m}.", "In {c} people pay with the {m}."]; t = ["The currency of {c} is the {m}."]
    elif kind == "people": q, a = ["What do you call people from {c}?", "What are people from {c} called?", "How do you call a person from {c}?"], ["People from {c} are {d}.", "They are {d}."]; t = ["The word for people from {c} is {d}."]
    elif kind == "neighbours" and c["borders"]: q, a = ["Which countries are next to {c}?", "What are the neighbours of {c}?", "Which countries border {c}?", "Name a neighbour of {c}."], ["{C} has borders with {b}.", "Next to {c} you find {b}."]; t = ["The neighbours of {c}: {b}."]
    elif kind == "sea": q, a = ["Does {c} have a coast?", "Is {c} by the sea?", "Does {c} have access to the sea?"], (["No, {c} has no coast."] if c["landlocked"] else ["Yes, {c} has a coast."]); t = ["{C} has no coast." if c["landlocked"] else "{C} lies by the sea."]
    else: q, a = ["Tell me about {c}.", "What do you know about {c}?", "What is {c}?", "Tell me something about {c}.", "Do you know {c}?", "Describe {c}."], ["{C} is a country in {k}. Its capital is {x}." + (" People there speak {l}." if c["languages"] else "")]; t = ["I know that {c} is in {k} and that its capital is {x}."]
    return Ex(pick(r, q, **s), pick(r, a, **s), pick(r, t, **s)), kind


def country_pair(r):
    """A question and its elliptic follow-up: 'And of Spain?'"""
    kind = r.choice(["capital", "capital", "language", "currency", "where"])
    a, _ = country(r, kind, country_by_name().get(r.choice(FAMOUS)) if r.random() < .6 else None)
    c = (country_by_name().get(r.choice(FAMOUS)) if r.random() < .6 else None) or r.choice(countries())
    if kind == "language" and not c["languages"] or kind == "currency" and not c["currency"]: c = country_by_name()["France"]
    b, _ = country(r, kind, c)
    short = pick(r, ["And of {c}?", "And {c}?", "What about {c}?", "How about {c}?", "And what about {c}?", "and {c}?", "And for {c}?", "And that of {c}?"], c=c["the"])
    return [a, b._replace(user=short, thought=f"The same question for {c['the']}. " + b.thought)]


STATE_ASK = ["What is the capital of {s}?", "What is the state capital of {s}?", "Which city is the capital of {s}?", "Name the capital of {s}."]
def state(r):
    s, c = r.choice(assets()["states"])
    k = r.random()
    if s in ("Georgia", "New York", "Washington"): s2 = "the state of " + s
    else: s2 = s
    if k < .6: return Ex(r.choice(STATE_ASK).format(s=s2), f"The capital of {s2} is {c}.", f"{s} is a state of the USA. Its capital is {c}.")
    if k < .8: return Ex(pick(r, ["Which state has the capital {c}?", "{c} is the capital of which state?"], c=c), f"{c} is the capital of {s}.", f"{c} belongs to {s}.")
    return Ex(pick(r, ["Where is {s}?", "What is {s}?", "Tell me about {s}."], s=s2), f"{cap(s2)} is {'one' if s2 != s else 'a state'} of the United States. Its capital is {c}.".replace("is one of", "is part of"), f"{s} is a state of the USA.")


ELEMENTS = "Hydrogen H,Helium He,Lithium Li,Beryllium Be,Boron B,Carbon C,Nitrogen N,Oxygen O,Fluorine F,Neon Ne,Sodium Na,Magnesium Mg,Aluminium Al,Silicon Si,Phosphorus P,Sulfur S,Chlorine Cl,Argon Ar,Potassium K,Calcium Ca,Scandium Sc,Titanium Ti,Vanadium V,Chromium Cr,Manganese Mn,Iron Fe,Cobalt Co,Nickel Ni,Copper Cu,Zinc Zn,Gallium Ga,Germanium Ge,Arsenic As,Selenium Se,Bromine Br,Krypton Kr,Rubidium Rb,Strontium Sr,Yttrium Y,Zirconium Zr,Niobium Nb,Molybdenum Mo,Technetium Tc,Ruthenium Ru,Rhodium Rh,Palladium Pd,Silver Ag,Cadmium Cd,Indium In,Tin Sn,Antimony Sb,Tellurium Te,Iodine I,Xenon Xe,Caesium Cs,Barium Ba".split(",")
MORE = {"Gold": ("Au", 79), "Mercury": ("Hg", 80), "Lead": ("Pb", 82), "Platinum": ("Pt", 78), "Uranium": ("U", 92), "Radium": ("Ra", 88), "Tungsten": ("W", 74)}
def element(r):
    if r.random() < .2: e = r.choice(sorted(MORE)); s, n = MORE[e]
    else:
        n = r.randrange(len(ELEMENTS)) if r.random() < .5 else r.choice([0, 1, 5, 6, 7, 10, 11, 12, 13, 15, 16, 18, 19, 25, 28, 46]); e, s = ELEMENTS[n].split(); n += 1
    e = e.lower()
    k = r.random()
    if k < .6: return Ex(pick(r, ["What is the symbol of {e}?", "What is the chemical symbol for {e}?", "What is the symbol for {e}?", "Which symbol does {e} have?"], e=e), pick(r, ["The symbol of {e} is {s}.", "The chemical symbol for {e} is {s}."], e=e, s=s), f"{cap(e)} has the symbol {s}.")
    if k < .8: return Ex(pick(r, ["Which element has the symbol {s}?", "What element is {s}?", "What does {s} stand for in chemistry?"], s=s), f"{s} is the symbol of {e}.", f"The symbol {s} belongs to {e}.")
    return Ex(pick(r, ["What is the atomic number of {e}?", "Which number does {e} have in the periodic table?"], e=e), f"{cap(e)} has the atomic number {n}.", f"{cap(e)} is number {n}.")


# name: class | sound | baby | food | home | a fact
ANIMAL = """dog: mammal | woof | puppy | meat and dog food | with people | a loyal friend of people and can smell very well
cat: mammal | meow | kitten | meat and fish | with people | a soft animal that purrs and likes to hunt mice
horse: mammal | neigh | foal | grass and hay | on farms and meadows | a strong animal that people can ride
cow: mammal | moo | calf | grass and hay | on farms | an animal that gives us milk
pig: mammal | oink | piglet | almost everything | on farms | a clever animal that loves mud
sheep: mammal | baa | lamb | grass | on meadows | an animal that gives us wool
goat: mammal | baa | kid | grass and leaves | on farms and mountains | a very good climber
hen: bird | cluck | chick | seeds and worms | on farms | a bird that lays eggs
rooster: bird | cock-a-doodle-doo | chick | seeds and worms | on farms | a male chicken that crows in the morning
duck: bird | quack | duckling | water plants and small animals | on ponds and lakes | a bird that swims well
goose: bird | honk | gosling | grass | near water | a big bird that guards the farm
rabbit: mammal | squeak | kit | grass and carrots | in burrows | a soft animal with long ears
mouse: mammal | squeak | pup | seeds and grain | in small holes | a tiny animal with a long tail
fox: mammal | bark | cub | mice and berries | in the forest | a clever red hunter with a bushy tail
wolf: mammal | howl | cub | meat | in forests | a wild relative of the dog that lives in packs
bear: mammal | growl | cub | berries, fish and honey | in forests and mountains | a big strong animal that sleeps in winter
lion: mammal | roar | cub | meat | in Africa | called the king of the animals
tiger: mammal | roar | cub | meat | in Asia | a very big cat with stripes
leopard: mammal | growl | cub | meat | in Africa and Asia | a big cat with spots
cheetah: mammal | purr | cub | meat | in Africa | the fastest animal on land
elephant: mammal | trumpet | calf | grass, leaves and fruit | in Africa and Asia | the biggest animal on land, with a long trunk
giraffe: mammal | hum | calf | leaves | in Africa | the tallest animal, with a very long neck
zebra: mammal | bark | foal | grass | in Africa | a wild horse with black and white stripes
monkey: mammal | chatter | baby | fruit and leaves | in warm forests | a clever climber
gorilla: mammal | grunt | baby | leaves and fruit | in Africa | the biggest ape
kangaroo: mammal | cluck | joey | grass | in Australia | an animal that jumps and carries its baby in a pouch
koala: mammal | grunt | joey | eucalyptus leaves | in Australia | a furry animal that sleeps most of the day
panda: mammal | bleat | cub | bamboo | in China | a black and white bear
hippo: mammal | grunt | calf | grass | in African rivers | a heavy animal that stays in the water all day
rhino: mammal | grunt | calf | grass | in Africa and Asia | a heavy animal with a horn on its nose
camel: mammal | grunt | calf | dry plants | in deserts | an animal that can live long without water
deer: mammal | bell | fawn | grass and leaves | in forests | a shy animal; the males have antlers
squirrel: mammal | chatter | kit | nuts and seeds | in trees | a quick climber with a bushy tail
hedgehog: mammal | snuffle | hoglet | insects and worms | in gardens | a small animal with spines
bat: mammal | squeak | pup | insects | in caves | the only mammal that can really fly
otter: mammal | whistle | pup | fish | by rivers | a playful swimmer
seal: mammal | bark | pup | fish | by cold seas | a fat swimmer with flippers
dolphin: mammal | click | calf | fish | in the sea | a very clever animal that breathes air
whale: mammal | sing | calf | krill and fish | in the sea | a huge animal that breathes air
donkey: mammal | hee-haw | foal | grass and hay | on farms | a patient animal with long ears
polar bear: mammal | growl | cub | seals | in the Arctic | a big white bear
penguin: bird | honk | chick | fish | in the south | a bird that can not fly but swims very well
owl: bird | hoot | owlet | mice | in forests | a bird that hunts at night
eagle: bird | screech | eaglet | small animals | in the mountains | a big bird with very sharp eyes
parrot: bird | squawk | chick | seeds and fruit | in warm forests | a colourful bird that can copy words
crow: bird | caw | chick | almost everything | in fields and towns | a black and very clever bird
swan: bird | hiss | cygnet | water plants | on lakes | a big white bird with a long neck
ostrich: bird | boom | chick | plants | in Africa | the biggest bird, and it can not fly
flamingo: bird | honk | chick | tiny shrimps | at warm lakes | a pink bird with long legs
pigeon: bird | coo | chick | seeds | in towns | a grey bird that finds its way home
frog: amphibian | croak | tadpole | insects | in ponds | a small animal that jumps and swims
toad: amphibian | croak | tadpole | insects | in gardens | a relative of the frog with dry skin
snake: reptile | hiss | snakelet | small animals | in many warm places | a long animal without legs
turtle: reptile | hiss | hatchling | plants and small animals | in water | an animal with a hard shell
crocodile: reptile | growl | hatchling | meat and fish | in warm rivers | a big reptile with many teeth
lizard: reptile | hiss | hatchling | insects | in warm places | a small reptile with a long tail
shark: fish | no sound | pup | fish | in the sea | a strong fish with many sharp teeth
goldfish: fish | no sound | fry | fish food | in ponds and bowls | a small golden fish
salmon: fish | no sound | fry | small fish and insects | in rivers and the sea | a fish that swims up rivers
octopus: mollusc | no sound | hatchling | crabs | in the sea | a clever animal with eight arms and three hearts
snail: mollusc | no sound | hatchling | leaves | in gardens | a slow animal that carries its house
crab: crustacean | click | larva | almost everything | on beaches and in the sea | an animal with two claws that walks sideways
spider: arachnid | no sound | spiderling | insects | in webs | an animal with eight legs that makes webs
bee: insect | buzz | larva | nectar and pollen | in hives | an insect that makes honey
ant: insect | no sound | larva | almost everything | in ant hills | a strong little insect that lives in large groups
butterfly: insect | no sound | caterpillar | nectar | in gardens and meadows | an insect with beautiful wings
fly: insect | buzz | maggot | almost everything | almost everywhere | a small insect with two wings
mosquito: insect | buzz | larva | nectar and blood | near water | a small insect that bites
ladybird: insect | no sound | larva | other insects | in gardens | a red beetle with black dots
sloth: mammal | squeak | baby | leaves | in trees in South America | one of the slowest animals
raccoon: mammal | chatter | kit | almost everything | in forests and towns | an animal that looks as if it wears a mask
beaver: mammal | whine | kit | bark and leaves | in rivers | an animal that builds dams
mole: mammal | squeak | pup | worms | under the ground | a small digger with tiny eyes
guinea pig: mammal | squeak | pup | hay and vegetables | with people | a small friendly pet
hamster: mammal | squeak | pup | seeds | with people | a small pet that stores food in its cheeks
peacock: bird | scream | chick | seeds and insects | in parks | a bird with a wonderful tail
woodpecker: bird | knock | chick | insects | in forests | a bird that hammers on trees
robin: bird | sing | chick | insects and berries | in gardens | a small bird with a red breast
worm: worm | no sound | baby worm | rotten leaves | in the ground | a soft animal that makes good soil
jellyfish: sea animal | no sound | polyp | tiny animals | in the sea | a soft animal without bones or brain
starfish: sea animal | no sound | larva | mussels | in the sea | a sea animal with five arms"""
ANIMAL = {l.split(": ", 1)[0]: l.split(": ", 1)[1].split(" | ") for l in ANIMAL.splitlines()}


def animal(r):
    a = r.choice(sorted(ANIMAL)); cls, sound, baby, food, home, fact = ANIMAL[a]
    s = dict(a=a, an=an(a), As=cap(plural(a)), s=plural(a), An=cap(an(a)), sound=sound, baby=baby, ab=an(baby), food=food, home=home, fact=fact, c=cls, ac=an(cls))
    k = r.random()
    if k < .25: return Ex(pick(r, ["What is {an}?", "Tell me about {s}.", "Tell me something about {s}.", "What do you know about {s}?", "What is special about {s}?", "Describe {an}.", "Do you know what {an} is?"], **s), pick(r, ["{An} is {fact}.", "{An} is {ac}: {fact}." if cls in ("mammal", "bird", "insect", "reptile", "fish") else "{An} is {fact}.", "{An} is {fact}. It lives {home}."], **s), pick(r, ["The user asks about {s}. I know a little about them.", "{An} is {ac}."], **s))
    if k < .45 and sound != "no sound": return Ex(pick(r, ["What sound does {an} make?", "What does {an} say?", "What sound do {s} make?", "Which sound does {an} make?", "How does {an} sound?", "What noise does {an} make?", "Make the sound of {an}.", "What do {s} say?", "How do {s} talk?", "Sound of {an}?", "Do you know the sound of {an}?", "Which noise do {s} make?", "Speak like {an}.", "What will {an} tell me?", "Which sound comes from {an}?", "I hear {an}. How does it sound?", "Can you make the sound of {an}?"], **s), pick(r, ["{An} says {sound}.", "{An} goes {sound}.", "It goes {sound}."], **s), pick(r, ["The sound of {an} is {sound}."], **s))
    if k < .6: return Ex(pick(r, ["What is a baby {a} called?", "What do you call a baby {a}?", "What is the baby of {an}?", "What is a young {a} called?", "How do you call a young {a}?", "What are baby {s} called?", "What is the name for a young {a}?", "The baby of {an} is called?", "How are young {s} called?", "What is a little {a} called?", "Which word is used for a baby {a}?"], **s), pick(r, ["A baby {a} is called {ab}.", "A young {a} is called {ab}.", "It is called {ab}."], **s), pick(r, ["The young of {an} is {ab}."], **s))
    if k < .75: return Ex(pick(r, ["What do {s} eat?", "What does {an} eat?", "What do {s} like to eat?"], **s), pick(r, ["{As} eat {food}.", "They eat {food}."], **s), pick(r, ["The food of {s}: {food}."], **s))
    if k < .88: return Ex(pick(r, ["Where do {s} live?", "Where does {an} live?", "Where can I find {s}?"], **s), pick(r, ["{As} live {home}.", "You can find {s} {home}."], **s), pick(r, ["{As} live {home}."], **s))
    return Ex(*animal_class(r, a, s, cls))


def animal_class(r, a, s, cls):
    if r.random() < .4: return pick(r, ["What kind of animal is {an}?", "What type of animal is {an}?"], **s), pick(r, ["{An} is {ac}."], **s), pick(r, ["{An} is {ac}."], **s)
    g = r.choice(["mammal", "bird", "fish", "insect", "reptile"]) if r.random() < .5 else cls
    q = f"Is {an(a)} {an(g)}?"
    return q, f"Yes, {an(a)} is {an(cls)}." if g == cls else f"No, {an(a)} is {an(cls)}, not {an(g)}.", f"{cap(an(a))} is {an(cls)}."


OPPOSITES = "big small,hot cold,good bad,happy sad,fast slow,up down,left right,day night,light dark,open closed,old young,new old,rich poor,hard soft,wet dry,long short,tall short,high low,early late,easy difficult,full empty,loud quiet,strong weak,clean dirty,black white,near far,inside outside,first last,begin end,start stop,win lose,love hate,friend enemy,true false,right wrong,yes no,come go,give take,buy sell,push pull,ask answer,laugh cry,sweet sour,thick thin,wide narrow,deep shallow,heavy light,brave afraid,kind mean,lazy busy,beautiful ugly,summer winter,north south,east west,morning evening,north south,king queen,man woman,boy girl,top bottom,front back,always never,everything nothing,many few,more less,before after,above below,noisy silent,safe dangerous,cheap expensive,same different,awake asleep,alive dead,warm cool,smooth rough,sharp blunt,polite rude,smart stupid,simple complex,remember forget,find lose,build destroy,arrive leave,enter exit,float sink,whisper shout".split(",")
OPP = {}
for p in OPPOSITES:
    a, b = p.split(); OPP.setdefault(a, b); OPP.setdefault(b, a)


def opposite(r):
    w = r.choice(sorted(OPP))
    return Ex(pick(r, ["What is the opposite of {w}?", "What's the opposite of \"{w}\"?", "Tell me the opposite of {w}.", "Opposite of {w}?", "What is the opposite of the word {w}?", "Give me the opposite of {w}."], w=w), pick(r, ["The opposite of {w} is {o}.", "It is {o}.", "{O}."], w=w, o=OPP[w], O=cap(OPP[w])), f"The opposite of {w} is {OPP[w]}.", True)


def word(r):
    g = assets()["glosses"]
    w = r.choice(sorted(g)) if r.random() < .8 else r.choice([x for x in sorted(g) if g[x][1] in (5, 6, 13, 20)])
    if w in ANIMAL: return animal(r)
    pos, lex, d = g[w]
    count = lex in (4, 5, 6, 10, 11, 14, 15, 17, 18, 20, 28) and not w.endswith("s") and not d.startswith(("the ", "a collection"))
    if pos == "noun":
        q = ["What is {an}?", "What does {w} mean?", "What does \"{w}\" mean?", "What is the meaning of {w}?", "Define {w}.", "Explain the word {w}.", "What does the word {w} mean?"] if count else ["What is {w}?", "What does {w} mean?", "What does \"{w}\" mean?", "What is the meaning of {w}?", "Define {w}.", "What does the word {w} mean?"]
        a = ["{An} is {d}.", "{W} means {d}."] if count else ["{W} is {d}.", "{W} means {d}."]
        if lex == 18: a = ["{An} is {d}."]
        if not d.startswith(("a ", "an ", "the ", "any ", "some", "one ")): a = ["{W}: {d}.", "{W} means {d}."]
    elif pos == "verb": q, a = ["What does {w} mean?", "What does \"to {w}\" mean?", "What does it mean to {w}?", "Explain the word {w}.", "Define {w}."], ["To {w} means to {d}."]
    else: q, a = ["What does {w} mean?", "What does the word {w} mean?", "What is the meaning of {w}?", "Explain the word {w}.", "What does it mean to be {w}?"], ["{W} means {d}.", "If something is {w}, it is {d}."][:1]
    s = dict(w=w, W=cap(w), an=an(w), An=cap(an(w)), d=d)
    return Ex(pick(r, q, **s), pick(r, a, **s), pick(r, ["The user wants to know the meaning of {w}.", "I know the word {w}. I will explain it."], **s))


KIND = {"fruit": FRUITS, "vegetable": VEGETABLES, "colour": COLOURS, "job": JOBS, "animal": ANIMALS}
def category(r):
    """Is X a fruit? What kind of thing is X?"""
    k = r.choice(sorted(KIND)); x = r.choice(KIND[k])
    if r.random() < .35: return Ex(pick(r, ["What kind of thing is {x}?", "What is {x}?"] if k == "colour" else ["What kind of thing is {x}?"], x=x if k == "colour" else an(x)), f"{cap(x if k == 'colour' else an(x))} is {an(k)}.", f"{cap(x)} is {an(k)}.")
    other = r.choice([o for o in sorted(KIND) if o != k]) if r.random() < .5 else k
    if {k, other} == {"fruit", "colour"} or x in ("orange", "peach", "tomato", "cook", "pilot"): other = k
    y = x if k == "colour" else an(x)
    q = pick(r, ["Is {y} {o}?"], y=y, o=an(other))
    return Ex(q, f"Yes, {y} is {an(k)}." if other == k else f"No, {y} is {an(k)}, not {an(other)}.", f"{cap(y)} is {an(k)}.")


def indirect(q):
    """'What does a baker do?' -> 'what a baker does', for 'can you tell me ...'; None where no safe rule applies."""
    q = q.rstrip("?")
    m = re.match(r"(What|Who|Where|When) (is|was|are|were) ([\w' ]{2,40})$", q)
    if m and not re.search(r" (in|of|from|made|called|for|at) .*", " " + m[3] + " ") and len(m[3].split()) <= 4: return f"{m[1].lower()} {m[3]} {m[2]}"
    m = re.match(r"(Why|What|Where|How|When) (?:do|did) (\w+) (.+)$", q)
    if m and " did " not in q: return f"{m[1].lower()} {m[2]} {m[3]}"
    m = re.match(r"(Why|What|Where|How|When|How many \w+) does (an? \w+|it|the \w+) (\w+)(.*)$", q)
    if m:
        v = {"have": "has", "do": "does", "go": "goes"}.get(m[3]) or (m[3] + "es" if m[3].endswith(("sh", "ch", "ss", "x")) else m[3] + "s")
        return f"{m[1][0].lower() + m[1][1:]} {m[2]} {v}{m[4]}"
    m = re.match(r"Why (is|are) (the \w+|\w+) (.+)$", q)
    if m: return f"why {m[2]} {m[1]} {m[3]}"
    m = re.match(r"(Who|What|Which) (wrote|painted|invented|makes?|causes?|came|comes) (.+)$", q)
    if m: return f"{m[1].lower()} {m[2]} {m[3]}"
    m = re.match(r"How many (.+) (are|live) (.+)$", q)
    if m: return f"how many {m[1]} {m[2]} {m[3]}"
    return None


INDIRECT = ["Can you tell me {x}?", "Do you know {x}?", "Could you explain {x}?", "I want to know {x}.", "Tell me {x}.", "Could you tell me {x}?", "I would like to know {x}.", "Please explain {x}.", "Can you explain to me {x}?", "My daughter asks me {x}.", "I do not know {x}.", "I always wanted to know {x}.", "Do you have an idea {x}?", "Help me: {x}?", "I ask myself {x}.", "Say, {x}?", "please say {x}"]


def reworded(r, e, p=0.3):
    """The same question in an indirect form, where the grammar allows it."""
    x = indirect(e.user) if r.random() < p else None
    return e._replace(user=r.choice(INDIRECT).format(x=x)) if x else e


def reframed(r, q):
    """Frames that ask the same thing with other words, by pattern; None where no rule applies."""
    b = q.rstrip("?")
    m = re.match(r"How many (\w+) (?:are in|does|do|are there in) (.+?)(?: have| got)?$", b)
    if m: return r.choice(["How many {0} make {1}?", "{C} has how many {0}?", "What is the number of {0} in {1}?", "How many {0} can I count in {1}?", "Tell me the number of {0} in {1}.", "How many {0} are there in {1}?", "Say how many {0} {1} has.", "How many {0} fit in {1}?"]).format(m[1], m[2], C=cap(m[2]))
    m = re.match(r"(?:What|Which \w+) is the (biggest|smallest|largest|longest|highest|tallest|fastest|hottest|slowest) (.+)$", b)
    if m:
        w = r.choice({"biggest": ["largest", "biggest"], "largest": ["biggest", "largest"]}.get(m[1], [m[1]]))
        return r.choice(["Which {1} is the {0} one?", "Name the {0} {1}.", "Tell me the {0} {1}.", "What is the name of the {0} {1}?", "The {0} {1}, which one is it?", "Which is the {0} {1} of all?", "Is there one {1} that is the {0}?"]).format(w, m[2])
    m = re.match(r"What (?:color|colour) (?:is|are) (.+)$", b)
    if m: return r.choice(["Which colour has {0}?", "{C} has what colour?", "Tell me the colour of {0}.", "What is the color of {0}?", "The colour of {0}?"]).format(m[1], C=cap(m[1]))
    m = re.match(r"Why (is|are) (the \w+|\w+) (\w+)$", b)
    if m: return r.choice(["What makes {1} {2}?", "How come {1} {0} {2}?", "What is the reason that {1} {0} {2}?", "{C} {0} {2}, but why?", "Why {0} {1} so {2}?", "Explain why {1} {0} {2}."]).format(m[1], m[2], m[3], C=cap(m[2]))
    m = re.match(r"Who (wrote|painted|invented) (.+)$", b)
    if m: return r.choice(["{1} was {0} by whom?", "Which person {0} {1}?", "What is the name of the person who {0} {1}?", "Do you know who {0} {1}?"]).format({"wrote": "wrote", "painted": "painted", "invented": "invented"}[m[1]], m[2]) if m[1] != "wrote" else r.choice(["Which person wrote {0}?", "What is the name of the writer of {0}?", "{0} was written by whom?", "Who is the writer of {0}?"]).format(m[2])
    m = re.match(r"What comes after (\w+)$", b)
    if m: return r.choice(["What follows after {0}?", "{0} is over. What is next?", "What is next after {0}?"]).format(m[1])
    m = re.match(r"What do (\w+) eat$", b)
    if m: return r.choice(["What kind of food do {0} eat?", "Which food do {0} like?", "What is the food of {0}?", "{C} eat what?"]).format(m[1], C=cap(m[1]))
    m = re.match(r"(Can|Do|Are|Is) (\w+|a \w+) (\w+|a \w+)$", b)
    if m: return r.choice(["Tell me, {0} {1} {2}?", "So, {0} {1} {2} or not?", "{C} {1} {2}, yes or no?"]).format(m[1].lower(), m[2], m[3], C=m[1])
    m = re.match(r"What is (.+)$", b)
    if m: return r.choice(["What can you say about {0}?", "What is {0}, in short?", "What exactly is {0}?", "What is {0} again?", "So what is {0}?", "{C}: what is that?"]).format(m[1], C=cap(m[1]))
    return None


WRAP = ["", "", "", "", "", "", "", "", "Question: ", "I have a question. ", "Tell me: ", "My son asks: ", "Quick question: ", "I wonder: ", "Here is a question: ", "I want to know: ", "Do you know this? "]


def world(r):
    q, a, _ = r.choice(qa("qa_world.txt"))
    user, ans = pick(r, q), pick(r, a)
    other = reframed(r, user) if r.random() < .3 else None
    if other: return Ex(other, ans, pick(r, ["I know the answer to this one.", "The question is: {u}"], u=other))
    x = indirect(user) if r.random() < .3 else None
    if x: return Ex(r.choice(INDIRECT).format(x=x), ans, pick(r, ["The user asks {x}. I know this.", "I can explain {x}.", "The question is {x}."], x=x))
    return Ex(r.choice(WRAP) + user if r.random() < .5 else user, ans, pick(r, ["The user asks a question about the world. I know this.", "I know the answer to this one.", "The user wants to know: {u} I will explain it simply.", "The question is: {u}"], u=user))


def question(r):
    k = r.random()
    if k < .42: return world(r)
    if k < .60: return reworded(r, country(r)[0])
    if k < .75: return reworded(r, animal(r))
    if k < .89: return reworded(r, word(r), 0.15)
    if k < .92: return opposite(r)
    if k < .945: return state(r)
    if k < .97: return element(r)
    return category(r)
