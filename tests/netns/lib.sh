# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2317
# What the namespace tests share: isolation, a laboratory network, starting and stopping lbd, assertions that print TAP.
# A test is a script NAME_test.sh that sources this file; it can run alone: `sudo tests/netns/spread_test.sh`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ -n "${SLUICE_ISOLATED-}" ] || SLUICE_ISOLATED=1 exec "$ROOT/tools/isolated.sh" "$0" "$@"

set -u
# shellcheck source=../../tools/netlab.sh
. "$ROOT/tools/netlab.sh"
BUILD=$ROOT/build
TRAFFIC=$BUILD/tests/traffic
RUN=/run/test
LB=lb # the host that lbctl and the lbd_ functions act on
HASH_KEY=9f86d081884c7d65
mkdir -p $RUN

# ---- assertions ----
nr_ok=0 nr_failed=0 finished=

ok() { # WHAT COMMAND...: does the command succeed? A failing one's output is shown.
	local what=$1 out

	shift
	if out=$("$@" 2>&1); then
		echo "ok - $what"
		nr_ok=$((nr_ok + 1))
		return 0
	fi
	not_ok "$what" "$* failed${out:+: $out}"
}

not_ok() { # WHAT WHY
	echo "not ok - $1"
	echo "$2" | sed 's/^/# /'
	nr_failed=$((nr_failed + 1))
	return 1
}

is() { # WHAT GOT WANTED
	if [ "$2" = "$3" ]; then
		ok "$1" true
	else
		not_ok "$1" "got '$2', wanted '$3'"
	fi
}

between() { # WHAT GOT LEAST MOST
	if [ "$2" -ge "$3" ] 2>/dev/null && [ "$2" -le "$4" ]; then
		ok "$1" true
	else
		not_ok "$1" "got $2, wanted $3 to $4"
	fi
}

matches() { # WHAT GOT REGEX
	if [[ $2 =~ $3 ]]; then
		ok "$1" true
	else
		not_ok "$1" "got '$2', wanted something like '$3'"
	fi
}

bail() { # WHAT [WHY]: the rest of the test would make no sense
	not_ok "$1" "${2-}"
	exit 1
}

done_testing() {
	finished=1
	[ $nr_failed = 0 ]
	exit
}

show_logs() {
	local log

	for log in "$RUN"/*/log; do
		[ -s "$log" ] || continue
		echo "# last lines of $log:"
		tail -n 25 "$log" | sed 's/^/# /'
	done
}

at_exit() {
	local status=$?

	[ -n "$finished" ] || [ $nr_failed -gt 0 ] || not_ok "the test runs to its end" "it ended early, status $status"
	echo "1..$((nr_ok + nr_failed))"
	[ $nr_failed = 0 ] || show_logs
	[ $nr_failed = 0 ] || exit 1
}
trap at_exit EXIT

# ---- lbd and lbctl, on host $LB ----
declare -A LBD_PID

lbd_config() { # stdin: the configuration file; always with the same hash key, so that results repeat
	mkdir -p "$RUN/$LB"
	{ echo "hash_key: $HASH_KEY"; cat; } >"$RUN/$LB/lbd.yaml"
}

lbd_spawn() { # [ARG...]: start lbd, do not wait for it
	local dir=$RUN/$LB

	mkdir -p "$dir"
	[ -e "$dir/lbd.yaml" ] || lbd_config </dev/null
	nsenter --net="/run/netns/$LB" -- "$BUILD/lbd" --config "$dir/lbd.yaml" --state-dir "$dir/state" \
		--socket "$dir/lbd.sock" --pin-dir "/sys/fs/bpf/$LB" --metrics 127.0.0.1:9707 "$@" 2>>"$dir/log" &
	LBD_PID[$LB]=$!
}

lbd_start() {
	lbd_spawn "$@"
	wait_for 15 lbctl status || bail "lbd on $LB starts" "$(tail -n 5 "$RUN/$LB/log")"
}

lbd_end() { # [SIGNAL]: end lbd and wait for it
	kill "-${1:-TERM}" "${LBD_PID[$LB]}"
	wait "${LBD_PID[$LB]}" 2>/dev/null
}

lbctl() {
	LBD_SOCKET=$RUN/$LB/lbd.sock host "$LB" "$BUILD/lbctl" "$@"
}

service_json() { # SERVICE JQ-FILTER
	lbctl --json service show "$1" | jq -r "$2"
}

metric() { # NAME{LABELS} as printed, labels in any order are not understood
	host "$LB" curl -sf --max-time 5 http://127.0.0.1:9707/metrics | awk -v m="$1" '$1 == m { print $2; found = 1 } END { exit !found }'
}

serving_is() { # SERVICE N: N backends take new connections and can be reached
	[ "$(service_json "$1" '[.backends[] | select(.status.serving and .status.next_hop)] | length')" = "$2" ]
}

wait_serving() { # SERVICE N
	wait_for 15 serving_is "$1" "$2" || bail "$1 has $2 serving backends" "$(lbctl service show "$1")"
}

# service_up NAME VIP N [OPTION...]: a service with backends b1..bN on the VIP's own port or $BACKEND_PORT, weight 100
# each, by their addresses of family $FAMILY; waits until all serve.
FAMILY=4
service_up() {
	local i port=${BACKEND_PORT-${2##*:}}

	ok "service add $1 $2 ${*:4}" lbctl service add "$1" "$2" "${@:4}" || exit 1
	for ((i = 1; i <= $3; i++)); do
		lbctl backend add "$1" "$(backend_addr "$i" "${port%/*}")" --weight 100 || bail "backend add $1 b$i"
	done
	wait_serving "$1" "$3"
}

backend_addr() { # I PORT
	if [ "$FAMILY" = 6 ]; then
		echo "[fd00::$((10 + $1))]:$2"
	else
		echo "10.0.0.$((10 + $1)):$2"
	fi
}

# ---- backends ----
declare -A SERVER_PID

server_start() { # I PORT...
	local i=$1

	shift
	nsenter --net="/run/netns/b$i" -- "$TRAFFIC" serve --name "b$i" "${@/#/--port=}" >"$RUN/b$i.ready" &
	SERVER_PID[$i]=$!
	wait_for 5 grep -q ready "$RUN/b$i.ready" || bail "server on b$i starts"
}

servers_start() { # N PORT...
	local i

	for ((i = 1; i <= $1; i++)); do
		server_start "$i" "${@:2}"
	done
}

server_kill() { # I
	kill -KILL "${SERVER_PID[$1]}"
	wait "${SERVER_PID[$1]}" 2>/dev/null
}

nodes_attach() { # N
	local i

	for ((i = 1; i <= $1; i++)); do
		host "b$i" "$BUILD/lbnode" attach eth0 2>>"$RUN/lbnode.log" || bail "lbnode attaches on b$i"
	done
}

# lab_up_web N: the laboratory, with servers behind 192.0.2.10 on port 80.
lab_up_web() {
	lab_up "$1"
	lab_vip 192.0.2.10 "$1"
	servers_start "$1" 80
	nodes_attach "$1"
}

spread() { # ARG...: from the client; leaves the report in $REPORT
	REPORT=$(host client timeout 60 "$TRAFFIC" spread "$@")
}
