#!/usr/bin/env bash
# Runs every fuzz target for a while; stops at the first crash, hang or leak.
#
#   scripts/fuzz.sh [SECONDS_EACH]        default: 30, but three minutes in all
#
# Starts from fuzz/corpus/TARGET where there is one. New inputs go to build/fuzz/corpus/TARGET, which
# is kept; what failed is build/fuzz/failed/TARGET-*.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t targets < <(find build/fuzz/fuzz -maxdepth 1 -type f -executable 2>/dev/null | sort)
if [ ${#targets[@]} -eq 0 ]; then
  echo "fuzz: there are no targets"
  exit 0
fi
each=$((180 / ${#targets[@]}))
each=${1:-$((each < 30 ? each : 30))}

mkdir -p build/fuzz/failed
for target in "${targets[@]}"; do
  name=$(basename "$target")
  mkdir -p "build/fuzz/corpus/$name"
  folders=("build/fuzz/corpus/$name")
  [ -d "fuzz/corpus/$name" ] && folders+=("fuzz/corpus/$name")
  log=build/fuzz/$name.log
  if ! "$target" -max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -verbosity=1 \
      -artifact_prefix="build/fuzz/failed/$name-" "${folders[@]}" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzz: $name FAILED; log in $log, input in build/fuzz/failed" >&2
    exit 1
  fi
  printf 'fuzz: %-28s %s\n' "$name" "$(grep -E '^Done [0-9]+ runs' "$log" | tail -n 1)"
done
