# shellcheck shell=bash
# shellcheck disable=SC2154 # its variables are those of chpc_train.sh, which reads it
# What a person types after a step has failed.

# because STATUS SECONDS
because() {
    if [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
        echo ": it took longer than $2 seconds."
    else
        echo "."
    fi
}

# printed_there: the first line that the account's start-up files printed, as far as the last look saw one.
printed_there() { grep -avE "^(\./|$HERE\$)" "$work/reach.out" 2>/dev/null | head -n 1 | cut -c 1-80 || true; }

# next_step PROGRAM STATUS STDERR
next_step() {
    if [ "$1" = rsync ]; then
        after_rsync "$2" "$3"
    elif [ "$1" = ssh ]; then
        after_ssh "$2" "$3"
    elif [ "$2" -eq 124 ] || [ "$2" -eq 137 ]; then
        again
    else
        echo "see why: $1 --help; if that fails, too: bash toolbox/setup.sh"
    fi
}

again() { echo "nothing: the next round tries again. If it keeps happening, give it more seconds in $settings."; }

# after_connection STATUS STDERR: what is no program's own fault; returns 1 if it knows of nothing.
after_connection() {
    if grep -q "IDENTIFICATION HAS CHANGED" "$2"; then
        echo "ask the cluster's support whether its host key is new. If it is: ssh-keygen -R $CHPC_HOST, then $by_hand and compare."
    elif grep -qE "Host key verification failed|host key is known" "$2"; then
        echo "its host key is not known here yet. Type: $by_hand, and compare the key it shows with the one the cluster's pages name."
    elif grep -q "Permission denied (" "$2"; then
        echo "the cluster does not take your key: ssh-copy-id ${by_hand#ssh }; a key with a passphrase needs SSH_AUTH_SOCK in $settings."
    elif [ "$1" -eq 255 ] && grep -qE "not found|No such file or directory" "$2"; then
        echo "ssh misses a program or a file that your terminal finds (cron's PATH is $PATH): in ~/.ssh/config and $settings, name it with its folder."
    elif [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
        again
    else
        return 1
    fi
}

after_ssh() {
    if after_connection "$1" "$2"; then
        return
    elif [ "$1" -eq "$FOLDER_GONE" ]; then
        echo "put the project back on the cluster: $by_hand, git clone it to $CHPC_FOLDER, and there: bash toolbox/setup_chpc.sh $CHPC_CAMPAIGN"
    elif [ "$1" -eq "$VENV_GONE" ] || [ "$1" -eq 127 ] || [ "$1" -eq 126 ]; then
        echo "$by_hand, then: cd $CHPC_FOLDER && bash toolbox/setup_chpc.sh $CHPC_CAMPAIGN"
    elif [ "$1" -eq "$BUSY" ]; then
        echo "nothing: the scheduler gave no answer, or another kd-hpc is at work there. Nothing is lost; the next round tries again."
    elif [ "$1" -eq 255 ]; then
        echo "nothing: no network, or the connection broke; the next round tries again. By hand: $by_hand true"
    elif ! grep -qx "$HERE" "$work/reach.out" 2>/dev/null; then
        echo "the account's start-up files there (.bashrc, .bash_profile) end the shell before it does anything: $by_hand true; echo \$? must print 0."
    else
        echo "see what it says there: $by_hand, then: cd $CHPC_FOLDER && .venv/bin/kd-hpc queue $CHPC_CAMPAIGN"
    fi
}

after_rsync() {
    local line
    if after_connection "$1" "$2"; then
        return
    elif grep -qE "is your shell clean|protocol version mismatch|protocol incompatib" "$2"; then
        line=$(printed_there)
        echo "the account's start-up files there print ${line:+\"$line\", and must print }nothing for a shell that is not interactive: in .bashrc there, put what prints below [[ \$- == *i* ]] || return"
    elif grep -qE "rsync.*: (command )?not found|Unknown command:? .*rsync" "$2"; then
        echo "the cluster finds no rsync. See whether module load rsync or a path helps there: RSYNC_OPTIONS=(--rsync-path=...) in $settings"
    elif grep -qiE "unknown option|unrecognized option|invalid option|openrsync" "$2"; then
        echo "the rsync there is too old, or another program of that name: $by_hand rsync --version must say 3. Another one there: RSYNC_OPTIONS=(--rsync-path=...) in $settings"
    elif [ "$1" -eq 3 ] || [ "$1" -eq 11 ] || [ "$1" -eq 23 ]; then
        echo "read the lines above: a file here or there cannot be read or written (df -h . tells whether the disk is full)."
    else
        echo "nothing: no network, or the connection broke; the next round tries again. By hand: $by_hand true"
    fi
}
