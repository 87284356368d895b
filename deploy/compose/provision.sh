#!/bin/sh
# Makes up a country and provisions its election, unless that was done; sets the office up; hands each service its own files.
set -eu
# Each runs with what the tasks in deno.json grant, but for the directories that it writes.
run="deno run --cached-only --no-prompt"
simulator="$run --allow-read --allow-write=/election --allow-sys --allow-env simulator/main.ts"
aggregator="$run --allow-net --allow-read --allow-write=/office --allow-sys=osRelease,statfs --allow-env=POLLWIRE_*,DATABASE_*,VOTE_LOG*,KAFKA_*,KEYS_DIRECTORY*,RECEIPT_KEYS_*,SYNC_KEYS_*,AGGREGATOR_ROLES*,LOG_LEVEL*,ELASTICSEARCH_*,HOST,HOST_FILE,PORT,PORT_FILE,TLS_*,MAX_CONNECTIONS*,ADDRESS_*,TERM,NO_COLOR --ignore-env aggregator/main.ts"
if [ ! -f "/office/keys/$ELECTION.key" ]; then
  $simulator country --out /election --election "$ELECTION" --voters "$VOTERS" --gateways 2
  $aggregator provision --aggregator https://sync-1:8000 --aggregator https://sync-2:8000 \
    --definition /election/definition.json --roll /election/roll.csv
else
  # An election that was made before the processes had keys of their own.
  $aggregator provision --election "$ELECTION" --write-keys
fi
if [ ! -f /office/keys/office/office.key ]; then
  # Two administrators to begin with. Their key files are in /office/office; each belongs to one person.
  DATABASE_URL=$BOARD_DATABASE_URL DATABASE_PASSWORD_FILE=$BOARD_DATABASE_PASSWORD_FILE $aggregator office init --admin first second
fi
for gateway in gateway-1 gateway-2; do
  install -m 600 "/office/gateways/$gateway.json" "/$gateway/gateway.json"
done
# Each has a volume of its own, which has no other key in it.
install -m 600 /office/keys/receipts/* /receipt-keys/
install -m 600 /office/keys/sync/* /sync-keys/
install -m 600 "/office/devices/$ELECTION.json" /devices/
