# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2317
# What the tests of docs/deployments.md share beside lib.sh: examples as configurations, and servers that tell when they
# are ready.

# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
PYTHON=/usr/bin/python3 # Debian's, which has Debian's modules
DEPLOY=$ROOT/tests/netns/deploy

# example NAME [SED-OPTION...]: docs/examples/NAME.yaml becomes the configuration of $LB. Its addresses are the
# laboratory's; what a test has to change for the laboratory stands in its call.
example() {
	mkdir -p "$RUN/$LB"
	sed -e 's/name: eth0/name: lb0/' "${@:2}" "$ROOT/docs/examples/$1.yaml" >"$RUN/$LB/lbd.yaml" || bail "example $1"
}

# app_start NAME HOST PROGRAM [ARG...]: a program of deploy/ on a host; it has printed "ready" when this returns. Its
# process is ${APP_PID[NAME]}, its output $RUN/NAME/log.
declare -A APP_PID
app_start() {
	app_spawn "$@"
	app_ready "$1"
}
app_spawn() {
	mkdir -p "$RUN/$1"
	: >"$RUN/$1/log"
	nsenter --net="/run/netns/$2" -- $PYTHON "$DEPLOY/$3" "${@:4}" >>"$RUN/$1/log" 2>&1 &
	APP_PID[$1]=$!
}
app_ready() { # NAME
	wait_for 20 grep -q '^ready' "$RUN/$1/log" || bail "$1 starts" "$(tail -n 5 "$RUN/$1/log")"
}
app_end() { # NAME [SIGNAL]: end it and wait for it
	kill "-${2:-TERM}" "${APP_PID[$1]}"
	wait "${APP_PID[$1]}" 2>/dev/null
}

# The number of open connections that lbd counts for a backend.
active() { # SERVICE ADDRESS
	service_json "$1" ".backends[] | select(.address == \"$2\") | .status.active_connections"
}
window_over() { [ "$(service_json "$1" .status.slots.moving)" = 0 ]; }
