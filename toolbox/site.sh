#!/usr/bin/env bash
# The documents as a static site with search, in site/: what any web server can show. Its builder lives in an environment of its own.
# To look at it: .venv/bin/python -m http.server --directory site
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x .venv/bin/uv ] || bash toolbox/setup.sh
exec .venv/bin/uv tool run --quiet --python .venv/bin/python --from zensical==0.0.73 zensical build --strict --clean
