#!/bin/sh
# Runs start.sh without Docker: makes Superset's Python environment where it is missing.
# Needs Python 3.10 or 3.11 (PYTHON names another than python3). The environment goes to SUPERSET_HOME_DIRECTORY, outside the
# repository: ~/.cache/pollwire-superset when not set.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${SUPERSET_HOME_DIRECTORY:-${XDG_CACHE_HOME:-$HOME/.cache}/pollwire-superset}
python=${PYTHON:-python3}

command -v "$python" >/dev/null || {
  echo "error: Cannot start Superset: there is no $python here (Debian: python3-venv)" >&2
  exit 2
}
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))' || {
  echo "error: Cannot start Superset: $("$python" --version) is here, and it must be 3.10 or 3.11; PYTHON names another" >&2
  exit 2
}

# A directory that exists is complete. Scripts in it name it, so it is made under its own name, and marked at the end.
made=$home/$(sha256sum "$here/requirements.txt" | cut -c1-12)
mkdir -p "$home"
exec 9>"$made.lock"
flock 9
if [ ! -f "$made/complete" ]; then
  echo "Preparing Superset in $made (about 900 MB, once) …" >&2
  rm -rf "$made"
  "$python" -m venv "$made"
  "$made/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
  touch "$made/complete"
fi
exec 9>&-

[ "${1:-}" = --prepare ] && exit 0
PATH="$made/bin:$PATH" exec "$here/start.sh" "$@"
