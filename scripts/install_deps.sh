#!/bin/sh
# Installs the Debian 12 packages that are missing for the groups named. Silent when there are none.
#
#   scripts/install_deps.sh build|test|bench|lint|fuzz|aarch64|vocabulary|page...
#
# As root or with sudo it installs; otherwise it prints the command to run and exits with 1.
set -eu

[ $# -gt 0 ] || {
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

# A package, or command:package when the command may also come from elsewhere.
packages_of() {
  case $1 in
    build)
      echo g++ cmake ninja-build pkg-config libhwy-dev libsimdjson-dev libcli11-dev \
        nlohmann-json3-dev libedit-dev libjpeg62-turbo-dev libpng-dev libwebp-dev libgif-dev \
        libkissfft-dev libavformat-dev libavcodec-dev libavutil-dev libswresample-dev libswscale-dev \
        libboost-dev libssl-dev libcurl4-openssl-dev prometheus-cpp-dev libspdlog-dev
      ;;
    test) echo libgtest-dev libgmock-dev nlohmann-json3-dev ;;
    bench) echo libbenchmark-dev ;;
    lint) echo clang-format-14 clang-tidy-14 ;;
    fuzz) echo clang-14 libclang-rt-14-dev ;;
    aarch64) echo g++-aarch64-linux-gnu qemu-user ;;
    page) echo chromium:chromium node:nodejs npm:npm ca-certificates ;;
    vocabulary) echo git:git node:nodejs npm:npm ca-certificates openssl ;;
    *)
      echo "install_deps: no group named '$1'" >&2
      exit 2
      ;;
  esac
}

wanted=
for group in "$@"; do
  packages=$(packages_of "$group")
  for package in $packages; do
    case $package in
      *:*) command -v "${package%%:*}" >/dev/null 2>&1 && continue ;;
    esac
    wanted="$wanted ${package#*:}"
  done
done
[ -n "$wanted" ] || exit 0

command -v dpkg-query >/dev/null 2>&1 || {
  echo "install_deps: this is not a Debian system; needed are the equivalents of:$wanted" >&2
  echo "install_deps: going on without a check" >&2
  exit 0
}

# shellcheck disable=SC2086  # word splitting is meant, here and below
installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
  sed -n 's/ installed$//p' | sort -u) || true
missing=$(for package in $wanted; do echo "$package"; done | sort -u |
  grep -vxF -e "$installed" || true)
[ -n "$missing" ] || exit 0
missing=$(echo $missing)

if [ "$(id -u)" = 0 ]; then
  sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  sudo=sudo
elif command -v sudo >/dev/null 2>&1 && [ -t 0 ]; then
  sudo=sudo
else
  echo "install_deps: some packages are missing; as root, run:" >&2
  echo "  apt-get update && apt-get install -y --no-install-recommends $missing" >&2
  exit 1
fi

echo "installing: $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
  if ! $sudo env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "install_deps: '$*' failed" >&2
    exit 1
  fi
}
quietly apt-get update
# shellcheck disable=SC2086
quietly apt-get install -y --no-install-recommends $missing
