#!/bin/sh
# Makes sure of what the tests need from the system: Chromium, glyphs for every script, and (on Linux) strace.
# As root on Debian it installs them; elsewhere it says what to install.
set -eu

missing=""
found=""
for name in /usr/bin/chromium chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1; then found=$name; break; fi
done
if [ -z "$found" ]; then missing="chromium"; fi

if [ "$(uname -s)" = Linux ]; then
    # Without these, Chinese, Japanese, Korean and emoji are drawn as boxes, and the pictures prove nothing.
    if [ -z "$(fc-list :lang=ja 2>/dev/null)" ]; then missing="$missing fonts-noto-cjk"; fi
    if [ -z "$(fc-list :lang=und-zsye 2>/dev/null)" ]; then missing="$missing fonts-noto-color-emoji"; fi
    # One test watches that the sync comes before the answer.
    if ! command -v strace >/dev/null 2>&1; then missing="$missing strace"; fi
    # The font questions above need it.
    if ! command -v fc-list >/dev/null 2>&1; then missing="$missing fontconfig"; fi
fi

if [ -z "$missing" ]; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing for the tests:" $missing
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
    exit 0
fi

echo "The tests need more from this machine. On Debian and Ubuntu:" >&2
echo "    sudo apt-get update && sudo apt-get install" $missing >&2
echo "Elsewhere: Chromium or Chrome on PATH, fonts for Chinese, Japanese, Korean and emoji, and on Linux strace." >&2
exit 1
