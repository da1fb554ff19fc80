#!/usr/bin/env bash
# Writes down every package that the images install, with version and hashes, from pyproject.toml.
#   docker/lock.sh            keeps versions that are still allowed
#   docker/lock.sh --upgrade  takes the newest that are allowed
#   docker/lock.sh --check    changes nothing; fails where a file is out of step
set -euo pipefail
cd "$(dirname "$0")/.."
UV=${UV:-.venv/bin/uv}
requirements=docker/requirements

target=$requirements
arguments=()
case "${1-}" in
--check)
  target=$(mktemp -d)
  trap 'rm -r "$target"' EXIT
  cp "$requirements"/*.txt "$target"
  ;;
--upgrade) arguments=(--upgrade) ;;
"") ;;
*)
  echo "error: $1: give --upgrade, --check or nothing" >&2
  exit 2
  ;;
esac

compile() { # OUTPUT ARGUMENT...: what the output names is kept where it is allowed
  "$UV" pip compile --quiet --generate-hashes --no-annotate --no-header \
    --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
    "${arguments[@]}" --output-file "$target/$1" "${@:2}"
}

project=(pyproject.toml --extra cluster --constraints "$requirements/torch.in")
compile cuda.txt "${project[@]}"
compile cpu.txt "${project[@]}" --excludes "$requirements/no-cuda.in" \
  --no-emit-package torch --no-emit-package torchvision
compile build.txt "$requirements/build.in"

if [ "$target" != "$requirements" ]; then
  diff -ru "$requirements" "$target" --exclude='*.in' || {
    echo "error: $requirements is out of step with pyproject.toml: run docker/lock.sh" >&2
    exit 1
  }
fi
