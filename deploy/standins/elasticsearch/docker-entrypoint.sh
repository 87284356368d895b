#!/bin/bash
# Starts the node, with the settings that are in the environment, as the vendor's image does.
set -eu
if [ "${xpack_security_enabled:-}" = true ] || env | grep -qx 'xpack.security.enabled=true'; then
  echo "Cannot start: this stand-in has no security; set xpack.security.enabled to \"false\" (deploy/standins/compose.yml)" >&2
  exit 78
fi
home=/usr/share/elasticsearch
# shellcheck disable=SC2086
exec java ${ES_JAVA_OPTS:-} -cp "$home/classes:$home/lib/*" Standin "$home"
