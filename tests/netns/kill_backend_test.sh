#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One of ten backends dies, by a killed server and then by a dead host: no connection of the other nine breaks or moves.
. "$(dirname "$0")/lib.sh"

lab_up_web 10
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 10 --check tcp --check-interval 200ms --check-timeout 150ms --fall 2 --rise 2

talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 2000 --first-port 10000 --timeout 1500
talk_read held
before=$ANSWER
is "2000 connections are open" "$(field alive "$before")" 2000

# others_intact DEAD... : all held connections answer, but those of the dead backends; each from who had it before.
others_intact() {
	local i want=2000

	talk held clear
	talk held ping
	for i in "$@"; do
		want=$((want - $(field "b$i" "$before")))
	done
	is "  connections alive" "$(field alive "$ANSWER")" $want
	is "  moved or answered by another" "$(field moved "$ANSWER")" 0
	for ((i = 1; i <= 10; i++)); do
		[[ " $* " == *" $i "* ]] || is "  b$i has the connections it had" "$(field b$i "$ANSWER")" "$(field b$i "$before")"
	done
}

echo "# b4's server is killed"
server_kill 4
wait_serving web 9
others_intact 4

echo "# b7's host is cut off"
ip -n b7 link set eth0 down
wait_serving web 8
spread --to 192.0.2.10:80 --count 2000 --first-port 20000
is "2000 new connections are answered" "$(field ok "$REPORT")" 2000
is "none by the dead" "$(field b4 "$REPORT")$(field b7 "$REPORT")" 00
others_intact 4 7

echo "# both come back"
server_start 4 80
ip -n b7 link set eth0 up
wait_serving web 10
others_intact 4 7
spread --to 192.0.2.10:80 --count 2000 --first-port 30000
between "b4 takes new connections" "$(field b4 "$REPORT")" 100 300
between "b7 takes new connections" "$(field b7 "$REPORT")" 100 300

window_over() { [ "$(service_json web .status.slots.moving)" = 0 ]; }
talk_start chatter host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 500 --first-port 40000 --every 300
talk_read chatter
ok "the learning window ends" wait_for 15 window_over
talk chatter ping
is "500 that spoke meanwhile are alive" "$(field alive "$ANSWER")" 500
done_testing
