#!/usr/bin/env bash
# Set everything up in .venv: our own uv, the three packages, what they need. Safe to run again; then it takes no time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

UV_VERSION=0.13.9
stamp=.venv/.set-up
wanted=$(cat pyproject.toml packages/*/pyproject.toml toolbox/setup.sh | cksum)
if [ -x .venv/bin/kd-hpc ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

python=
for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: Python 3.11 or newer is needed, and no python3 here is. Install one (Debian: apt install python3-venv)." >&2
    exit 1
fi

echo "setup: installing into .venv (a few GB, about a minute)" >&2
rm -f "$stamp"
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    "$python" -m venv .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
# compiled now, so that the first run of each program does not pay for it
UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --quiet --compile-bytecode --python .venv/bin/python
echo "$wanted" >"$stamp"
