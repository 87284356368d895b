#!/bin/bash
# Starts a broker, as the vendor's script does.
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G} -XX:+ExitOnOutOfMemoryError ${KAFKA_OPTS:-} -cp "/opt/kafka/libs/*" kafka.Kafka "$@"
