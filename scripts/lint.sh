#!/usr/bin/env bash
# Everything that is checked without running the program. `make lint` calls it.
#
#   scripts/lint.sh BUILD_FOLDER        a configured build, for its compile_commands.json
#
# Runs all checks even if one fails; exit status 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: scripts/lint.sh BUILD_FOLDER}
jobs=$(nproc)
failed=0

mapfile -t sources < <(find src apps tests bench fuzz -type f \
  \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) 2>/dev/null | sort)

# stage NAME COMMAND...
stage() {
  local name=$1 start=$SECONDS
  shift
  if "$@"; then
    printf 'lint: %-22s ok (%d s)\n' "$name" $((SECONDS - start))
  else
    printf 'lint: %-22s FAILED (%d s)\n' "$name" $((SECONDS - start))
    failed=1
  fi
}

check_format() { clang-format-14 --dry-run -Werror "${sources[@]}"; }

# A header must compile alone. Highway's *-inl.h are compiled once per instruction set, by their user.
check_headers() {
  find src -name '*.h' ! -name '*-inl.h' -printf '%P\n' | sort | xargs -P "$jobs" -I{} \
    sh -c 'echo "#include \"$1\"" | g++ -std=c++20 -Wall -Wextra -Wno-missing-field-initializers -Werror -fsyntax-only -Isrc \
             -x c++ - ||
           { echo "src/$1 does not compile alone" >&2; exit 1; }' sh {}
}

# Tests are left out: their macros take most of the time and are not ours. So is the source that
# Highway compiles once per instruction set.
check_tidy() {
  find src apps -name '*.cc' ! -name '*_test.cc' ! -path 'src/kernels/cpu/*' 2>/dev/null | sort |
    xargs -P "$jobs" -n 4 clang-tidy-14 -p "$build" --quiet --warnings-as-errors='*' \
      --extra-arg=-Wno-unknown-warning-option 2> >(grep -v 'warnings generated\|^$' >&2)
}

stage 'format' check_format
stage 'include direction' scripts/check_includes.sh
stage 'words' scripts/check_words.sh
stage 'headers compile alone' check_headers
stage 'clang-tidy' check_tidy
exit $failed
