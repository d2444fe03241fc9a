#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A draining backend keeps its connections and gets no new ones; enabling it brings new ones back and moves nothing.
. "$(dirname "$0")/lib.sh"

lab_up_web 4
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 4

talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 2000 --first-port 10000 --every 300
talk_read held
before=$ANSWER
is "2000 connections are open" "$(field alive "$before")" 2000
between "b2 has some of them" "$(field b2 "$before")" 300 700

all_alive() { # WHAT
	talk held ping
	is "$1: held connections alive" "$(field alive "$ANSWER")" 2000
	is "$1: moved" "$(field moved "$ANSWER")" 0
}
window_over() { [ "$(service_json web .status.slots.moving)" = 0 ]; }

ok "backend drain" lbctl backend drain web 10.0.0.12:80
is "its state is draining" "$(service_json web '.backends[] | select(.address == "10.0.0.12:80") | .state')" draining
spread --to 192.0.2.10:80 --count 2000 --first-port 20000
is "2000 new connections are answered" "$(field ok "$REPORT")" 2000
is "none by b2" "$(field b2 "$REPORT")" 0
all_alive "draining"
ok "the learning window ends" wait_for 15 window_over
all_alive "after the window"

ok "backend enable" lbctl backend enable web 10.0.0.12:80
all_alive "enabled again"
spread --to 192.0.2.10:80 --count 2000 --first-port 30000
between "b2 gets new connections again" "$(field b2 "$REPORT")" 400 600
ok "the learning window ends" wait_for 15 window_over
all_alive "after the second window"

ok "backend set --weight 300" lbctl backend set web 10.0.0.13:80 --weight 300
all_alive "reweighted"
spread --to 192.0.2.10:80 --count 6000 --first-port 40000
between "b3 gets half of the new ones" "$(field b3 "$REPORT")" 2850 3150
ok "the learning window ends" wait_for 15 window_over
all_alive "after the third window"

all_alive "at the end"

echo "# connections that say nothing, while a drain has not learned of them"
lbctl export | sed 's/^learning_window:.*/learning_window: 15m/' >"$RUN/slow.yaml"
ok "a long learning window" lbctl apply -f "$RUN/slow.yaml"
server_start 1 81
server_start 2 81
ok "service add" lbctl service add silent 192.0.2.10:81/tcp
ok "b1" lbctl backend add silent 10.0.0.11:81
ok "b2" lbctl backend add silent 10.0.0.12:81
wait_serving silent 2
talk_start silent host client "$TRAFFIC" hold --to 192.0.2.10:81 --count 100 --first-port 50000
talk_read silent
is "100 connections are open" "$(field alive "$ANSWER")" 100
left() { service_json silent '.backends[0].status | "\(.state) \(.active_connections)"'; }
ok "backend drain" lbctl backend drain silent 10.0.0.11:81
is "they are known to be left" "$(left)" "draining $(field b1 "$ANSWER")"
done_testing
