#!/bin/sh
# The official script of this name, cut down to what the image needs.
archive=/opt/kafka/cache/kafka.jsa
if [ -e "$archive" ]; then KAFKA_JVM_OPTS="-XX:SharedArchiveFile=$archive -Xlog:cds=off -Xlog:class+path=off ${KAFKA_JVM_OPTS:-}"; fi
# A sync to disk for each new partition takes most of the time of making topics. Without it everything still survives the
# death of the broker's process, which is what cases put it through.
export LD_PRELOAD=libeatmydata.so
# Tests end before a thorough compiler and a concurrent collector have paid for the processors they take.
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_JVM_OPTS:-} -Djava.awt.headless=true \
  -Dlog4j2.configurationFile="/opt/kafka/config/${KAFKA_LOG_CONFIGURATION:-log4j2.properties}" \
  -cp '/opt/kafka/libs/*' "$@"
