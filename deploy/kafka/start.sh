#!/bin/sh
# Starts a broker of docker-compose.yml: formats its disk the first time, with the users it begins with.
set -eu
bin=${KAFKA_BIN:-/opt/kafka/bin}
config=${KAFKA_CONFIG:-/setup/server.properties}
setup=${KAFKA_SETUP:-/setup}

scram() { printf 'SCRAM-SHA-512=[name=%s,password=%s]' "$1" "$(cat "$setup/kafka-$1-password")"; }

"$bin/kafka-storage.sh" format --ignore-formatted \
  --cluster-id "$(cat "$setup/cluster-id")" --config "$config" \
  --add-scram "$(scram broker)" \
  --add-scram "$(scram admin)" \
  --add-scram "$(scram gateway-1)" \
  --add-scram "$(scram gateway-2)" \
  --add-scram "$(scram aggregator)" \
  --add-scram "$(scram recount)" \
  --add-scram "$(scram official)"
# The agent answers Prometheus. The tool above must not have it.
agent=${KAFKA_AGENT:-/opt/jmx}
if [ -f "$agent/agent.jar" ]; then export KAFKA_OPTS="-javaagent:$agent/agent.jar=9404:$agent/metrics.yml"; fi
exec "$bin/kafka-server-start.sh" "$config"
