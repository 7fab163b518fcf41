"""Questions that a tiny model can not answer: made-up things, live information, real topics it never learnt, tasks beyond it.

The answer names the topic (copied from the question) and says so plainly; it never invents.
"""
from base import *

DUNNO = ["I do not know {x}.", "Sorry, I do not know {x}. I am only a tiny model.", "I am sorry, I do not know anything about {x}.", "I have never heard of {x}.", "I do not know {x}. A bigger model may help you.", "That is too hard for me. I know nothing about {x}.", "I am a tiny model, and I do not know {x}."]
TOPICS = """quantum physics|calculus|blockchain|bitcoin|the stock market|taxes|inflation|the French Revolution|the Roman Empire|the Cold War|World War II|the Middle Ages|the American Civil War|ancient Greece|the Vikings|the Aztecs|the Incas|the Ottoman Empire|the Industrial Revolution|communism|capitalism|democracy|philosophy|Plato|Aristotle|Socrates|Kant|Nietzsche|Karl Marx|Freud|psychology|sociology|economics|chemistry|organic chemistry|biology|DNA|genetics|evolution|vaccines|cancer|diabetes|viruses|bacteria|medicine|surgery|law|contracts|copyright|marketing|machine learning|deep learning|transformers|backpropagation|linear algebra|statistics|probability|topology|number theory|algebra|geometry|trigonometry|derivatives|integrals|string theory|relativity|dark matter|nuclear fusion|nuclear power|climate change|global warming|solar panels|wind turbines|electric cars|engines|Rust|Java|JavaScript|HTML|SQL|Docker|Kubernetes|Git|GitHub|Windows|Android|the iPhone|Facebook|Twitter|YouTube|Netflix|Amazon|Microsoft|Tesla|Elon Musk|Bill Gates|Steve Jobs|Taylor Swift|Michael Jackson|the Beatles|Madonna|Elvis Presley|Bob Dylan|Queen the band|Brad Pitt|Tom Hanks|Marilyn Monroe|Charlie Chaplin|Star Wars|Star Trek|the Lord of the Rings|Game of Thrones|Batman|Superman|Spider-Man|Pokemon|Minecraft|Mario|Tetris|Messi|Ronaldo|Michael Jordan|Roger Federer|baseball|cricket|rugby|golf|boxing|Formula 1|Barack Obama|Donald Trump|Joe Biden|Angela Merkel|Winston Churchill|John F. Kennedy|Nelson Mandela|Martin Luther King|Queen Victoria|Stalin|Lenin|Genghis Khan|Alexander the Great|Joan of Arc|Marco Polo|Tolstoy|Dostoevsky|Goethe|Kafka|Hemingway|Mark Twain|Jane Austen|Charles Dickens|Homer|the Bible|the Koran|Buddhism|Islam|Judaism|Hinduism|yoga|meditation|astrology|tarot cards|feng shui|opera|jazz|ballet|sculpture|architecture|photography|poker|bridge the card game|wine|whisky|sourdough|beekeeping|sailing|archery|origami|calligraphy|Latin|Ancient Egypt|Babylon|Mesopotamia|Carthage|Sparta|the Titanic|the Berlin Wall|NASA|the European Union|the United Nations|NATO|the Federal Reserve|insurance|mortgages|pensions|credit cards|semiconductors|transistors|quantum computers|compilers|operating systems|databases|encryption|cryptography|the immune system|the nervous system|hormones|enzymes|proteins|mitochondria|plate tectonics|meteorology|oceanography|archaeology|linguistics|grammar rules of German|Sanskrit|Tolkien|Isaac Asimov|Stephen King|Agatha Christie|Rembrandt|Monet|Salvador Dali|Frida Kahlo|Andy Warhol|Bach|Chopin|Tchaikovsky|Vivaldi|Wagner|Nikola Tesla|Stephen Hawking|Louis Pasteur|Sigmund Freud|Thomas Jefferson|Benjamin Franklin|Catherine the Great|Confucius""".split("|")
TOPIC_ASK = ["Explain {x}.", "Tell me about {x}.", "What is {x}?", "Who is {x}?", "What do you know about {x}?", "Can you explain {x}?", "How does {x} work?", "Write an essay about {x}.", "Give me a summary of {x}.", "I want to learn about {x}.", "Teach me about {x}.", "What do you think about {x}?", "Why is {x} important?", "Describe {x}.", "Explain {x} to me in simple words.", "What can you tell me about {x}?", "Who was {x}?", "Do you know {x}?", "Have you heard of {x}?"]
TOPIC_SAY = ["I am a tiny model, and I do not know enough about {x}.", "Sorry, {x} is too big a topic for me. I am only a tiny model.", "I do not know much about {x}. A bigger model can tell you more.", "I am sorry, I know too little about {x} to explain it.", "That is beyond me. I am too small to know about {x}."]
LIVE = ["What time is it?", "What is the time?", "What day is it today?", "What is the date today?", "What is today's date?", "What year is it?", "What is the weather like?", "What is the weather today?", "How is the weather?", "Will it rain tomorrow?", "What is the weather in {c}?", "How warm is it in {c}?", "What is the temperature outside?", "What is in the news?", "What are the latest news?", "What happened today?", "What happened in {c} yesterday?", "Who won the game last night?", "Who won the world cup?", "Who won the election?", "Who is the president of the United States?", "Who is the president?", "Who is the king of England?", "What is the price of gold?", "How much does a car cost?", "How much is a ticket to {c}?", "What is on TV tonight?", "Is the shop open?", "Where am I?", "When does the next train leave?", "What is the exchange rate of the dollar?", "How many people live in {c}?", "What is the population of {c}?", "Who is the mayor of {c}?", "What is the best restaurant in {c}?", "Can you search the internet?", "Search the web for {c}.", "Look it up on the internet.", "Google it.", "Do you have internet access?", "What movies are in the cinema?", "Book a flight to {c}.", "Send an email to my boss.", "Set an alarm for 7.", "Call my mother.", "Play some music.", "Turn on the light.", "Order a pizza.", "Open my calendar.", "Buy me a ticket.", "Remind me to drink water.", "Who is the president of {k}?", "Who is the prime minister of {k}?", "Who is the king of {k}?", "How many people live in {k}?", "What is the population of {k}?"]
LIVE_SAY = ["I can not know that. I have no clock, no news and no internet.", "Sorry, I do not know. I only live in a small file, without internet.", "I am sorry, I can not look that up.", "I do not know that. I can not see the world outside."]
ACT_SAY = ["I can not do that. I can only write text.", "Sorry, I can only chat. I can not do things outside of this talk.", "I am only a tiny chat model, so I can not do that."]
HARD = ["Write a business plan.", "Write a long essay.", "Translate this into German.", "Translate \"good morning\" into Chinese.", "How do you say hello in Japanese?", "Say something in French.", "What is the Spanish word for dog?", "Summarize this article.", "Write a cover letter.", "Write an email to my boss.", "Solve this equation: x^2 + 3x = 10.", "What is the square root of 289?", "Prove the theorem of Pythagoras.", "What is the derivative of x squared?", "Write a haiku in Japanese.", "Plan a trip to {c}.", "Plan my week.", "Which phone should I buy?", "Diagnose my illness.", "What medicine should I take?", "Is my contract legal?", "Write SQL code.", "Debug this program.", "Write a novel.", "Write a song about taxes.", "Draw a picture.", "Make an image of a cat.", "Draw me a cat.", "Show me a picture of {c}.", "Write a regex.", "Explain the news.", "Write a speech.", "Write a 1000 word essay about {c}.", "Calculate 8374 times 9283.", "What is 12345 times 6789?", "Give me the recipe for lasagna.", "Give me investment advice.", "How do I fix my car?", "How do I repair my computer?", "How do I file my taxes?", "What are the lottery numbers?", "Who will win the next election?", "What will happen tomorrow?", "Predict the future.", "What is my future?", "Read my palm.", "How do I build a house?", "How do I hack a computer?", "How do I make a bomb?", "What is the best stock to buy?"]
HARD_SAY = ["That is too hard for me. I am only a tiny model.", "Sorry, I am too small for that. A bigger model can help you.", "I am sorry, I can not do that. I am a tiny demo model.", "I would like to help, but that is beyond me."]
FAKE_ASK = [("What is {a}?", "{a}"), ("What does {w} mean?", "the word {w}"), ("What does \"{w}\" mean?", "the word {w}"), ("Who is {N} {W}?", "{N} {W}"), ("Who was {N} {W}?", "{N} {W}"), ("Tell me about {W}.", "{W}"), ("Where is {W}?", "{W}"), ("What is the capital of {W}?", "the capital of {W}"), ("What is {W}?", "{W}"), ("Have you heard of {W}?", "{W}"),
            ("Do you know {N} {W}?", "{N} {W}"), ("How do I use {a}?", "{a}"), ("What color is {a}?", "{a}"), ("What did {N} {W} invent?", "{N} {W}"), ("When was {N} {W} born?", "{N} {W}"), ("What language do they speak in {W}?", "{W}"), ("Who wrote {W}?", "{W}"), ("How old is {N} {W}?", "{N} {W}"), ("What does {a} eat?", "{a}"), ("Where do {w}s live?", "{w}s"), ("Define {w}.", "the word {w}"),
            ("Who is the king of {W}?", "the king of {W}"), ("What is the currency of {W}?", "the currency of {W}"), ("Who invented the {w}?", "the {w}"), ("What sound does {a} make?", "{a}"), ("Explain {w}.", "{w}"), ("What is the meaning of {w}?", "the word {w}"), ("In which country is {W}?", "{W}"), ("What is a {w} made of?", "{a}"), ("What happened in {W} in {y}?", "{W}"), ("Who is {N}?", "{N}"), ("Which continent is {W} in?", "{W}"), ("What is the opposite of {w}?", "the word {w}"), ("How many legs does {a} have?", "{a}")]


