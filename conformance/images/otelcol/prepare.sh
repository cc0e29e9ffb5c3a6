#!/bin/sh
# Runs on the host, in a copy of this folder: modules cannot be fetched inside the build everywhere.
set -eu
CGO_ENABLED=0 go build -o otelcol .
