#!/usr/bin/env bash
# The campaign runs itself. Every half hour: bring new results here, draw them, have the cluster queue what may start, renew
# page.html, and, if that has failed for a day, tell whom the campaign's [notify] names.
#   on     install the crontab entry       off   remove it       cron   one such round, now
#   prove  can a round reach the cluster from here? (asked by "on", in cron's own environment)
# Settings: toolbox/chpc.env. Log: toolbox/logs/chpc_train.log. Needs bash 3.2, ssh, rsync 3 and the project's .venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
# shellcheck source=toolbox/chpc_remedies.sh
. "$here/chpc_remedies.sh"
# shellcheck source=toolbox/chpc_crontab.sh
. "$here/chpc_crontab.sh"

self=$here/chpc_train.sh
settings=toolbox/chpc.env
logs=toolbox/logs
log=$logs/chpc_train.log
experiments=experiments
marker="# [kd $self]"
LOG_BYTES=1000000
RECORDS_SECONDS=120
BUSY=75 FOLDER_GONE=41 VENV_GONE=42
HERE=kd-begins
PROGRAMS="ssh rsync"

usage() {
    echo "usage: bash toolbox/chpc_train.sh on|off|cron" >&2
    exit 2
}

refuse() {
    if [ "$verb" = cron ]; then
        say "refused: $1"
    else
        echo "chpc_train: $1" >&2
    fi
    exit 2
}

# --- settings ---------------------------------------------------------------------------------------------------------

load_settings() {
    [ -r "$settings" ] || refuse "$settings is missing. Type: cp toolbox/chpc.env.example $settings, then fill it in."
    if [ ! -O "$settings" ] || [ -n "$(find -L "$settings" -prune \( -perm -020 -o -perm -002 \))" ]; then
        refuse "others can change $settings, which is run as if you typed it. Look what it says, then type: chmod go-w $settings"
    fi
    # Some editors put a mark before the first line and a CR behind each.
    LC_ALL=C sed -e $'1s/^\xef\xbb\xbf//' -e $'s/\r$//' "$settings" >"$work/settings"
    SSH_OPTIONS=() RSYNC_OPTIONS=() PULL_CHECKPOINTS=no
    REACH_SECONDS=90 PULL_SECONDS=900 PLOTS_SECONDS=600 QUEUE_SECONDS=300
    # shellcheck source=toolbox/chpc.env.example
    . "$work/settings"
    local name
    for name in CHPC_HOST CHPC_USER CHPC_FOLDER CHPC_CAMPAIGN; do
        # Two shells and rsync read these words: only what none of them takes for its own.
        [[ "${!name:-}" =~ ^[A-Za-z0-9_./][A-Za-z0-9_./@:+-]*$ ]] || refuse "$name in $settings: '${!name:-}' will not do."
        [[ "${!name}" != *YOUR-* ]] || refuse "$name in $settings is not filled in yet."
    done
    require_programs
    target=$CHPC_USER@$CHPC_HOST
    by_hand="ssh ${SSH_OPTIONS[*]+"${SSH_OPTIONS[*]} "}$target"
    # No question is asked, no master outlives its step with our lock, a dead connection is noticed within a minute.
    ssh_words=(ssh -o BatchMode=yes -o ControlMaster=no -o ConnectTimeout=20 -o ServerAliveInterval=15
        -o ServerAliveCountMax=4 ${SSH_OPTIONS[@]+"${SSH_OPTIONS[@]}"})
}

require_programs() {
    local name version
    for name in $PROGRAMS; do
        command -v "$name" >/dev/null || refuse "$name is not on the PATH ($PATH). Debian: apt install openssh-client rsync; macOS: brew install rsync"
    done
    version=$(rsync --version 2>/dev/null | sed -n 1p)
    [[ "$version" =~ ^rsync\ +version\ v?[3-9] ]] ||
        refuse "$(command -v rsync) is '$version', and rsync 3 is needed. macOS: brew install rsync, then a new terminal; Debian: apt install rsync"
    [ -x .venv/bin/python ] || refuse ".venv is missing. Type: bash toolbox/setup.sh"
}

# --- the log ----------------------------------------------------------------------------------------------------------

say() {
    printf '%s  %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*" >>"$log"
    printf '%s\n' "$*" >&2
}

lines() { grep -ac "" "$1" || true; }

problems=0 unable="" grid_status=""
problem() {
    problems=$((problems + 1))
    unable=${unable:-$1}
    say "problem: $1"
    say "    next: $2"
}

rotate() {
    local number
    [ "$(wc -c <"$log")" -gt "$LOG_BYTES" ] || return 0
    for number in 2 1; do
        [ ! -e "$log.$number" ] || mv "$log.$number" "$log.$((number + 1))"
    done
    mv "$log" "$log.1"
}

