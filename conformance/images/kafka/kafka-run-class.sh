#!/bin/sh
# The official script of this name, cut down to what the image needs.
exec java ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_JVM_OPTS:-} -Djava.awt.headless=true \
  -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties -cp '/opt/kafka/libs/*' "$@"
