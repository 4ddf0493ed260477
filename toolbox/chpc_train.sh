#!/usr/bin/env bash
# The campaign runs itself. Every half hour: bring new results here, draw them, have the cluster queue what may start, renew
# page.html, and, if that has failed for a day, tell whom the campaign's [notify] names.
#   on     install the crontab entry       off   remove it       cron   one such round, now
# Settings: toolbox/chpc.env. Log: toolbox/logs/chpc_train.log.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

self=$here/chpc_train.sh
settings=toolbox/chpc.env
logs=toolbox/logs
log=$logs/chpc_train.log
experiments=experiments
marker="# [kd $self]"
LOG_BYTES=1000000
RECORDS_SECONDS=120
BUSY=75 FOLDER_GONE=41 VENV_GONE=42

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
    SSH_OPTIONS=() RSYNC_OPTIONS=() PULL_CHECKPOINTS=no
    REACH_SECONDS=90 PULL_SECONDS=900 PLOTS_SECONDS=600 QUEUE_SECONDS=300
    # shellcheck source=toolbox/chpc.env.example
    . "./$settings"
    local name
    for name in CHPC_HOST CHPC_USER CHPC_FOLDER CHPC_CAMPAIGN; do
        # Two shells and rsync read these words: only what none of them takes for its own.
        [[ "${!name:-}" =~ ^[A-Za-z0-9_./][A-Za-z0-9_./@:+-]*$ ]] || refuse "$name in $settings: '${!name:-}' will not do."
        [[ "${!name}" != *YOUR-* ]] || refuse "$name in $settings is not filled in yet."
    done
    for name in ssh rsync timeout flock; do
        command -v "$name" >/dev/null || refuse "$name is not installed. Debian: apt install openssh-client rsync coreutils util-linux"
    done
    target=$CHPC_USER@$CHPC_HOST
    by_hand="ssh ${SSH_OPTIONS[*]+"${SSH_OPTIONS[*]} "}$target"
    # No question is asked, no master outlives its step with our lock, a dead connection is noticed within a minute.
    ssh_words=(ssh -o BatchMode=yes -o ControlMaster=no -o ConnectTimeout=20 -o ServerAliveInterval=15
        -o ServerAliveCountMax=4 ${SSH_OPTIONS[@]+"${SSH_OPTIONS[@]}"})
}

# --- crontab ----------------------------------------------------------------------------------------------------------

# others FILE: every crontab line that is not ours into FILE, byte for byte.
others() {
    local status=0
    LC_ALL=C crontab -l >"$1.all" 2>"$1.err" || status=$?
    if [ "$status" -ne 0 ] && ! grep -qi "no crontab for" "$1.err"; then
        refuse "the crontab cannot be read, so it is left alone: $(tail -n 1 "$1.err")"
    fi
    LC_ALL=C grep -avF -- "$marker" "$1.all" >"$1" || [ $? -eq 1 ]
}

installed() { LC_ALL=C grep -aqF -- "$marker" "$1.all"; }