# --- one round --------------------------------------------------------------------------------------------------------

bounded() { .venv/bin/python -I -S "$here/bounded.py" "$@"; }

# step NAME SECONDS COMMAND...: what it printed is in $work/NAME.out and .err; a failure is told, and returned.
step() {
    local name=$1 seconds=$2 status=0
    shift 2
    bounded run "$seconds" "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null || status=$?
    # in a terminal, Ctrl-C reaches the step, too; 24: a file was gone before it was read, as jobs replace theirs.
    if [ "$status" -eq 0 ] || { [ "$1" = rsync ] && [ "$status" -eq 24 ]; }; then
        return 0
    fi
    tail -n 20 "$work/$name.err" | sed "s/^/    $name| /" >"$work/told"
    cat "$work/told" >>"$log"
    [ "$verb" != prove ] || cat "$work/told" >&2
    problem "$name failed with exit status $status$(because "$status" "$seconds")" "$(next_step "$1" "$status" "$work/$name.err")"
    return "$status"
}

facts() { .venv/bin/python -I -S "$here/chpc_facts.py" "$@"; }

# on_cluster COMMAND: the words that run it there, in a login shell, because that is what finds the scheduler's commands.
on_cluster() { remote=("${ssh_words[@]}" "$target" "bash -lc '$1'"); }

# reach: is the folder there, does its kd-hpc start, and which runs does it know?
reach() {
    local known='(cd experiments && find . -name status.json) 2>/dev/null' starts='.venv/bin/kd-hpc --help >/dev/null'
    on_cluster "echo $HERE; cd $CHPC_FOLDER || exit $FOLDER_GONE; $known; $starts || exit $VENV_GONE"
    step reach "$REACH_SECONDS" "${remote[@]}"
}

# copy NAME FROM TO OPTION...: into a tree that keeps what else it has. Which of two is newer is not asked of clocks, which
# differ: records have told that. A file appears when it is whole; what a dead copy leaves lies in .pulling, on the same file
# system, and goes with the next round.
copy() {
    local name=$1 from=$2 to=$3
    shift 3
    step "$name" "$PULL_SECONDS" rsync -rtz --timeout=120 --temp-dir="$PWD/$experiments/.pulling" \
        --out-format=%n -e "$rsh" ${RSYNC_OPTIONS[@]+"${RSYNC_OPTIONS[@]}"} "$@" "$from/" "$to/"
}

# pull: state is read first and shown last, so a run that is completed here has every file it had when it was completed.
pull() {
    local staged=$experiments/.pulling/state there=$target:$CHPC_FOLDER/experiments ours=("--exclude=.*")
    local rsh
    rsh=$(printf "'%s' " "${ssh_words[@]}")
    rm -rf "$experiments/.pulling" && mkdir -p "$staged" || return
    step records "$RECORDS_SECONDS" .venv/bin/kd-hpc status --experiments "$experiments" --json || return
    # What is completed here stays as it is, whatever a sweep of the cluster and a second training made of it there.
    facts completed "$work/records.out" | sed 's|.*|/&/|' >"$work/keep" || return
    ours+=("--exclude-from=$work/keep")
    copy pull-state "$there" "$staged" "${ours[@]}" --include='*/' --include=status.json --exclude='*' -m || return
    leave_closed "$staged" || return
    leave_as_it_is "$staged" || return
    ours+=("--exclude-from=$work/leave")
    copy pull "$there" "$experiments" "${ours[@]}" --exclude=status.json --exclude='checkpoint*.pth' \
        --exclude='paraphraser.checkpoint*' -m || return
    if [ "$PULL_CHECKPOINTS" = yes ]; then
        copy pull-checkpoints "$there" "$experiments" --exclude='.*' "--exclude-from=$work/leave" --include='*/' --include='checkpoint*.pth' \
            --include='paraphraser.checkpoint*' --exclude='*' -m || return
    fi
    copy show-state "$staged" "$experiments" --checksum -m
}

# leave_closed STATE: what was closed here stays closed, though its runs still lie there.
leave_closed() {
    local name run
    facts closed "$1" analysis >"$work/closed" || return
    while read -r name run; do
        rm "$1/$run/status.json"
        printf '/%s/\n' "$run"
    done <"$work/closed" >"$work/leave"
}

# leave_as_it_is STATE: what is further here than there, or has no readable record there, is not brought.
leave_as_it_is() {
    local run
    facts passed_over "$1" "$experiments" >"$work/passed-over" || return
    while read -r _ run; do
        rm "$1/$run/status.json"
        printf '/%s/\n' "$run" >>"$work/leave"
    done <"$work/passed-over"
    tell_passed_over ahead "are further here than on the cluster, and stay as they are here"
    tell_passed_over unreadable "have a record there that cannot be read: nothing of them was brought. There: .venv/bin/kd-hpc why RUN"
}

