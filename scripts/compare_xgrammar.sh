#!/bin/sh
# Compares the times of constrained decoding with @mlc-ai/web-xgrammar (npm; needs node), on the same
# vocabulary, schemas and answers, one after the other. docs/performance/README.md has the result.
#
#   scripts/compare_xgrammar.sh [BENCH_PROGRAM]    default: build/bench/bench/constrain_bench
set -eu
cd "$(dirname "$0")/.."
bench=${1:-build/bench/bench/constrain_bench}
cache=build/cache/xgrammar

scripts/fetch_vocabulary.sh
if [ ! -d $cache/node_modules/@mlc-ai ]; then
  mkdir -p $cache
  (cd $cache && echo '{"private":true}' >package.json &&
    npm install --silent --ignore-scripts @mlc-ai/web-xgrammar@0.1.27)
fi
cases=$(mktemp)
trap 'rm -f "$cases"' EXIT
GEMMA4_CONSTRAIN_CASES=$cases "$bench" --benchmark_min_time=0.2
node scripts/compare_xgrammar.mjs $cache "$cases"
