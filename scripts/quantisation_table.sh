#!/usr/bin/env bash
# Prints the table of docs/quantisation.md: size and divergence of every type, without and with an
# importance matrix.
#
#   scripts/quantisation_table.sh PROGRAM [MODEL] [MATRIX_TEXT] [TEXT]
#
# The matrix is gathered from MATRIX_TEXT, the divergence measured on TEXT.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:?usage: scripts/quantisation_table.sh PROGRAM [MODEL] [MATRIX_TEXT] [TEXT]}
model=${2:-models/demo}
matrix_text=${3:-tests/text/stories-a.txt}
text=${4:-tests/text/stories-b.txt}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# field NAME < JSON: the first number with that name.
field() { sed -n "s/^ *\"$1\": \([-0-9.e]*\),\{0,1\}$/\1/p" | head -n 1; }

# row NAME FILE
row() {
  local json
  json=$("$program" eval "$2" --text "$text" --baseline "$model" --json)
  LC_ALL=C printf '| %s | %.2f MB | %.5f ± %.5f | %.4f | %.2f %% | %.4f |\n' "$1" \
    "$(stat -c %s "$2" | awk '{ print $1 / 1e6 }')" \
    "$(field mean <<<"$json")" "$(field mean_error <<<"$json")" "$(field p99 <<<"$json")" \
    "$(field same_top_token <<<"$json" | awk '{ print 100 * $1 }')" \
    "$(field perplexity_ratio <<<"$json")"
}

"$program" eval "$model" --text "$matrix_text" --collect-imatrix "$folder/matrix.gguf" >"$folder/log"
echo '| type | file | mean KL divergence | 99 % | same most likely token | perplexity ratio |'
echo '|---|---|---|---|---|---|'
for type in bf16 q8_0 q6_k q5_k q4_k iq4_nl q4_0; do
  "$program" quantize "$model" "$folder/$type.gguf" --type $type >"$folder/log" 2>&1
  row "\`$type\`" "$folder/$type.gguf"
  case $type in bf16 | q8_0) continue ;; esac
  "$program" quantize "$model" "$folder/$type-m.gguf" --type $type \
    --imatrix "$folder/matrix.gguf" >"$folder/log" 2>&1
  row "\`$type\`, matrix" "$folder/$type-m.gguf"
done
