#!/bin/sh
# Runs on the host, in a copy of this folder: Maven does not work inside the build everywhere.
set -eu
mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=libs
