#!/bin/sh
# Holds random constrained answers against an independent validator, ajv (npm; needs node).
#
#   scripts/check_samples.sh [BUILD_FOLDER]        default: build/ci
#
# Samples come from constrain_test. Exit status: 0 all are valid, 1 with the reason.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/ci}
cache=build/cache/ajv

scripts/fetch_schema_suite.sh
if [ ! -d $cache/node_modules/ajv ]; then
  mkdir -p $cache
  (cd $cache && echo '{"private":true}' >package.json &&
    npm install --silent --ignore-scripts ajv@8.20.0 ajv-formats@3.0.1)
fi
samples=$(mktemp)
trap 'rm -f "$samples"' EXIT
GEMMA4_SAMPLES=$samples "$build/src/constrain/constrain_test" --gtest_filter='Samples.*' --gtest_brief=1
node scripts/check_samples.mjs $cache build/cache/json-schema-suite/tests/draft2020-12 "$samples"
