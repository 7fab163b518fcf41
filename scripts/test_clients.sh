#!/bin/sh
# Runs the clients of tests/clients (npm; needs node and, the first time, a network) against the
# server.
#
#   scripts/test_clients.sh [PROGRAM]       default: build/ci/gemma4
#
# Exits with 77 and a reason when the clients cannot run here at all.
set -eu
cd "$(dirname "$0")/.."
program=$(realpath "${1:-build/ci/gemma4}")
cannot() {
  echo "test_clients: skipped: $*" >&2
  exit 77
}
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null ||
  cannot "the clients need node 20 or later, here is $(node --version 2>/dev/null || echo none)"
cache=build/cache/clients

mkdir -p $cache
if ! cmp -s tests/clients/package-lock.json $cache/installed-lock.json; then
  cp tests/clients/package.json tests/clients/package-lock.json $cache/
  (cd $cache && npm ci --silent --ignore-scripts --no-audit --no-fund) ||
    cannot "npm cannot fetch the clients (no network?)"
  cp tests/clients/package-lock.json $cache/installed-lock.json
fi
cp tests/clients/*.mjs $cache/
cd $cache
GEMMA4_PROGRAM=$program exec node --test --test-concurrency=1 --test-timeout=120000 .
