#!/usr/bin/env bash
# From a fresh clone to a report: set up, run campaigns/digits.toml on this machine, write report/report.html.
# Kill it anywhere and start it again: finished runs are not repeated, a half-done one goes on from its last epoch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash toolbox/setup.sh

status=0
.venv/bin/kd-hpc queue campaigns/digits.toml --watch || status=$?
if [ "$status" -ne 0 ] && [ "$status" -ne 3 ]; then
    exit "$status"
fi
.venv/bin/kd-analysis report experiments -o report --no-pdf --campaign campaigns/digits.toml
echo "The report is in $PWD/report/report.html"
exit "$status"
