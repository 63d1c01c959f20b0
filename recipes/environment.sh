#!/usr/bin/env bash
# environment.sh FOLDER: makes FOLDER/.venv from FOLDER/requirements.txt, or leaves it when it is not older.
# .venv is a link that appears, or changes, when the environment is whole; that keeps its own name for good, as the
# scripts in its bin/ hold it. The one before stays, as what runs has files of it open. PYTHON: interpreter.
set -euo pipefail
folder=$1
python=${PYTHON:-python3}
[ -e "$folder/requirements.txt" ] || { echo "$folder has no requirements.txt." >&2; exit 1; }
[ ! "$folder/.venv/installed" -nt "$folder/requirements.txt" ] || exit 0
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is older. Try PYTHON=/path/to/python3.11")'
echo "Making $folder/.venv from its requirements.txt …" >&2
name=.venv-$(date +%Y%m%d-%H%M%S)-$$
trap 'rm -rf "$folder/$name" "$folder/$name-link"' EXIT
"$python" -m venv "$folder/$name"
"$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check -r "$folder/requirements.txt"
touch "$folder/$name/installed"
before=$(readlink "$folder/.venv" || true)
if [ -d "$folder/.venv" ] && [ ! -L "$folder/.venv" ]; then  # a folder cannot be replaced by a link in one step
  before=$name-before
  mv "$folder/.venv" "$folder/$before"
fi
ln -s "$name" "$folder/$name-link"
"$python" -c 'import os, sys; os.replace(*sys.argv[1:])' "$folder/$name-link" "$folder/.venv"
trap - EXIT
for other in "$folder"/.venv-*; do
  case ${other##*/} in "$name" | "$before") ;; *) rm -rf "$other" ;; esac
done
