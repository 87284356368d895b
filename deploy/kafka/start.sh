#!/bin/sh
# Starts a broker of docker-compose.yml: formats its disk the first time, with the users it begins with.
set -eu
bin=${KAFKA_BIN:-/opt/kafka/bin}
config=${KAFKA_CONFIG:-/setup/server.properties}

scram() { printf 'SCRAM-SHA-512=[name=%s,password=%s]' "$1" "$2"; }

"$bin/kafka-storage.sh" format --ignore-formatted \
  --cluster-id "$KAFKA_CLUSTER_ID" --config "$config" \
  --add-scram "$(scram broker "$KAFKA_BROKER_PASSWORD")" \
  --add-scram "$(scram admin "$KAFKA_ADMIN_PASSWORD")" \
  --add-scram "$(scram gateway-1 "$KAFKA_GATEWAY_1_PASSWORD")" \
  --add-scram "$(scram gateway-2 "$KAFKA_GATEWAY_2_PASSWORD")" \
  --add-scram "$(scram aggregator "$KAFKA_AGGREGATOR_PASSWORD")"
exec "$bin/kafka-server-start.sh" "$config"
