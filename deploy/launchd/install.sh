#!/bin/sh
# Installs the worker as a LaunchDaemon, or a new version of it over the old one:
#
#   cargo build --release --locked --features metal
#   sudo deploy/launchd/install.sh [PROGRAM]        PROGRAM: target/release/carla-rl by default
set -eu

LABEL=org.carla-rl.worker
ACCOUNT=_carlarl
PLIST=/Library/LaunchDaemons/$LABEL.plist
SHARE=/usr/local/share/carla-rl
LOGS=/usr/local/var/log/carla-rl
HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
TOP=$(CDPATH='' cd -- "$HERE/../.." && pwd)
PROGRAM=${1:-$TOP/target/release/carla-rl}

die() {
    echo "install.sh: $*" >&2
    exit 1
}

# Prints the first id from 300 to 399, where macOS keeps no accounts of its own or of people, that
# neither a user nor a group has.
free_id() {
    taken=$(dscl . -list /Users UniqueID | awk '{print $2}'
        dscl . -list /Groups PrimaryGroupID | awk '{print $2}')
    id=300
    while echo "$taken" | grep -qx "$id"; do
        id=$((id + 1))
        [ "$id" -lt 400 ] || die "no free user id from 300 to 399"
    done
    echo "$id"
}

# A user who can't log in and owns nothing but the logs.
make_account() {
    dscl . -read "/Users/$ACCOUNT" > /dev/null 2>&1 && return
    id=$(free_id)
    dscl . -create "/Groups/$ACCOUNT"
    dscl . -create "/Groups/$ACCOUNT" PrimaryGroupID "$id"
    dscl . -create "/Users/$ACCOUNT"
    dscl . -create "/Users/$ACCOUNT" UniqueID "$id"
    dscl . -create "/Users/$ACCOUNT" PrimaryGroupID "$id"
    dscl . -create "/Users/$ACCOUNT" RealName "carla-rl worker"
    dscl . -create "/Users/$ACCOUNT" NFSHomeDirectory /var/empty
    dscl . -create "/Users/$ACCOUNT" UserShell /usr/bin/false
    dscl . -create "/Users/$ACCOUNT" IsHidden 1
}

install_files() {
    install -d -m 0755 /usr/local/bin "$SHARE"
    install -d -m 0750 -o "$ACCOUNT" -g "$ACCOUNT" "$LOGS"
    install -m 0755 -o root -g wheel "$PROGRAM" /usr/local/bin/carla-rl
    cp -R "$TOP/config" "$TOP/artifacts" "$SHARE/"
    chown -R root:wheel "$SHARE"
    chmod -R u=rwX,go=rX "$SHARE"
    # launchd only ever appends to this file. Emptied as its owner, since root must not follow what
    # an account that serves a network has put there.
    sudo -u "$ACCOUNT" /bin/sh -c ": > '$LOGS/worker.err'"
}

[ "$(uname -s)" = Darwin ] || die "this is for macOS"
[ "$(id -u)" -eq 0 ] || die "run it with sudo"
[ -x "$PROGRAM" ] || die "no program at $PROGRAM; build it with: cargo build --release --locked --features metal"
plutil -lint -s "$HERE/$LABEL.plist"

make_account
# What runs drains first: bootout sends SIGTERM and waits for up to ExitTimeOut.
if launchctl print "system/$LABEL" > /dev/null 2>&1; then
    launchctl bootout "system/$LABEL"
fi
install_files
if [ -e "$PLIST" ]; then
    echo "install.sh: keeping $PLIST as it is; the present template is $HERE/$LABEL.plist"
else
    install -m 0644 -o root -g wheel "$HERE/$LABEL.plist" "$PLIST"
fi

# Profile, example artifact and Metal, tried by the account that will serve. It knows nothing of the
# variables in the plist; the log file is one of them.
(cd "$SHARE" && sudo -u "$ACCOUNT" env LOGGING_FILE_PATH=null \
    /usr/local/bin/carla-rl worker --profile mac-m4-max --check)

launchctl enable "system/$LABEL"
launchctl bootstrap system "$PLIST"
echo "install.sh: started; is it ready?  carla-rl probe --ready && echo yes"
