#!/usr/bin/env bash
# Make constraints/v100.txt of constraints/v100.in and what the three packages need: Python 3.12, glibc 2.17, wheels only.
# Each with the SHA-256 of every wheel of that version. Versions already in the file are kept; --upgrade takes newer ones. With --check nothing is written: 1 if it would change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

locked=constraints/v100.txt
check=
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
new=$(mktemp "$PWD/constraints/.v100.XXXXXX")
trap 'rm -f "$new"' EXIT
[ ! -e "$locked" ] || cp "$locked" "$new"
# --no-config: the pins in pyproject.toml are for other machines.
.venv/bin/uv pip compile --no-config --no-sources --no-python-downloads --quiet --no-header --no-annotate --generate-hashes \
    --only-binary :all: --python-version 3.12 --python-platform x86_64-manylinux2014 \
    --no-emit-package kd-hpc --no-emit-package kd-core --no-emit-package kd-analysis \
    "$@" constraints/v100.in -o "$new" >/dev/null
if [ -n "$check" ]; then
    diff "$locked" "$new"
else
    chmod 644 "$new"
    mv "$new" "$locked"
fi
