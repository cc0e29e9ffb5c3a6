#!/bin/sh
# What the official image does at its start: takes the mounted server.properties, formats the storage once,
# becomes the broker.
set -eu
configuration=/opt/kafka/config/server.properties
cp /mnt/shared/config/server.properties "$configuration"
data=$(sed -n 's/^log.dirs=//p' "$configuration")
if [ ! -e "$data/meta.properties" ]; then
  /opt/kafka/bin/kafka-run-class.sh kafka.tools.StorageTool format -t "$CLUSTER_ID" -c "$configuration"
fi
exec /opt/kafka/bin/kafka-run-class.sh kafka.Kafka "$configuration"
