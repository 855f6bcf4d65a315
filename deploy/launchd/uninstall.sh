#!/bin/sh
# Stops the worker, letting it drain, and removes what install.sh has put in place:
#
#   sudo deploy/launchd/uninstall.sh            keeps the logs, the account, and the plist as .disabled
#   sudo deploy/launchd/uninstall.sh --all      removes these too
set -eu

LABEL=org.carla-rl.worker
ACCOUNT=_carlarl
PLIST=/Library/LaunchDaemons/$LABEL.plist

die() {
    echo "uninstall.sh: $*" >&2
    exit 1
}

[ "$(uname -s)" = Darwin ] || die "this is for macOS"
[ "$(id -u)" -eq 0 ] || die "run it with sudo"
case "${1:-}" in
    '' | --all) ;;
    *) die "expected nothing or --all, got $1" ;;
esac

if launchctl print "system/$LABEL" > /dev/null 2>&1; then
    launchctl bootout "system/$LABEL"
fi
rm -f /usr/local/bin/carla-rl
rm -rf /usr/local/share/carla-rl

if [ "${1:-}" = --all ]; then
    rm -f "$PLIST" "$PLIST.disabled"
    rm -rf /usr/local/var/log/carla-rl
    dscl . -delete "/Users/$ACCOUNT" > /dev/null 2>&1 || true
    dscl . -delete "/Groups/$ACCOUNT" > /dev/null 2>&1 || true
else
    # Left in its folder, launchd would try to start it at every start of the machine.
    if [ -e "$PLIST" ]; then mv "$PLIST" "$PLIST.disabled"; fi
fi
