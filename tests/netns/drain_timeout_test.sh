#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A drain ends when no connection is left, or when its time is over; it shows what is left, and a restart of lbd does
# not begin it anew.
. "$(dirname "$0")/lib.sh"

lab_up_web 4
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 4 --drain-timeout 9s --on-disable keep

status_of() { service_json web ".backends[] | select(.address == \"10.0.0.1$1:80\") | .status.$2"; }
status_is() { [ "$(status_of "$1" "$2")" = "$3" ]; }
state_metric() { metric "lb_backend_state{service=\"web\",backend=\"10.0.0.1$1:80\",state=\"$2\"}"; }
active_metric() { metric "lb_backend_active_connections{service=\"web\",backend=\"10.0.0.1$1:80\"}"; }

echo "# connections that end"
talk_start brief host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 400 --first-port 40000 --every 300
talk_read brief
is "400 connections are open" "$(field alive "$ANSWER")" 400
ok "drain b3" lbctl backend drain web 10.0.0.13:80
begun=$SECONDS
window_over() { [ $((SECONDS - begun)) -ge 4 ]; }
wait_for 10 window_over
is "what is left, after the learning window" "$(status_of 3 active_connections)" "$(field b3 "$ANSWER")"
is "b3 drains" "$(status_of 3 state)" draining
echo quit >&"${TALK_IN[brief]}"
ok "without a connection it is drained" wait_for 4 status_is 3 state drained
is "why" "$(status_of 3 drain.end)" empty
ok "enable b3" lbctl backend enable web 10.0.0.13:80

talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 800 --first-port 10000 --every 300 --timeout 1500
talk_read held
before=$ANSWER
is "800 connections are open" "$(field alive "$before")" 800

echo "# connections that do not end"
ok "drain b2" lbctl backend drain web 10.0.0.12:80
begun=$SECONDS
is "b2 drains" "$(status_of 2 state) $(status_of 2 drain.end)" "draining "
is "lb_backend_state" "$(state_metric 2 draining)/$(state_metric 2 drained)" 1/0
wait_for 10 window_over
is "what is left, after the learning window" "$(status_of 2 active_connections)" "$(field b2 "$before")"
is "the metric says so, too" "$(active_metric 2)" "$(field b2 "$before")"
talk held ping
is "all of them are alive" "$(field alive "$ANSWER")" 800
lbd_end KILL
lbd_start
is "b2 drains still" "$(status_of 2 state)" draining
ok "it is drained when its time is over" wait_for 12 status_is 2 state drained
between "seconds since the drain began" $((SECONDS - begun)) 8 "$(busy 12)"
is "why" "$(status_of 2 drain.end)" timeout
is "nothing is left" "$(status_of 2 active_connections)" 0
is "lb_backend_state" "$(state_metric 2 draining)/$(state_metric 2 drained)" 0/1
matches "backend list says so" "$(lbctl backend list web | grep '10\.0\.0\.12')" ' drained '
gone_from_b2() {
	talk held ping
	[ "$(field alive "$ANSWER")" = $((800 - $(field b2 "$before"))) ]
}
ok "its connections are ended, and no others" wait_for 10 gone_from_b2
is "moved or answered by another" "$(field moved "$ANSWER")" 0
lbd_end KILL
lbd_start
is "after a restart it is drained, and its time does not begin anew" "$(status_of 2 state)" drained
is "the configuration is as it was asked for" "$(service_json web '.backends[1].state')" draining
spread --to 192.0.2.10:80 --count 400 --first-port 20000
is "new connections are answered" "$(field ok "$REPORT")" 400
is "none by b2" "$(field b2 "$REPORT")" 0
ok "enable b2" lbctl backend enable web 10.0.0.12:80
is "it is no longer drained" "$(status_of 2 state)/$(status_of 2 drain)" unchecked/null
spread --to 192.0.2.10:80 --count 400 --first-port 21000
between "b2 gets new connections" "$(field b2 "$REPORT")" 50 150

echo "# one that drains is deleted at once"
talk_start last host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 100 --first-port 30000
talk_read last
ok "drain b4" lbctl backend drain web 10.0.0.14:80
is "b4 drains" "$(status_of 4 state)" draining
ok "del b4" lbctl backend del web 10.0.0.14:80
is "it is gone" "$(service_json web '.backends | length')" 3
done_testing
