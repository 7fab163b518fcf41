#!/bin/sh
# Fetches the npm packages of a folder of tests, once, and puts its files beside them.
#
#   scripts/npm_tests.sh FOLDER CACHE       package.json, package-lock.json and *.mjs of FOLDER to CACHE
#
# Exits with 77 and a reason when there is no node 20, or npm cannot fetch.
set -eu
cd "$(dirname "$0")/.."
folder=$1
cache=$2
cannot() {
  echo "npm_tests: skipped: $*" >&2
  exit 77
}
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null ||
  cannot "$folder needs node 20 or later, here is $(node --version 2>/dev/null || echo none)"

mkdir -p "$cache"
if ! cmp -s "$folder/package-lock.json" "$cache/installed-lock.json"; then
  cp "$folder/package.json" "$folder/package-lock.json" "$cache/"
  (cd "$cache" && npm ci --silent --ignore-scripts --no-audit --no-fund) ||
    cannot "npm cannot fetch the packages of $folder (no network?)"
  cp "$folder/package-lock.json" "$cache/installed-lock.json"
fi
rm -f "$cache"/*.mjs
cp "$folder"/*.mjs "$cache/"
