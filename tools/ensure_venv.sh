#!/bin/sh
# Makes a virtual environment, or says the one thing that is missing.
# Usage: ensure_venv.sh PYTHON FOLDER. Leaves a whole environment, or none.
set -eu
python=$1
folder=$2

# Making an environment empties its folder. Through a link, that would be another checkout's.
if [ -L "$folder" ]; then
    echo "'$folder' is a link, and what it leads to is older than this checkout's tools." >&2
    echo "Remove the link for an environment of its own, or set up where it leads to." >&2
    exit 1
fi

if ! command -v "$python" >/dev/null 2>&1; then
    echo "Carets needs Python 3.11 or newer, and there is no '$python' here." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3" >&2
    exit 1
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Carets needs Python 3.11 or newer; '$python' is $version." >&2
    echo "Name a newer one: make PYTHON=python3.12" >&2
    exit 1
fi

# Debian and Ubuntu ship Python without this part.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo "'$python' cannot make virtual environments. On Debian and Ubuntu this helps:" >&2
    echo "    apt-get install python$version-venv" >&2
    exit 1
fi

if ! "$python" -m venv --clear "$folder"; then
    rm -rf "$folder"
    echo "'$python -m venv $folder' failed; its words are above." >&2
    exit 1
fi
