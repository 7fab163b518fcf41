#!/bin/sh
# Decodes real sounds and films of Debian's and npm's packages (needs dpkg, apt-get and npm): each
# must be decoded or refused in one sentence, in bounded time.
#
#   scripts/check_clips.sh [BUILD_FOLDER]        default: build/ci
#
# Packages are unpacked into build/cache/clips and not installed. Exit status: 0 when all is well.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/ci}
cache=build/cache/clips
packages='forensics-samples-files renpy-demo asterisk-core-sounds-en-g722 alsa-utils codec2-examples opencv-doc'

mkdir -p $cache/packages $cache/clips
for package in $packages; do
  [ -d "$cache/packages/$package" ] && continue
  (cd $cache && apt-get download -qq "$package") || {
    echo "check_clips: $package cannot be downloaded; run apt-get update first" >&2
    exit 1
  }
  dpkg-deb -x $cache/"${package}"_*.deb "$cache/packages/$package"
  rm -f $cache/"${package}"_*.deb
done
# A dozen of the prompts are enough of their kind.
(cd $cache/packages && {
  find . -type f \( -name '*.wav' -o -name '*.ogg' -o -name '*.mp3' -o -name '*.webm' -o -name '*.mp4' \
    -o -name '*.avi' -o -name '*.mpeg' -o -name '*.flac' -o -name '*.opus' \)
  find . -type f -name '*.g722' | sort | head -n 12
}) >$cache/list
while read -r file; do
  mkdir -p "$cache/clips/$(dirname "$file")"
  cp -n "$cache/packages/$file" "$cache/clips/$file"
done <$cache/list

# The same clip in a dozen codecs; for tests only, not to be passed on.
if [ ! -d $cache/clips/audio-lena ]; then
  mkdir -p $cache/npm
  (cd $cache/npm && echo '{"private":true}' >package.json &&
    npm install --silent --ignore-scripts audio-lena@3.0.1)
  mkdir -p $cache/clips/audio-lena
  find $cache/npm/node_modules/audio-lena -maxdepth 1 -type f -name 'lena*' ! -name '*.js' \
    -exec cp {} $cache/clips/audio-lena/ \;
fi
GEMMA4_CLIPS=$cache/clips "$build/tests/clips_test" --gtest_brief=1
