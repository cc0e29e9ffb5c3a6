#!/bin/sh
# Makes the data folder at the first start, as the official image does with POSTGRES_HOST_AUTH_METHOD=trust.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8
  echo 'host all all all trust' >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
fi
exec "$@"
