# shellcheck shell=bash
# shellcheck disable=SC2154 # its variables are those of chpc_train.sh, which reads it
# One line of the crontab, put there and taken away; no other line is touched.

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

quoted() { printf "'%s'" "$(printf %s "$1" | LC_ALL=C sed "s/'/'\\\\''/g")"; }

# cron_path: the folders in which the programs of a round are found here, in their order; cron's own PATH has two.
cron_path() {
    local folder name path=
    while IFS= read -r -d : folder; do
        for name in $PROGRAMS; do
            if [[ $folder = /* ]] && [ "$(command -v "$name")" -ef "$folder/$name" ]; then
                case $path: in *:"$folder":*) ;; *) path=$path:$folder ;; esac
            fi
        done
    done <<<"$PATH:/usr/bin:/bin:"
    for folder in /usr/bin /bin; do
        case $path: in *:"$folder":*) ;; *) path=$path:$folder ;; esac
    done
    echo "${path#:}"
}

# prove COMMAND: run it as cron does, which knows no terminal, no agent and no start-up file.
prove() {
    env -i HOME="$HOME" LOGNAME="${LOGNAME:-$(id -un)}" USER="${LOGNAME:-$(id -un)}" SHELL=/bin/sh PATH=/usr/bin:/bin \
        /bin/sh -c "$1 prove" </dev/null || refuse "nothing was installed: a round would fail when cron begins it, as told above."
}

turn_on() {
    command -v crontab >/dev/null || refuse "crontab is not installed. Debian: apt install cron"
    load_settings
    local entry command
    command="PATH=$(quoted "$(cron_path)") /usr/bin/env bash $(quoted "$self")"
    prove "$command"
    # In a crontab a bare % ends the line.
    entry="*/30 * * * * $command cron >/dev/null 2>&1 $marker"
    entry=${entry//%/\\%}
    marker=${marker//%/\\%}
    others "$work/crontab"
    cp "$work/crontab" "$work/new"
    printf '%s\n' "$entry" >>"$work/new"
    crontab "$work/new"
    echo "The cluster answers from cron's own environment. Installed in your crontab; its other $(lines "$work/crontab") lines are as they were:"
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
        echo "Removed from your crontab; its other $(lines "$work/crontab") lines are as they were."
    else
        crontab -r
        echo "Removed from your crontab, which had no other line."
    fi
}
