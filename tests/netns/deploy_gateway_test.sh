#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/examples/api-gateway.yaml: gateways with WebSockets and long polls are scaled from three to five and back under
# load. Nobody's gateway changes, and nothing breaks but what a gateway that leaves closes itself.
. "$(dirname "$0")/deploy/lib.sh"

lab_up 5
lab_vip 192.0.2.10 5
for i in {101..140}; do ip -n client address add 10.0.0.$i/24 dev eth0; done
nodes_attach 5
for i in 1 2 3; do app_spawn gw$i b$i gateway.py b$i 8080; done
for i in 1 2 3; do app_ready gw$i; done
servers_start 5 81

# The window is short so that connections can be silent for longer within the time of a test.
example api-gateway -e 's/^learning_window: .*/learning_window: 1s/' -e 's/interval: 1s, timeout: 500ms/interval: 300ms, timeout: 250ms/'
lbd_start
wait_serving gateway 3

talk_start clients host client $PYTHON "$DEPLOY/gateway_client.py" 192.0.2.10:8080
state() { # FIELD...: their values, from the last answer
	local f out=

	for f in "$@"; do out+="${out:+ }$(field "$f" "$ANSWER")"; done
	echo "$out"
}
nothing_broke() { # WHAT
	talk clients report
	is "$1: broken connections, failed requests, lost events" "$(state broken failed lost)" "0 0 0"
}
more_events() { # N: so many events came since $events
	talk clients report
	[ "$(field events "$ANSWER")" -ge $((events + $1)) ]
}
under_load() { # WHAT: every client has got an event over its long poll
	talk clients report
	events=$(field events "$ANSWER")
	ok "$1: long polls are answered" wait_for 15 more_events "$(field clients "$ANSWER")"
	nothing_broke "$1"
}

talk clients "start 101 120"
is "20 clients have two WebSockets each" "$(state clients sockets)" "20 40"
between "of three gateways" "$(tr ' ' '\n' <<<"$ANSWER" | grep -c home_)" 2 3

# What the file's options are for: connections that are silent while another service without them is scaled likewise.
service_up control 192.0.2.10:81/tcp 3
talk_start silent host client "$TRAFFIC" hold --to 192.0.2.10:81 --count 300 --from 10.0.0.1
talk_read silent
is "control: 300 silent connections" "$(field alive "$ANSWER")" 300

echo "# from three to five"
for i in 4 5; do app_start gw$i b$i gateway.py b$i 8080; done
for i in 4 5; do
	ok "backend add b$i" lbctl backend add gateway 10.0.0.1$i
	lbctl backend add control 10.0.0.1$i:81
done
wait_serving gateway 5
ok "slots are moving" test "$(service_json gateway .status.slots.moving)" -gt 0
talk clients "start 121 140"
is "20 new clients" "$(state clients sockets)" "40 80"
between "some of them at the new gateways" $(($(field home_b4 "$ANSWER") + $(field home_b5 "$ANSWER"))) 1 20
under_load "scaled up"
ok "the learning window is over" wait_for 15 window_over gateway
ok "that of the control, too" wait_for 15 window_over control
talk clients speak
is "who was silent for longer than it has its gateway still" "$(state spoke broken)" "40 0"
is "no client has another gateway" "$(state strayed)" 0
talk silent ping
between "control: such connections break" "$(field alive "$ANSWER")" 50 299

echo "# one gateway is too busy for its checks"
kill -USR1 "${APP_PID[gw3]}"
wait_serving gateway 4
under_load "busy"
is "clients of the others stay" "$(state strayed_b1 strayed_b2 strayed_b4 strayed_b5)" "0 0 0 0"
talk clients speak
is "its connections live on" "$(state spoke broken)" "40 0"
kill -USR2 "${APP_PID[gw3]}"
wait_serving gateway 5

echo "# and back to three"
drained() { # ADDRESS
	[ "$(service_json gateway ".backends[] | select(.address == \"$1\") | .status | .state + \" \" + .drain.end")" = "drained empty" ]
}
for i in 4 5; do
	ok "backend drain b$i" lbctl backend drain gateway 10.0.0.1$i
done
moved_on() {
	talk clients report
	[ "$(state home_b4 home_b5)" = "0 0" ]
}
ok "new connections go elsewhere" wait_for 10 moved_on
is "no other gateway's clients do" "$(state strayed_b1 strayed_b2)" "0 0"
nothing_broke "draining"
is "no WebSocket has ended" "$(state sockets ended)" "80 0"
for i in 4 5; do
	ok "b$i has open connections" test "$(active gateway 10.0.0.1$i)" -gt 0
	app_end gw$i
done
under_load "two gateways have gone"
talk clients speak
ended=$(field ended "$ANSWER")
between "they have ended their WebSockets in order" "$ended" 2 40
for i in 4 5; do
	ok "b$i is drained, for it has no connections left" wait_for 15 drained 10.0.0.1$i
	ok "backend del b$i" lbctl backend del gateway 10.0.0.1$i
done
ok "the learning window is over" wait_for 15 window_over gateway
talk clients speak
is "all 80 WebSockets are open, nothing has broken" "$(state sockets spoke broken failed lost)" "80 40 0 0 0"
is "clients of the three that stayed have not changed" "$(state strayed_b1 strayed_b2)" "0 0"
done_testing
