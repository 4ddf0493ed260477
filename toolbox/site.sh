#!/usr/bin/env bash
# The documents as a static site with search, in site/: what any web server can show. Its builder lives in an environment of its own.
# Exit status 75: its builder cannot be fetched. To look at it: .venv/bin/python -m http.server --directory site
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x .venv/bin/uv ] || bash toolbox/setup.sh
builder=(.venv/bin/uv tool run --quiet --python .venv/bin/python --from zensical==0.0.73 zensical)
if ! "${builder[@]}" --version >/dev/null; then
    echo "site: the builder cannot be had: no way to the package index from here. The pages under docs/ read well as they are." >&2
    exit 75
fi
exec "${builder[@]}" build --strict --clean
