#!/usr/bin/env bash
# Does tests/core pass on the oldest torch we promise, with the cluster's own versions, and on the newest there is?
#
#     bash benchmarks/torch_versions.sh [FOLDER [oldest|newest]]
#
# Makes an environment for each in FOLDER (default: a temporary one; a FOLDER that has them already is used again),
# installs the three packages, runs the suite in one after the other and ends with one line each. Several GB.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
folder=${1:-$(mktemp -d)}
uv=.venv/bin/uv
needed=(-e packages/kd-hpc -e packages/kd-core -e packages/kd-analysis hypothesis psutil pytest pytest-xdist)

suite() { # NAME, then what `uv pip install` is told about versions
    local home=$folder/$1
    [ -x "$home/bin/python" ] || "$uv" venv --quiet --python .venv/bin/python "$home" || return
    "$uv" pip install --quiet --no-config --python "$home/bin/python" "${@:2}" "${needed[@]}" || return
    "$home/bin/python" -m pytest -q -p no:cacheprovider tests/core
}

verdict() { # NAME
    local torch
    torch=$("$folder/$1/bin/python" -c 'import torch; print(torch.__version__)' 2>/dev/null) || torch=none
    echo "$1 (torch $torch): $(tail -n 1 "$folder/$1.log")"
}

mkdir -p "$folder"
echo "Environments and logs: $folder" >&2
# The whole of v100.txt is for the cluster's Python; the packages that decide numbers exist for this one, too.
grep -E '^(torch|torchvision|triton|numpy|scipy|scikit-learn|pillow)==' constraints/v100.txt >"$folder/pins.txt"
failed=0
for name in ${2:-oldest newest}; do
    versions=(--upgrade torch torchvision)
    [ "$name" = newest ] || versions=(--constraints "$folder/pins.txt")
    suite "$name" "${versions[@]}" >"$folder/$name.log" 2>&1 || failed=1
    verdict "$name"
done
exit $failed
