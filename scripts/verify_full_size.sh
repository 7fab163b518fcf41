#!/usr/bin/env bash
# Holds the real shapes against the reference: makes full-size E2B from the formula (9.3 GB under
# build/cache) and verifies it layer by layer in the published configuration and end to end in the
# damped one (docs/adr/0014). A few minutes; needs 24 GB of memory.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${GEMMA4:-build/release/gemma4}
golden=tests/golden/full-size
cache=build/cache/full-size
mkdir -p "$cache"

# The weights do not depend on rms_norm_eps: both configurations share one file.
if [ ! -f "$cache/published/model.safetensors" ]; then
  "$program" synth tests/golden/spec/configs/e2b.json "$cache/published" --text-only
fi
mkdir -p "$cache/damped"
cp "$golden/e2b-calm.json" "$cache/damped/config.json"
ln -sf ../published/model.safetensors "$cache/damped/model.safetensors"

"$program" verify "$cache/published" --golden "$golden/e2b-layers.safetensors"
"$program" verify "$cache/damped" --golden "$golden/e2b-calm.safetensors"
# Weights and activations of 8 bits, each layer from the reference's own state: within 3 %.
"$program" verify "$cache/published" --golden "$golden/e2b-layers.safetensors" \
  --quantize q8_0 --tolerance 0.03
