#!/usr/bin/env bash
# Set everything up in .venv: our own uv, the three packages, what they need. Safe to run again: a sound .venv is left as it is
# in a second, a damaged one is mended. Usage: bash toolbox/setup.sh [dev]   (dev: what tests need, too; then kept)
# KD_TORCH_INDEX=URL takes torch from there where it has it, for example builds without CUDA libraries; kept, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

UV_VERSION=0.13.9
stamp=.venv/.set-up
index_file=.venv/.torch-index
index=${KD_TORCH_INDEX-$(cat "$index_file" 2>/dev/null || true)}
group=$([ "${1:-}" = dev ] || compgen -G ".venv/lib/python3.*/site-packages/pytest-*" >/dev/null && echo dev || true)

say() { echo "setup: $1" >&2; }

find_python() {
    for python in python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return
        fi
    done
    say "Python 3.11 or newer is needed, and no python3 here is. Install one (Debian: apt install python3-venv)."
    exit 1
}

# --- proof ------------------------------------------------------------------------------------------------------------

# What the set-up was made for, and every installed package with the size of its list of files.
state() {
    cat pyproject.toml packages/*/pyproject.toml toolbox/setup.sh | cksum
    echo "$group $index"
    (cd .venv/lib/python3.*/site-packages && wc -c -- *.dist-info/RECORD) 2>/dev/null
}

# Packages that have lost files or parts of them. Our own three are a link to this folder, and a line each in .venv/bin.
damaged() { "$python" -I -S toolbox/damaged.py .venv/lib/python3.*/site-packages 2>/dev/null || true; }

starts() {
    local program
    for program in kd-hpc kd-core kd-analysis; do
        ".venv/bin/$program" --version >/dev/null 2>&1 || return
    done
}

is_sound() { [ "$(state)" = "$(cat "$stamp" 2>/dev/null)" ] && [ -z "$(damaged)" ] && starts; }

# --- installation -----------------------------------------------------------------------------------------------------

# An interpreter of its own with a pip. Links and settings that are lost come back; what then is no sound one is made anew.
interpreter() {
    is_trusted || { "$python" -m venv .venv 2>/dev/null && is_trusted; } || "$python" -m venv --clear .venv
}

is_trusted() {
    (cd .venv/lib/python3.*/site-packages) 2>/dev/null &&
        .venv/bin/python -c 'import sys, pip; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null
}

# fetch COMMAND...: one that needs the network. Where there is none, that is what is said.
fetch() {
    local said
    said=$(mktemp)
    if "$@" 2>"$said"; then
        cat "$said" >&2
        rm -f "$said"
        return
    fi
    cat "$said" >&2
    if grep -qiE "name resolution|name or service|dns error|unreachable|connection refused|newconnectionerror|timed out|failed to connect|error sending request|from versions: none" "$said"; then
        say "offline: packages come from an index on the network, and none that has them can be reached from here."
        say "Go online (on a cluster: to the login node; behind a proxy: export HTTPS_PROXY=...), then type the same again: it goes on from here."
    fi
    rm -f "$said"
    exit 1
}

install() {
    local broken=$1 options=() name
    interpreter
    rm -f "$stamp"
    fetch .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
    for name in $broken; do # a file in the cache may be the same file, and as damaged
        .venv/bin/uv cache clean --quiet "$name"
        options+=(--reinstall-package "$name")
    done
    if [ "$index" != "$(cat "$index_file" 2>/dev/null || true)" ]; then
        remove_torch
        options+=(--upgrade-package torch --upgrade-package torchvision)
    fi
    [ -z "$index" ] || options+=(--index "$index" --index-strategy unsafe-best-match)
    [ -z "$group" ] || options+=(--group "$group")
    # compiled now, so that the first run of each program does not pay for it; what else is installed here stays
    UV_PROJECT_ENVIRONMENT=.venv fetch .venv/bin/uv sync --quiet --inexact --compile-bytecode --python .venv/bin/python \
        ${options[@]+"${options[@]}"}
    echo "$index" >"$index_file"
}

# With what came along with it: the other index's may need less.
remove_torch() {
    local record names=()
    for record in .venv/lib/python3.*/site-packages/{torch,torchvision,triton,nvidia_*,cuda_*}-*.dist-info; do
        record=${record##*/}
        [[ $record = *\** ]] || names+=("${record%%-*}")
    done
    [ -z "${names[*]-}" ] || .venv/bin/uv pip uninstall --quiet --python .venv/bin/python "${names[@]}"
}

find_python
if is_sound; then
    exit 0
fi
broken=$(damaged)
case " ${broken//$'\n'/ } " in
    *" pip "* | *" uv "*) rm -rf .venv/bin .venv/lib ;; # nothing left to mend it with
esac
if [ -n "$broken" ]; then
    say "damaged, to be installed anew: ${broken//$'\n'/ }"
else
    say "installing into .venv (a few GB, about a minute)"
fi
if [ -z "$index" ] && ! command -v nvidia-smi >/dev/null && ! compgen -G ".venv/lib/python3.*/site-packages/torch" >/dev/null; then
    say "no GPU here: 3 GB of it are CUDA libraries, unless KD_TORCH_INDEX=URL names an index with builds of torch for CPUs"
fi
install "$broken"
if ! starts; then
    say "the programs do not start: making .venv anew"
    rm -rf .venv/bin .venv/lib
    install ""
    .venv/bin/kd-hpc --version && .venv/bin/kd-core --version && .venv/bin/kd-analysis --version
fi
state >"$stamp"