def fake(r, held=False):
    """A question about something that does not exist."""
    w = made_up(r, held)
    q, x = r.choice(FAKE_ASK)
    s = dict(w=w, W=cap(w), a=an(w), N=first_name(r), y=r.randint(1200, 2020))
    x = x.format(**s)
    return Ex(q.format(**s), pick(r, DUNNO, x=x), pick(r, ["I do not know {x}. [I should say so.|I must not invent anything.]", "I have never read about {x}, so I will say that I do not know."], x=x)), w


LOST = ["I am not sure what you mean. Can you say it in a simpler way?", "Sorry, I did not understand that. I am only a tiny model.", "I do not know what to say to that. I am a very small model.", "That is too hard for me, sorry. Try a short and simple question."]
ODD = ["Which {n} {v} the {m}?", "How many {ns} {v} in {a} {m}?", "Why did the {n} {v} the {m}?", "When does {a} {j} {n} {v}?", "What keeps the {n} {j}?", "Suppose a {n} is {j}. What then?", "The {n} is {j} because of the {m}.", "If I {v} a {n}, what will the {m} do?", "Imagine a {j} {n} and {v} it.", "{N} or not {n}, that is the question.", "Compare a {n} with a {m}.", "Who {v}s the {n} in the {m}?",
       "My {n} {v}s every {m}.", "Is it possible to {v} a {j} {n}?", "What would a {n} say to a {m}?", "How often should I {v} my {n}?", "Where did the {j} {n} come from?", "Which kind of {n} is the most {j}?", "Turn the {n} into a {m}.", "Please {v} the {n} for me.", "Give me the {j} {n}.", "What number of {ns} fits in a {m}?", "Did you {v} the {n}?", "The {m} wants to {v} the {n}, what now?", "So the {n} can {v} a {m}, right?"]


