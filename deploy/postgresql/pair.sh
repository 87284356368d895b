#!/bin/sh
# Starts one of the two servers of compose.standby.yml:
#   pair.sh NAME OTHER
# Which one is the primary is in their files. A server follows the other one when it was a standby before, or when the other takes
# writes on a newer timeline: it was promoted meanwhile. Without files it copies the other one; when neither has any, the server named
# "postgresql" makes the database.
set -eu
name=$1 other=$2
volume=/var/lib/postgresql/data
# libpq looks for a certificate of its own below HOME, and fails where it may not look.
export PGPASSWORD PGCONNECT_TIMEOUT=3 HOME=/var/lib/postgresql
PGPASSWORD=$(cat /setup/database-owner-password)

# A stack that had one server has its files at the top of the volume.
if [ -f "$volume/PG_VERSION" ]; then
  install -d -o postgres -g postgres -m 700 "$volume/moving"
  find "$volume" -mindepth 1 -maxdepth 1 ! -name moving ! -name PG_VERSION -exec mv -t "$volume/moving" {} +
  mv "$volume/PG_VERSION" "$volume/moving/PG_VERSION"
fi
[ ! -f "$volume/moving/PG_VERSION" ] || mv "$volume/moving" "$PGDATA"

install -o postgres -g postgres -m 600 /setup/ca.crt /var/lib/postgresql/ca.crt
primary="host=$other user=$POSTGRES_USER dbname=$POSTGRES_DB application_name=$name sslmode=verify-full sslrootcert=/var/lib/postgresql/ca.crt"

streams="SELECT count(*) FROM pg_stat_replication WHERE application_name = '$name' AND state = 'streaming'"

ask() {
  psql "$primary" -XAtqc "$1"
}

# 0 for a standby, nothing when it does not answer.
timeline_of_other() {
  ask "SELECT CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END" 2>/dev/null || true
}

# A promotion leaves a history file at once, and the control file at its first checkpoint.
own_timeline() {
  {
    pg_controldata "$PGDATA" | sed -n "s/^Latest checkpoint's TimeLineID: *//p"
    for file in "$PGDATA"/pg_wal/????????.history; do
      [ ! -f "$file" ] || printf '%d\n' "0x$(basename "$file" .history)"
    done
  } | sort -n | tail -n 1
}

follow() {
  printf "primary_conninfo = '%s password=%s'\n" "$primary" "$PGPASSWORD" >/tmp/settings
  chown postgres:postgres /tmp/settings
  chmod 600 /tmp/settings
  setpriv --reuid=postgres --regid=postgres --init-groups sh /standby.sh "$PGDATA" /tmp/settings "$primary" copy
  rm /tmp/settings
  # Once it streams, no commit is answered before it has it on its disk. In a process that is not the server's child.
  (
    {
      until [ "$(ask "$streams" 2>/dev/null)" = 1 ]; do sleep 1; done
      ask "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (\"$name\")'" && ask "SELECT pg_reload_conf()"
    } >/dev/null &
  )
}

if [ -f "$PGDATA/standby.signal" ]; then
  follow
elif [ -f "$PGDATA/PG_VERSION" ]; then
  others=$(timeline_of_other)
  if [ "${others:-0}" -gt "$(own_timeline)" ]; then follow; fi
elif [ "$name" != postgresql ]; then
  follow
else
  case $(timeline_of_other) in
    "") ;;
    0) echo "Cannot start without files: $other is a standby that has some; promote it" >&2; exit 1 ;;
    *) follow ;;
  esac
fi
unset PGPASSWORD PGCONNECT_TIMEOUT
exec /bin/sh /start.sh -c wal_keep_size=1GB
