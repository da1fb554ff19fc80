#!/bin/sh
# Stands in for the entry point of the image `postgres`, which is not here: the same variables, the
# same change of user, the same settings of a new data folder.
set -eu

PATH=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH
as_postgres="setpriv --reuid postgres --regid postgres --clear-groups --inh-caps=-all --"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  install -d -o postgres -m 700 "$PGDATA"
  install -o postgres -m 600 "$POSTGRES_PASSWORD_FILE" /tmp/password
  # shellcheck disable=SC2086 (several arguments, as the image reads them)
  $as_postgres initdb --username=postgres --pwfile=/tmp/password --pgdata="$PGDATA" \
    --auth-local=trust ${POSTGRES_INITDB_ARGS-} >&2
  rm /tmp/password
  echo "host all all all scram-sha-256" | $as_postgres tee -a "$PGDATA/pg_hba.conf" >/dev/null
fi
exec $as_postgres "$@" -D "$PGDATA" -c "listen_addresses=*"
