#!/bin/sh
# Holds GGUF files against programs and files of others (npm; needs node):
#   - what `convert` writes of the goldens, projectors too, is read by @huggingface/gguf;
#   - the vocabulary files of 18 other models are each refused by name in one line.
#
#   scripts/check_gguf.sh [PROGRAM]        default: build/ci/gemma4
#
# Exit status: 0 when all of it holds, 1 with the reason.
set -eu
cd "$(dirname "$0")/.."
program=${1:-build/ci/gemma4}
cache=build/cache/huggingface-gguf

if [ ! -d $cache/node_modules/@huggingface/gguf ]; then
  mkdir -p $cache
  (cd $cache && echo '{"private":true}' >package.json &&
    npm install --silent --ignore-scripts @huggingface/gguf@0.4.6)
fi
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
for model in tiny-e tiny-12b tiny-26b tiny-31b; do
  "$program" convert tests/golden/$model "$files/$model.gguf" --synthetic-vocabulary >/dev/null
done
node scripts/check_gguf.mjs $cache "$files"/*.gguf

scripts/fetch_vocabulary.sh
for file in build/cache/vocabulary/other-models/*.gguf; do
  if said=$("$program" info "$file" 2>&1); then
    echo "check_gguf: $file was taken for a Gemma 4 model" >&2
    exit 1
  fi
  echo "$said"
  case $said in
  *"
"*) echo "check_gguf: more than one line" >&2 && exit 1 ;;
  *' model, not a Gemma 4 model (gemma4)') ;;
  *) echo "check_gguf: it does not say what the file is" >&2 && exit 1 ;;
  esac
done
