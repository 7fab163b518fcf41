#!/bin/sh
# Fetches the official test suite of JSON Schema that src/constrain/schema_suite_test.cc reads.
#
#   scripts/fetch_schema_suite.sh [FOLDER]        default: build/cache/json-schema-suite
#
# Takes it from the Debian package libtest-json-schema-acceptance-perl (licence: Expat), which is
# unpacked and not installed. Does nothing when FOLDER is there. Exit status: 0 done, 1 with the
# reason on stderr. Nothing it fetches is part of this project, and none of it may be committed.
set -eu

folder=${1:-$(cd "$(dirname "$0")/.." && pwd)/build/cache/json-schema-suite}
package=libtest-json-schema-acceptance-perl

[ -d "$folder/tests/draft2020-12" ] && exit 0

fail() {
  echo "fetch_schema_suite: $*" >&2
  exit 1
}

for tool in apt-get dpkg; do
  command -v $tool >/dev/null 2>&1 || fail "'$tool' is not installed; the suite's tests will be skipped"
done

mkdir -p "$folder"
work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
(cd "$work" && apt-get -qq download $package 2>apt.log) ||
  fail "apt-get cannot fetch $package (no network?): $(tail -n 1 "$work/apt.log")"
dpkg -x "$work"/$package*.deb "$work/unpacked" || fail "cannot unpack $package"
suite=$work/unpacked/usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance
[ -d "$suite/tests/draft2020-12" ] || fail "$package does not hold tests/draft2020-12"
rm -rf "$folder/tests" "$folder/remotes"
mv "$suite/remotes" "$folder/remotes"
mv "$suite/tests" "$folder/tests"
