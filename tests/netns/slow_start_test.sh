#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A backend that comes back gets its share of new connections bit by bit, and no open connection moves for it.
. "$(dirname "$0")/lib.sh"

lab_up_web 4
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 4 --check tcp --check-interval 200ms --check-timeout 100ms --rise 1 --fall 1 \
	--slow-start 8s

effective() { service_json web ".backends[] | select(.address == \"10.0.0.1$1:80\") | .status.effective_weight"; }
table_slots() { service_json web .status.table_slots; }
is "those that begin together have all of their weight" "$(effective 1) $(effective 4)" "100 100"
slots=$(table_slots)
begun=$SECONDS
server_kill 2
wait_serving web 3
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 1000 --first-port 10000 --every 300
talk_read held
is "1000 connections are open" "$(field alive "$ANSWER")" 1000
served_for() { [ $((SECONDS - begun)) -ge 10 ]; }
wait_for 15 served_for

server_start 2 80
wait_serving web 4
come=$SECONDS
matches "backend list shows both weights" "$(lbctl backend list web | grep '10\.0\.0\.12')" '100 \([0-9.]+\)'
spread --to 192.0.2.10:80 --count 2000 --first-port 20000
is "2000 new connections are answered" "$(field ok "$REPORT")" 2000
between "b2 gets few of them at first" "$(field b2 "$REPORT")" 20 360
last=0 seen=
until [ "$last" = 100 ]; do
	read -r now is_table <<<"$(service_json web '"\(.backends[1].status.effective_weight) \(.status.table_slots)"')"
	awk -v a="$last" -v b="$now" 'BEGIN { exit !(b >= a) }' || bail "the weight never goes back" "$last, then $now"
	[ "$now" = "$last" ] || seen="$seen $now"
	last=$now
	[ $((SECONDS - come)) -lt "$(busy 20)" ] || bail "the slow start ends" "at $now after $((SECONDS - come)) s"
	[ "$is_table" = "$slots" ] || bail "the table's size stays" "$slots, then $is_table slots"
done
between "seconds that it took" $((SECONDS - come)) 6 "$(busy 11)"
between "steps on the way, the last of them its whole weight" "$(wc -w <<<"$seen")" 4 9
is "lb_backend_effective_weight" "$(metric 'lb_backend_effective_weight{service="web",backend="10.0.0.12:80"}')" 100
spread --to 192.0.2.10:80 --count 2000 --first-port 30000
between "b2 gets its share of new connections" "$(field b2 "$REPORT")" 400 600
talk held ping
is "held connections alive" "$(field alive "$ANSWER")" 1000
is "moved" "$(field moved "$ANSWER")" 0

echo "# a restart of lbd starts nobody slowly"
ok "backend disable" lbctl backend disable web 10.0.0.13:80
ok "backend enable" lbctl backend enable web 10.0.0.13:80
wait_serving web 4
lbd_end KILL
lbd_start
wait_serving web 4
is "all weights are whole" "$(service_json web '[.backends[].status.effective_weight] | unique | tostring')" "[100]"
done_testing