tell_passed_over() {
    local runs
    runs=$(sed -n "s/^$1 //p" "$work/passed-over")
    [ -z "$runs" ] || say "left: $(($(wc -l <<<"$runs"))) runs, such as $(sed -n 1p <<<"$runs"), $2."
}

# all_closed: a round that is closed here would be trained on there.
all_closed() {
    [ -s "$work/closed" ] || return 0
    local name
    read -r name _ <"$work/closed"
    problem "not queued: $(lines "$work/closed") runs of round $name, which is closed here, still lie in experiments/ on the cluster. They were not brought back." \
        "close it there, too: $by_hand, then: cd $CHPC_FOLDER && .venv/bin/kd-hpc archive $name --runs-only"
    return 1
}

# nothing_lost: the scratch space there is swept, and kd-hpc would train again what it no longer knows.
nothing_lost() {
    local lost
    read_grid && lost=$(facts lost "$work/grid.out" "$work/reach.out") || return 0
    [ -n "$lost" ] || return 0
    problem "not queued: $(($(wc -l <<<"$lost"))) runs that are completed here are no longer on the cluster, which would train them again, such as $(head -n 1 <<<"$lost")." \
        "give them back: rsync -rt --ignore-existing --exclude='.*' -e '${by_hand% *}' $experiments/ $target:$CHPC_FOLDER/experiments/ (or, if the round was closed there, close it here, too: .venv/bin/kd-hpc archive NAME; or move them out of $experiments/ to have them trained again)."
    return 1
}

# read_grid: how the campaign stands here, asked once a round: nothing after the pull changes it.
read_grid() {
    if [ -z "$grid_status" ]; then
        grid_status=0
        step grid "$RECORDS_SECONDS" .venv/bin/kd-hpc status "$CHPC_CAMPAIGN" --experiments "$experiments" --json || grid_status=$?
    fi
    return "$grid_status"
}

queue() {
    on_cluster "cd $CHPC_FOLDER && exec .venv/bin/kd-hpc queue $CHPC_CAMPAIGN --json"
    step queue "$QUEUE_SECONDS" "${remote[@]}" && return
    facts remarks "$work/queue.out" | sed "s/^/    queue| /" >>"$log"
    return 1
}

draw() { step plots "$PLOTS_SECONDS" .venv/bin/kd-analysis plots "$experiments" -o plots --json; }

# Records alone, so it shows what was brought here, whatever else failed.
renew_page() { step page "$RECORDS_SECONDS" .venv/bin/kd-hpc page "$CHPC_CAMPAIGN" --experiments "$experiments" -o page.html; }

# tell: the cluster tells of runs; that no round reaches it can only be told from here.
tell() {
    local found=(--able)
    [ -z "$unable" ] || found=(--unable "$unable")
    step notify "$RECORDS_SECONDS" .venv/bin/kd-hpc notify "$CHPC_CAMPAIGN" --experiments "$experiments" "${found[@]}"
    sed 's/^/    notify| /' "$work/notify.err" >>"$log"
}

summarize() {
    local pulled
    pulled=$(cat "$work/pull.out" "$work/pull-checkpoints.out" "$work/show-state.out" 2>/dev/null | grep -vc '/$' || true)
    read_grid || true
    say "round ends: pulled $pulled files, $(facts summary "$work/plots.out" "$work/queue.out" "$work/grid.out"), problems $problems"
}

round() {
    mkdir -p "$logs" "$experiments"
    load_settings
    exec 9>>"$logs/lock"
    local status=0
    bounded lock 9 || status=$?
    if [ "$status" -eq "$BUSY" ]; then
        say "skipped: the round before is still at work."
        exit "$BUSY"
    fi
    [ "$status" -eq 0 ] || refuse ".venv/bin/python does not run. Type: bash toolbox/setup.sh"
    touch "$log"
    rotate
    touch "$work/queue.out" "$work/closed" # where nothing is asked, nothing is submitted
    say "round begins"
    local reached=0
    reach || reached=$?
    if [ "$reached" -eq 0 ] || [ "$reached" -eq "$VENV_GONE" ]; then
        if grep -q '^\./' "$work/reach.out"; then pull || true; fi
    fi
    draw || true
    if [ "$reached" -eq 0 ] && all_closed && nothing_lost; then queue || true; fi
    renew_page || true
    tell || true
    summarize
    [ "$problems" -eq 0 ]
}

# reach_only: nothing is brought or queued.
reach_only() {
    mkdir -p "$logs"
    load_settings
    reach
}

[ $# -eq 1 ] || usage
verb=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $verb in
    on) turn_on ;;
    off) turn_off ;;
    cron) round ;;
    prove) reach_only ;;
    *) usage ;;
esac
