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
cache=build/cache/clients
scripts/npm_tests.sh tests/clients $cache
GEMMA4_SOURCE=$PWD
export GEMMA4_SOURCE
cd $cache
GEMMA4_PROGRAM=$program exec node --test --test-concurrency=1 --test-timeout=120000 .
