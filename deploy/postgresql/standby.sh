#!/bin/sh
# Makes a directory a hot standby's, if it is none yet, and starts its server:
#   standby.sh DATA SETTINGS PRIMARY [copy]
# SETTINGS is a file for postgresql.auto.conf, with primary_conninfo in it. PRIMARY is a connection string (libpq) for the copy.
# With "copy" the server is not started.
# A former primary's directory is put aside as DATA.former, and copied anew: it may have what the new primary never got.
set -eu
data=$1 settings=$2 primary=$3
if [ ! -f "$data/standby.signal" ]; then
  rm -rf "$data.copy"
  until pg_basebackup -d "$primary" -D "$data.copy" -X stream -c fast; do
    rm -rf "$data.copy"
    sleep 1
  done
  touch "$data.copy/standby.signal"
  rm -rf "$data.former"
  [ ! -d "$data" ] || mv "$data" "$data.former"
  mv "$data.copy" "$data"
  [ -f "$data.made" ] || touch "$data.made"
fi
cp "$settings" "$data/postgresql.auto.conf"
[ "${4:-}" = copy ] || exec postgres -D "$data"
