#!/bin/sh
# Fails on words that do not belong where they stand:
#   - names of devices and instruction sets, and #if on one, above src/kernels: there only the kernel
#     table knows where it runs;
#   - the same small word written twice in a row;
#   - a TODO without the number of an issue.
set -eu
cd "$(dirname "$0")/.."
failed=0

# check WHAT PATTERN FILE...: prints the matches, if any.
check() {
  what=$1
  pattern=$2
  shift 2
  [ $# -gt 0 ] || return 0
  if grep -nHiE -e "$pattern" "$@"; then
    echo "  ^ $what" >&2
    failed=1
  fi
}

# The resampler's vectors are compiled once per instruction set, like kernels.
above=$(find src -type f \( -name '*.h' -o -name '*.cc' \) ! -path 'src/kernels/*' ! -path 'src/base/*' \
  ! -path 'src/media/image_resize_rows.cc')
all=$(find src apps tests bench fuzz scripts docs cmake -type f \( -name '*.h' -o -name '*.cc' \
  -o -name '*.cu' -o -name '*.cuh' -o -name '*.md' -o -name '*.sh' -o -name '*.cmake' \) 2>/dev/null |
  grep -v '^scripts/check_words.sh$')
top=$(ls -- *.md Makefile CMakeLists.txt 2>/dev/null || true)

# shellcheck disable=SC2086  # file names here have no spaces
{
  check 'a device or instruction set is named above src/kernels' \
    '(^|[^a-z])(cuda|avx|neon)' $above
  check '#if on a device above src/kernels' \
    '^[[:space:]]*#[[:space:]]*(el)?if.*(__(x86_64|amd64|i386|aarch64|arm|sse|nv)|_m_x64|hwy_)' $above
  check 'a word is doubled' \
    '(^|[^[:alnum:]_])(a|an|and|are|as|at|be|by|for|from|has|in|is|it|not|of|on|or|that|the|then|this|to|was|which|with) \2([^[:alnum:]_]|$)' \
    $all $top
  check 'a TODO needs the number of an issue: TODO(#12)' \
    '(^|[^[:alnum:]_])(todo|fixme)([^(]|\([^#]|$)' $(printf '%s\n' $all | grep -v '\.md$')
}
exit $failed
