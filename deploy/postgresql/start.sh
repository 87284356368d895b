#!/bin/sh
# Starts PostgreSQL of docker-compose.yml with TLS, and with the options it is given: the server must own its key file, which belongs to another user in the volume.
set -eu
for file in server.crt server.key; do
  install -o postgres -g postgres -m 600 "/setup/$file" "/var/lib/postgresql/$file"
done
exec docker-entrypoint.sh postgres \
  -c ssl=on -c ssl_cert_file=/var/lib/postgresql/server.crt -c ssl_key_file=/var/lib/postgresql/server.key \
  -c hba_file=/etc/pollwire/pg_hba.conf -c password_encryption=scram-sha-256 -c timezone=UTC \
  -c log_statement=none -c log_min_duration_statement=-1 -c log_parameter_max_length=0 -c log_parameter_max_length_on_error=0 \
  -c log_error_verbosity=terse -c track_commit_timestamp=off "$@"
