#!/usr/bin/env bash
# On the cluster's login node, from nothing to kd-hpc doctor: environment, data, project code. Safe to repeat; goes on where
# it was killed. Usage: bash toolbox/setup_chpc.sh [CAMPAIGN [PROJECT-CODE]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

campaign=${1:-campaigns/charlie.toml}
project=${2:-}
placeholder=YOUR-PROJECT-CODE
site=site.toml
pins=constraints/v100.txt

say() { echo "setup_chpc: $1" >&2; }

refuse() {
    say "$1"
    exit 2
}

# --- project code -----------------------------------------------------------------------------------------------------

# It stands in site.toml, which git ignores: the campaign is read by others, and pays nobody's jobs.
write_project() {
    if [ -z "$project" ]; then
        needs_project || return 0
        [ -t 0 ] || refuse "there is no project code yet. Type: bash toolbox/setup_chpc.sh $campaign ABCD1234"
        read -r -p "Project code that PBS charges (for example ABCD1234): " project
    fi
    [[ "$project" =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ ]] || refuse "'$project' is no project code: letters, digits, _ . - only."
    [ -e "$site" ] || printf '# What your jobs need here and no other reader of the campaigns: git ignores this file.\n[resources]\n' >"$site.new"
    [ ! -e "$site" ] || grep -v '^project *=' "$site" >"$site.new" || true
    grep -q '^\[resources\]' "$site.new" || echo '[resources]' >>"$site.new"
    sed -i "s/^\[resources\].*/&\nproject = \"$project\"/" "$site.new"
    if cmp -s "$site" "$site.new"; then
        rm "$site.new"
        return
    fi
    mv "$site.new" "$site"
    say "project $project is written into $site"
}

needs_project() {
    ! grep -h '^project *= *"' "$campaign" "$site" 2>/dev/null | grep -qv "$placeholder" &&
        grep -qE "^kind *= *\"pbs\"|^project *= *\"$placeholder" "$campaign"
}

# --- environment ------------------------------------------------------------------------------------------------------

# The site's Python lies in a module; the one that jobs load is named in the campaign.
find_python() {
    local module
    if ! is_python python3.12 && ! is_python python3; then
        module=$(sed -n 's/^modules *= *\["\([^"]*\)".*/\1/p' "$campaign")
        if [ -n "$module" ]; then
            say "loading $module for its Python"
            set +eu # the site's scripts are not written for them
            type module >/dev/null 2>&1 || . /etc/profile
            module load "$module"
            set -eu
        fi
    fi
    for python in python3.12 python3; do
        if is_python "$python"; then
            return
        fi
    done
    refuse "Python 3.12 is needed and not found. Find it (module avail python), load its module, then run this again."
}

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; }

# One folder for each state of the code and the pins: jobs that run or wait keep the folder they were queued with, so new
# code never changes a program under them.
environment() {
    local wanted
    wanted=$(find "$pins" packages/*/pyproject.toml packages/*/src -type f ! -name "*.pyc" | LC_ALL=C sort | xargs sha256sum | sha256sum)
    echo ".venvs/${wanted:0:12}"
}

works() { "$1/bin/python" -c 'import torch, torchvision, kd_core.run, kd_hpc.cli' 2>/dev/null && "$1/bin/kd-hpc" --help >/dev/null; }

install() {
    local venv=$1 uv=$1/bin/uv
    # A swept or half-installed folder is mended with the same commands.
    "$python" -m venv "$venv"
    export UV_CACHE_DIR=$PWD/.venvs/cache VIRTUAL_ENV=$PWD/$venv
    say "installing into $venv (a few GB; the pins of $pins)"
    # Nothing is installed whose SHA-256 is not in the pins, whatever an index gives; our own packages are in this clone.
    sed -n '/^uv==/,/[^\\]$/p' "$pins" >"$venv/uv.txt"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$venv/uv.txt"
    "$uv" pip install --no-config --quiet --reinstall --no-deps --only-binary :all: --require-hashes -r "$pins"
    "$uv" pip install --no-config --no-sources --quiet --reinstall --no-deps --no-build-isolation \
        packages/kd-hpc packages/kd-core packages/kd-analysis
    works "$venv" || { say "$venv does not work; see: $venv/bin/python -c 'import torch, kd_core.run'"; exit 1; }
    touch "$venv/.complete"
}

set_up_environment() {
    local venv
    venv=$(environment)
    if [ -e .venv ] && [ ! -L .venv ]; then
        refuse ".venv is a folder that this script did not make. Type: mv .venv .venv-before"
    fi
    if [ ! -e "$venv/.complete" ] || ! works "$venv"; then
        find_python
        rm -f "$venv/.complete"
        install "$venv"
    fi
    ln -sfn "$venv" .venv.new
    mv -T .venv.new .venv
}

# --- data -------------------------------------------------------------------------------------------------------------

# Compute nodes have no internet: whatever is downloaded is downloaded here.
prepare_data() {
    local folder names name
    read -r folder names < <(.venv/bin/python -c "$ask" "$campaign")
    for name in $names; do
        if .venv/bin/kd-core data verify "$name" --data "$folder" >/dev/null 2>&1; then
            say "$name is prepared in $folder"
        else
            .venv/bin/kd-core data prepare "$name" --data "$folder"
        fi
    done
}
ask='
import sys; from pathlib import Path; from kd_hpc.campaign import load_campaign
campaign = load_campaign(Path(sys.argv[1]))
print(campaign.resources.data, *campaign.datasets)'

[ -r "$campaign" ] || refuse "$campaign cannot be read. Usage: bash toolbox/setup_chpc.sh [CAMPAIGN [PROJECT-CODE]]"
write_project
set_up_environment
prepare_data
.venv/bin/kd-hpc doctor "$campaign"
echo "Ready. Type: .venv/bin/kd-hpc queue $campaign --dry-run"
