#!/bin/sh
# Fetches the arm64 libraries that the preset `aarch64` links with.
#
#   scripts/fetch_arm64_libraries.sh [FOLDER]        default: build/cache/arm64
#
# Takes them from Debian's packages, which are unpacked and not installed: the machine's own
# packages, architectures and lists stay as they are. Does nothing when FOLDER is there. Exit
# status: 0 done, 1 with the reason on stderr.
set -eu

folder=${1:-$(cd "$(dirname "$0")/.." && pwd)/build/cache/arm64}
packages='libhwy-dev libhwy1 libsimdjson-dev libsimdjson14 libgtest-dev libgmock-dev
  libedit-dev libedit2 libbsd0 libmd0 libtinfo6 libkissfft-dev'

[ -d "$folder/usr" ] && exit 0

fail() {
  echo "fetch_arm64_libraries: $*" >&2
  exit 1
}

for tool in apt-get dpkg; do
  command -v $tool >/dev/null 2>&1 || fail "'$tool' is not installed: this needs a Debian system"
done

mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/packages" "$work/root"
: >"$work/state/status"

# apt-get as an arm64 machine would run it, with lists of its own.
arm64_apt() {
  (cd "$work/packages" &&
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$work/state" \
      -o Dir::State::status="$work/state/status" -o Dir::Cache="$work/cache" "$@") 2>"$work/apt.log"
}
# Other repositories of this machine may have nothing for arm64; what counts is the download.
arm64_apt update || true
# shellcheck disable=SC2086  # word splitting is meant
arm64_apt download $packages ||
  fail "apt-get cannot fetch the packages (no network?): $(tail -n 1 "$work/apt.log")"
for package in "$work"/packages/*.deb; do
  dpkg -x "$package" "$work/root" || fail "cannot unpack $(basename "$package")"
done
mv "$work/root" "$folder"
