#!/bin/sh
# Starts and stops the broker once while the image is built, so that the JVM leaves an archive of the classes
# it loaded (-XX:ArchiveClassesAtExit), which every later start maps into memory instead of reading the jars.
# Leaves the storage formatted, which saves the first start a JVM.
set -eu
data=/tmp/kafka-data
format() { /opt/kafka/bin/kafka-run-class.sh kafka.tools.StorageTool format -t "$CLUSTER_ID" -c /opt/kafka/config/warm-up.properties; }

format
KAFKA_JVM_OPTS=-XX:ArchiveClassesAtExit=/opt/kafka/cache/kafka.jsa \
  /opt/kafka/bin/kafka-run-class.sh kafka.Kafka /opt/kafka/config/warm-up.properties > /tmp/warm-up.log 2>&1 &
broker=$!
for _ in $(seq 60); do grep -q 'Kafka Server started' /tmp/warm-up.log && break; sleep 1; done
kill "$broker"
wait "$broker" || true
rm -rf "$data" /tmp/warm-up.log
format
