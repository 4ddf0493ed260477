#!/usr/bin/env bash
# Set up and run every check: style, types, shell scripts, import rules, the whole test suite. Arguments go to pytest (--long, -k ...).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash toolbox/setup.sh dev

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/shellcheck --external-sources toolbox/*.sh benchmarks/*.sh
.venv/bin/pytest "$@"
