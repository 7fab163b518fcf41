"""Writes src/text/letter_case_tables.inc: Unicode's full case mappings as Python knows them.

    python3 tools/unicode/make_letter_case.py > src/text/letter_case_tables.inc

The reference renders chats with Python's str.lower() and str.upper(), so Python is the source.
"""

import sys
import unicodedata

CODE_POINTS = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]


def print_rows(name, type_name, comment, rows):
    print(f"\n// {comment}\nconstexpr {type_name} {name}[] = {{")
    line = "   "
    for row in rows:
        if len(line) + 1 + len(row) > 99:
            print(line)
            line = "   "
        line += " " + row
    print(line + "\n};")


def print_mapping(name, mapping):
    """Simple mappings as ranges of every or every other code point, the others one by one."""
    ranges, full = [], []
    for c in CODE_POINTS:
        mapped = [ord(m) for m in mapping(chr(c))]
        if mapped == [c]:
            continue
        if len(mapped) > 1:
            full.append((c, mapped + [0] * (3 - len(mapped))))
            continue
        delta = mapped[0] - c
        if ranges:
            last = ranges[-1]
            step = c - last[1]
            if delta == last[3] and step <= 2 and last[2] in (0, step):
                last[1], last[2] = c, step
                continue
        ranges.append([c, c, 0, delta])
    rows = [f"{{0x{a:X}, 0x{b:X}, {max(step, 1)}, {d}}}," for a, b, step, d in ranges]
    print_rows(f"k{name}Ranges", "CaseRange", "first, last, step, distance to the mapped", rows)
    rows = [f"{{0x{c:X}, {{" + ", ".join(f"0x{m:X}" for m in to) + "}}," for c, to in full]
    print_rows(f"k{name}Full", "FullMapping", "those that become several; 0 fills up", rows)


def print_property(name, comment, has):
    ranges = []
    for c in CODE_POINTS:
        if not has(chr(c)):
            continue
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    print_rows(name, "CodePointRange", comment, [f"{{0x{a:X}, 0x{b:X}}}," for a, b in ranges])


# Python does not show these two properties, but its rule for the final sigma depends on them.
def is_case_ignorable(c):
    return ("A" + c + "\u03a3").lower()[-1] == "\u03c2" and not is_cased(c)


def is_cased(c):
    return ("1" + c + "\u03a3").lower()[-1] == "\u03c2"


print(f"// Unicode {unicodedata.unidata_version}. Written by tools/unicode/make_letter_case.py.")
print_mapping("Lower", str.lower)
print_mapping("Upper", str.upper)
print_property("kCasedRanges", "cased and not ignorable", is_cased)
print_property("kCaseIgnorableRanges", "skipped when looking around a sigma", is_case_ignorable)
