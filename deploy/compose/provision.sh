#!/bin/sh
# Makes up a country and provisions its election, unless that was done; hands each gateway its own file.
set -eu
app="deno run --cached-only --no-prompt --allow-net --allow-env --allow-sys --allow-read --allow-write=/office,/election"
if [ ! -f "/office/keys/$ELECTION.key" ]; then
  $app simulator/main.ts country --out /election --election "$ELECTION" --voters "$VOTERS" --gateways 2
  $app aggregator/main.ts provision --aggregator https://sync-1:8000 --aggregator https://sync-2:8000 \
    --definition /election/definition.json --roll /election/roll.csv
else
  # An election that was made before the processes had keys of their own.
  $app aggregator/main.ts provision --election "$ELECTION" --write-keys
fi
for gateway in gateway-1 gateway-2; do
  install -m 600 "/office/gateways/$gateway.json" "/$gateway/gateway.json"
done
