#!/bin/sh
# Superset, where `superset` and `gunicorn` are on the path: docs/superset.md.
#   start.sh setup   makes or migrates Superset's own tables, and the administrator; ends
#   start.sh serve   serves https on $HOST:$PORT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export FLASK_APP=superset SUPERSET_CONFIG_PATH="$here/superset_config.py"
# Superset's page asks nobody else for anything.
export SCARF_ANALYTICS=false
mkdir -p "$SUPERSET_DATA/home"
export SUPERSET_HOME="$SUPERSET_DATA/home"

case "${1:-}" in
  setup)
    superset db upgrade
    # It leaves an administrator who is there as he is.
    superset fab create-admin --username admin --firstname Pollwire --lastname Administrator --email admin@localhost \
      --password "$(cat "$SUPERSET_PASSWORD_FILE")"
    superset init
    ;;
  serve)
    # One process: Superset's own tables are a SQLite file.
    exec gunicorn --bind "${HOST:-127.0.0.1}:${PORT:-8088}" --workers 1 --worker-class gthread --threads 8 --timeout 60 \
      --certfile "$TLS_CERT_FILE" --keyfile "$TLS_KEY_FILE" --worker-tmp-dir /dev/shm 'superset.app:create_app()'
    ;;
  *)
    echo "error: Cannot start Superset: '${1:-}' is not a command; it must be setup or serve" >&2
    exit 2
    ;;
esac
