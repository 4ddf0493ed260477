#!/usr/bin/env bash
# Does tests/core pass on the oldest torch we promise, as the cluster has it, and on the newest there is?
#
#     bash benchmarks/torch_versions.sh [FOLDER]
#
# Makes an environment for each in FOLDER (default: a temporary one; a FOLDER that has them already is used again),
# installs the three packages, runs the suite in one after the other and ends with one line each. Several GB.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-$(mktemp -d)}
uv=.venv/bin/uv
python=.venv/bin/python
suite_needs=(hypothesis psutil pytest pytest-xdist)
packages=(-e packages/kd-hpc -e packages/kd-core -e packages/kd-analysis)

environment() { # NAME, then what uv pip install is told about versions
    local home=$folder/$1
    [ -x "$home/bin/python" ] || "$uv" venv --quiet --python "$python" "$home" || return
    "$uv" pip install --quiet --no-config --python "$home/bin/python" "${@:2}" "${packages[@]}" "${suite_needs[@]}"
}

verdict() { # NAME
    local torch result
    torch=$("$folder/$1/bin/python" -c 'import torch; print(torch.__version__)' 2>/dev/null) || torch='no torch'
    result=$(tail -n 1 "$folder/$1.log")
    printf '%s (torch %s): %s\n' "$1" "$torch" "$result"
}

failed=0
environment oldest --constraints constraints/v100.txt torch==2.6.0 >"$folder/oldest.log" 2>&1 &&
    "$folder/oldest/bin/python" -m pytest -q -p no:cacheprovider tests/core >"$folder/oldest.log" 2>&1 || failed=1
environment newest --upgrade torch torchvision >"$folder/newest.log" 2>&1 &&
    "$folder/newest/bin/python" -m pytest -q -p no:cacheprovider tests/core >"$folder/newest.log" 2>&1 || failed=1
echo "Logs and environments: $folder" >&2
verdict oldest
verdict newest
exit $failed