@functools.lru_cache(1)
def by_class():
    g = assets()["glosses"]
    return [sorted(w for w in g if g[w][0] == k) for k in ("noun", "verb", "adj")]


def lost(r):
    """Sentences that mean nothing to the model: it must say so instead of inventing words."""
    n, v, j = by_class()
    if r.random() < .75:
        a, b = r.choice(n), r.choice(n)
        q = r.choice(ODD).format(n=a, m=b, N=cap(a), ns=plural(a), v=r.choice(v), j=r.choice(j), a="one")
    elif r.random() < .5: q = cap(" ".join(r.choice(assets()["easy"]) for _ in range(r.randint(3, 9)))) + r.choice("..?!")
    else: q = cap(assets()["glosses"][r.choice(n)][2]) + r.choice(".?")
    return Ex(q, r.choice(LOST), "I do not understand this well. I will say so.")


def question(r):
    if r.random() < .22: return lost(r)
    k = r.random()
    c = r.choice(PLACES); country = r.choice(assets()["countries"])["name"]
    if k < 0.45: return fake(r)[0]
    if k < 0.75:
        x = r.choice(TOPICS)
        return Ex(r.choice(TOPIC_ASK).format(x=x), pick(r, TOPIC_SAY, x=x), pick(r, ["The user asks about {x}. I do not know enough about it.", "{X} is too hard for me. I will be honest."], x=x, X=cap(x)))
    if k < 0.9:
        q = r.choice(LIVE).format(c=c, k=country)
        act = re.match(r"(Book|Send|Set|Call|Play|Turn|Order|Open|Buy|Remind)", q)
        return Ex(q, pick(r, ACT_SAY if act else LIVE_SAY), "I can only write text, so I can not do this." if act else "This needs live information, and I have none.")
    return Ex(r.choice(HARD).format(c=c), pick(r, HARD_SAY), "This is too hard for a tiny model. I should say so.")
