#!/bin/sh
# Runs a command with passwords from files: NAME_FILE=/run/secrets/name becomes NAME=(its content).
# So they are in no image, no compose file and not in `docker inspect`.
set -eu

for variable in PGPASSWORD MLFLOW_TRACKING_PASSWORD MLFLOW_AUTH_ADMIN_PASSWORD \
  MLFLOW_FLASK_SERVER_SECRET_KEY; do
  eval "file=\${${variable}_FILE-}"
  [ -n "$file" ] || continue
  [ -r "$file" ] || { echo "error: ${variable}_FILE=$file cannot be read" >&2; exit 3; }
  value=$(cat "$file")
  export "$variable=$value"
  unset "${variable}_FILE"
done

exec "$@"