turn_on() {
    command -v crontab >/dev/null || refuse "crontab is not installed. Debian: apt install cron"
    load_settings
    # In a crontab a bare % ends the line.
    local entry
    entry="*/30 * * * * /usr/bin/env bash $(printf %q "$self") cron >/dev/null 2>&1 $marker"
    entry=${entry//%/\\%}
    marker=${marker//%/\\%}
    others "$work/crontab"
    cp "$work/crontab" "$work/new"
    printf '%s\n' "$entry" >>"$work/new"
    crontab "$work/new"
    echo "Installed in your crontab; its other $(wc -l <"$work/crontab") lines are as they were:"
    echo "    $entry"
    echo "One round now, to see that it works: bash toolbox/chpc_train.sh cron"
    echo "What it does is told in $log. The end of it: bash toolbox/chpc_train.sh off"
}

turn_off() {
    command -v crontab >/dev/null || refuse "crontab is not installed, so there is nothing to remove."
    marker=${marker//%/\\%}
    others "$work/crontab"
    if ! installed "$work/crontab"; then
        echo "There is no entry of $self in your crontab; nothing was changed."
    elif [ -s "$work/crontab" ]; then
        crontab "$work/crontab"
        echo "Removed from your crontab; its other $(wc -l <"$work/crontab") lines are as they were."
    else
        crontab -r
        echo "Removed from your crontab, which had no other line."
    fi
}

# --- the log ----------------------------------------------------------------------------------------------------------

say() {
    printf '%s  %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*" >>"$log"
    printf '%s\n' "$*" >&2
}

problems=0
unable=
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

# In a terminal, Ctrl-C reaches the step, too.
bounded=(timeout -k 10)
[ ! -t 2 ] || bounded+=(--foreground)

# step NAME SECONDS COMMAND...: what it printed is in $work/NAME.out and .err; a failure is told, and returned.
step() {
    local name=$1 seconds=$2 status=0
    shift 2
    "${bounded[@]}" "$seconds" "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null || status=$?
    # 24: a file was gone before it was read, as jobs replace theirs.
    if [ "$status" -eq 0 ] || { [ "$1" = rsync ] && [ "$status" -eq 24 ]; }; then
        return 0
    fi
    { tail -n 20 "$work/$name.err" | sed "s/^/    $name| /"; } >>"$log"
    problem "$name failed with exit status $status$(because "$status" "$seconds")" "$(next_step "$1" "$status" "$work/$name.err")"
    return "$status"
}

because() {
    if [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
        echo ": it took longer than $2 seconds."
    else
        echo "."
    fi
}

# next_step PROGRAM STATUS STDERR: what a person types now.
next_step() {
    if grep -qE "IDENTIFICATION HAS CHANGED|Host key verification failed|host key is known" "$3"; then
        echo "ask the cluster's support whether its host key is new. If it is: ssh-keygen -R $CHPC_HOST, then $by_hand and compare."
    elif grep -q "Permission denied (" "$3"; then
        echo "the cluster does not take your key: ssh-copy-id ${by_hand#ssh }; a key with a passphrase needs SSH_AUTH_SOCK in $settings."
    elif [ "$2" -eq 124 ] || [ "$2" -eq 137 ]; then
        echo "nothing: the next round tries again. If it keeps happening, give it more seconds in $settings."
    elif [ "$1" = .venv/bin/kd-hpc ] || [ "$1" = .venv/bin/kd-analysis ]; then
        echo "see why: $1 --help; if that fails, too: bash toolbox/setup.sh"
    elif [ "$1" = rsync ] && grep -q "command not found" "$3"; then
        echo "the cluster finds no rsync. See whether module load rsync or a path helps there: RSYNC_OPTIONS=(--rsync-path=...) in $settings"
    elif [ "$2" -eq "$FOLDER_GONE" ]; then
        echo "put the project back on the cluster: $by_hand, git clone it to $CHPC_FOLDER, and there: bash toolbox/setup_chpc.sh $CHPC_CAMPAIGN"
    elif [ "$2" -eq "$VENV_GONE" ] || [ "$2" -eq 127 ] || [ "$2" -eq 126 ]; then
        echo "$by_hand, then: cd $CHPC_FOLDER && bash toolbox/setup_chpc.sh $CHPC_CAMPAIGN"
    elif [ "$2" -eq "$BUSY" ]; then
        echo "nothing: the scheduler gave no answer, or another kd-hpc is at work there. Nothing is lost; the next round tries again."
    elif [ "$1" = rsync ] && { [ "$2" -eq 3 ] || [ "$2" -eq 11 ] || [ "$2" -eq 23 ]; }; then
        echo "read the lines above: a file here or there cannot be read or written (df -h . tells whether the disk is full)."
    elif [ "$2" -eq 255 ] || [ "$1" = rsync ]; then
        echo "nothing: no network, or the connection broke; the next round tries again. By hand: $by_hand true"
    else
        echo "see what it says there: $by_hand, then: cd $CHPC_FOLDER && .venv/bin/kd-hpc queue $CHPC_CAMPAIGN"
    fi
}

facts() { .venv/bin/python "$here/chpc_facts.py" "$@"; }

# on_cluster COMMAND: the words that run it there, in a login shell, because that is what finds the scheduler's commands.
on_cluster() { remote=("${ssh_words[@]}" "$target" "bash -lc '$1'"); }

# reach: is the folder there, does its kd-hpc start, and which runs does it know?
reach() {
    local known='(cd experiments && find . -name status.json) 2>/dev/null' starts='.venv/bin/kd-hpc --help >/dev/null'
    on_cluster "cd $CHPC_FOLDER || exit $FOLDER_GONE; $known; $starts || exit $VENV_GONE"
    step reach "$REACH_SECONDS" "${remote[@]}"
}

# copy NAME FROM TO OPTION...: into a tree that keeps what it has and what is newer. A file appears when it is whole; what
# a dead copy leaves lies in .pulling, on the same file system, and goes with the next round.
copy() {
    local name=$1 from=$2 to=$3
    shift 3
    step "$name" "$PULL_SECONDS" rsync -rtz --update --timeout=120 --temp-dir="$PWD/$experiments/.pulling" \
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
    ours+=("--exclude-from=$work/leave")
    copy pull "$there" "$experiments" "${ours[@]}" --exclude=status.json --exclude='checkpoint*.pth' \
        --exclude='paraphraser.checkpoint*' -m || return
    if [ "$PULL_CHECKPOINTS" = yes ]; then
        copy pull-checkpoints "$there" "$experiments" --exclude='.*' "--exclude-from=$work/leave" --include='*/' --include='checkpoint*.pth' \
            --include='paraphraser.checkpoint*' --exclude='*' -m || return
    fi
    copy show-state "$staged" "$experiments" -m
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

# all_closed: a round that is closed here would be trained on there.
all_closed() {
    [ -s "$work/closed" ] || return 0
    local name
    read -r name _ <"$work/closed"
    problem "not queued: $(wc -l <"$work/closed") runs of round $name, which is closed here, still lie in experiments/ on the cluster. They were not brought back." \
        "close it there, too: $by_hand, then: cd $CHPC_FOLDER && .venv/bin/kd-hpc archive $name --runs-only"
    return 1
}

# nothing_lost: the scratch space there is swept, and kd-hpc would train again what it no longer knows.
nothing_lost() {
    local lost
    read_grid && lost=$(facts lost "$work/grid.out" "$work/reach.out") || return 0
    [ -n "$lost" ] || return 0
    problem "not queued: $(wc -l <<<"$lost") runs that are completed here are no longer on the cluster, which would train them again, such as $(head -n 1 <<<"$lost")." \
        "give them back: rsync -rt --ignore-existing --exclude='.*' -e '${by_hand% *}' $experiments/ $target:$CHPC_FOLDER/experiments/ (or, if the round was closed there, close it here, too: .venv/bin/kd-hpc archive NAME; or move them out of $experiments/ to have them trained again)."
    return 1
}

read_grid() {
    step grid "$RECORDS_SECONDS" .venv/bin/kd-hpc status "$CHPC_CAMPAIGN" --experiments "$experiments" --json
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
    local pulled counts
    pulled=$(cat "$work/pull.out" "$work/pull-checkpoints.out" "$work/show-state.out" 2>/dev/null | grep -vc '/$' || true)
    if read_grid && counts=$(facts counts "$work/grid.out"); then :; else counts="runs unknown"; fi
    say "round ends: pulled $pulled files, plotted $(facts drawn "$work/plots.out"), submitted $(facts submitted "$work/queue.out"), $counts, problems $problems"
}

round() {
    mkdir -p "$logs" "$experiments"
    exec 9>>"$logs/lock"
    if ! flock -n 9; then
        say "skipped: the round before is still at work."
        exit "$BUSY"
    fi
    touch "$log"
    rotate
    load_settings
    touch "$work/queue.out" "$work/closed" # where nothing is asked, nothing is submitted
    say "round begins"
    local reached=0
    reach || reached=$?
    if [ "$reached" -eq 0 ] || [ "$reached" -eq "$VENV_GONE" ]; then
        if grep -q '^\./' "$work/reach.out"; then pull || true; fi
    fi
    draw || true
    if [ "$reached" -eq 0 ]; then
        if all_closed && nothing_lost; then queue || true; fi
    fi
    renew_page || true
    tell || true
    summarize
    [ "$problems" -eq 0 ]
}

[ $# -eq 1 ] || usage
verb=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $verb in
    on) turn_on ;;
    off) turn_off ;;
    cron) round ;;
    *) usage ;;
esac
