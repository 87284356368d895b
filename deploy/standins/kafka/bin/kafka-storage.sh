#!/bin/bash
# Formats a broker's disk, as the vendor's script does.
exec java -Xmx256m -cp "/opt/kafka/libs/*" kafka.tools.StorageTool "$@"
