#!/bin/sh
# Decodes real pictures of Debian's packages (needs dpkg and apt-get): each must be decoded or
# refused in one sentence, in bounded time. Cameras, five thousand pixels, every subsampling of
# JPEG, and files that crashed other decoders.
#
#   scripts/check_pictures.sh [BUILD_FOLDER]        default: build/ci; build/asan looks closer
#
# Packages (375 MB) are unpacked into build/cache/pictures and not installed. Exit status: 0 when
# all is well.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/ci}
cache=build/cache/pictures
packages='libjxl-testdata forensics-samples-files gnome-backgrounds mate-backgrounds
  plasma-workspace-wallpapers opencv-doc python3-skimage'

mkdir -p $cache/packages
for package in $packages; do
  [ -d "$cache/packages/$package" ] && continue
  (cd $cache && apt-get -o APT::Sandbox::User=root download -qq "$package") || {
    echo "check_pictures: $package cannot be downloaded; run apt-get update first" >&2
    exit 1
  }
  dpkg-deb -x $cache/"${package}"_*.deb "$cache/packages/$package"
  rm -f $cache/"${package}"_*.deb
done

# Whatever may be taken for a picture, and all that libjxl is tested with.
rm -rf $cache/pictures
(cd $cache/packages && {
  find . -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' -o -iname '*.webp' \
    -o -iname '*.gif' -o -iname '*.tif*' -o -iname '*.bmp' -o -iname '*.xcf' -o -iname '*.p?m' \) \
    ! -path '*/html/*'
  find ./libjxl-testdata -type f
}) | sort -u | while read -r file; do
  mkdir -p "$cache/pictures/$(dirname "$file")"
  ln "$cache/packages/$file" "$cache/pictures/$file"
done
GEMMA4_PICTURES=$cache/pictures "$build/tests/pictures_test" --gtest_brief=1
