#!/usr/bin/env bash
# Runs every fuzz target for a while; stops at the first crash, hang or leak.
#
#   scripts/fuzz.sh [SECONDS_EACH]        default: three minutes in all, at most 30 s each
#
# Runs the targets of the preset "asan". Starts from fuzz/corpus/TARGET; new inputs go to
# build/fuzz/corpus/TARGET, which is kept; what failed is build/fuzz/failed/TARGET-*.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t targets < <(find build/asan/fuzz -maxdepth 1 -type f -executable 2>/dev/null | sort)
if [ ${#targets[@]} -eq 0 ]; then
  echo "fuzz: build/asan/fuzz has no targets; make fuzz builds them" >&2
  exit 1
fi
each=$((180 * $(nproc) / ${#targets[@]}))
each=${1:-$((each < 30 ? each : 30))}

# fuzz TARGET SECONDS
fuzz() {
  local name log
  name=$(basename "$1")
  log=build/fuzz/$name.log
  mkdir -p "build/fuzz/corpus/$name"
  if ! "$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -verbosity=1 \
      -artifact_prefix="build/fuzz/failed/$name-" "build/fuzz/corpus/$name" "fuzz/corpus/$name" \
      >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzz: $name FAILED; log in $log, input in build/fuzz/failed" >&2
    return 255  # xargs starts no other
  fi
  printf 'fuzz: %-28s %s\n' "$name" "$(grep -E '^Done [0-9]+ runs' "$log" | tail -n 1)"
}
export -f fuzz

mkdir -p build/fuzz/failed
printf '%s\0' "${targets[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c 'fuzz "$1" "$2"' fuzz {} "$each"
