#!/bin/sh
# Drives the page at / in headless Chromium (Debian's; npm's playwright-core and axe-core; needs
# node and, the first time, a network).
#
#   scripts/test_page.sh [PROGRAM]                        default: build/ci/gemma4
#   scripts/test_page.sh --screenshots FOLDER [PROGRAM]   only takes the pictures of docs/
#
# Exits with 77 and a reason when there is no browser or no node.
set -eu
cd "$(dirname "$0")/.."
screenshots=
if [ "${1:-}" = --screenshots ]; then
  screenshots=$(realpath "$2")
  shift 2
fi
program=$(realpath "${1:-build/ci/gemma4}")
cannot() {
  echo "test_page: skipped: $*" >&2
  exit 77
}
CHROMIUM=$(command -v "${CHROMIUM:-chromium}") || cannot "there is no chromium"
export CHROMIUM
cache=build/cache/page
scripts/npm_tests.sh tests/page $cache
cp tests/clients/server.mjs $cache/
cd $cache
export GEMMA4_PROGRAM="$program"
if [ -n "$screenshots" ]; then
  SCREENSHOTS=$screenshots exec node screenshots.mjs
fi
exec node --test --test-concurrency=1 --test-timeout=60000 .
