#!/bin/sh
# Runs the recount on Spark: makes its Python environment and fetches its jars where they are missing, then starts it.
# Needs Python 3.9 to 3.11 (PYTHON names another than python3), a JDK 17 and Maven. Everything goes to SPARK_HOME_DIRECTORY,
# outside the repository: ~/.cache/pollwire-spark when not set.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${SPARK_HOME_DIRECTORY:-${XDG_CACHE_HOME:-$HOME/.cache}/pollwire-spark}
python=${PYTHON:-python3}

for tool in "$python" java mvn; do
  command -v "$tool" >/dev/null || {
    echo "error: Cannot start Spark: there is no $tool here (Debian: python3-venv, openjdk-17-jdk-headless, maven)" >&2
    exit 2
  }
done
"$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 12))' || {
  echo "error: Cannot start Spark: $("$python" --version) is here, and it must be 3.9 to 3.11; PYTHON names another" >&2
  exit 2
}

# A directory that exists is complete: it is filled under another name, then moved. Its name has a hash of its contents' sources.
of=$(cat "$here/requirements.txt" "$here/pom.xml" | sha256sum | cut -c1-12)
made=$home/$of
if [ ! -d "$made" ]; then
  echo "Preparing Spark in $made (about 400 MB, once) …" >&2
  mkdir -p "$home"
  filling=$(mktemp -d "$home/filling.XXXXXX")
  trap 'rm -rf "$filling"' EXIT
  "$python" -m venv "$filling/venv"
  "$filling/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
  mvn --batch-mode --quiet -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$filling/jars" >&2
  mv -T "$filling" "$made" 2>/dev/null || [ -d "$made" ]
fi

export PYSPARK_PYTHON="$made/venv/bin/python"
if [ "${1:-}" = --prepare ]; then exit 0; fi
# A program of Spark's own, a cluster's master or worker, by its class. It has none of this program.
if [ "${1:-}" = --class ]; then
  shift
  SPARK_HOME=$("$PYSPARK_PYTHON" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
  export SPARK_HOME
  exec "$SPARK_HOME/bin/spark-class" "$@"
fi
export SPARK_JARS_DIRECTORY="$made/jars"
export PYTHONPATH="$here"
if [ "${1:-}" = --test ]; then exec "$PYSPARK_PYTHON" -W ignore::ResourceWarning -m unittest discover -s "$here" -p '*_test.py'; fi
exec "$PYSPARK_PYTHON" "$here/recount.py" "$@"
