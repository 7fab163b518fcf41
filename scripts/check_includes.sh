#!/bin/sh
# Fails on an #include that points upward: from a folder of src/ to one that it may not know.
#
#   scripts/check_includes.sh [ROOT]        default: the repository
#
# This table is the rule; docs/architecture.md draws it. `folder: what it may include`, where an entry
# is a folder or one header. A test (*_test.cc) may also include kernels/registry.h, to have kernels.
set -eu
cd "${1:-$(dirname "$0")/..}"

rules='
base:
json:    base
io:      base
text:    base io
media:   base io
quant:   base
kernels: base quant
ops:     base quant kernels/table.h kernels/device.h
model:   base io quant ops kernels/device.h
chat:      base json text
constrain: base json text
engine:  base text model ops kernels/table.h kernels/device.h kernels/registry.h
train:   base io text model ops
answer:  base json media text model chat constrain engine kernels/registry.h
http:    base io
serve:   base json io media text model chat constrain engine answer http
'

find src apps -type f \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) 2>/dev/null | sort |
  xargs awk -v rules="$rules" '
  BEGIN {
    count = split(rules, lines, "\n")
    for (i = 1; i <= count; ++i) {
      fields = split(lines[i], words, " ")
      if (fields == 0) continue
      folder = words[1]
      sub(":", "", folder)
      known[folder] = 1
      for (j = 2; j <= fields; ++j) allowed[folder, words[j]] = 1
    }
  }
  function complain(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    failed = 1
  }
  FNR == 1 {
    split(FILENAME, path, "/")
    from = path[1] == "apps" ? "apps" : path[2]
    if (from != "apps" && !(from in known)) complain("folder src/" from " has no rule in check_includes.sh")
  }
  /^[ \t]*#[ \t]*include[ \t]*"/ {
    header = $0
    sub(/^[^"]*"/, "", header)
    sub(/".*/, "", header)
    to = header
    sub(/\/.*/, "", to)
    if (from == "apps" && (to in known || to == "apps")) next
    if (!(to in known)) {
      complain("\"" header "\": write paths from src/, and third-party headers in <>")
    } else if (from != to && !((from, to) in allowed) && !((from, header) in allowed) &&
               !(FILENAME ~ /_test\.cc$/ && header == "kernels/registry.h")) {
      complain("src/" from " may not include \"" header "\"")
    }
  }
  END { exit failed }
'
