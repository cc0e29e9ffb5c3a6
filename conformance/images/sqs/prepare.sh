#!/bin/sh
# Runs on the host, in a copy of this folder: npm does not work inside the build everywhere.
# The npm package "node" brings the Node.js that fauxqs 2 needs (22.5 or newer) and Debian trixie lacks.
set -eu
mkdir app
cd app
npm init -y > /dev/null
npm install --no-audit --no-fund --engine-strict=false fauxqs@2.4.1 node@24
