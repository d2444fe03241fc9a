#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lbd is killed under load and started again: no connection breaks, with it or without it, and counters, flows, tables
# and what the CLI configured are still there.
. "$(dirname "$0")/lib.sh"

lab_up_web 4
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 3 --check tcp --check-interval 300ms --check-timeout 200ms
lbctl service add dns 192.0.2.10:53/udp --check none >/dev/null && lbctl backend add dns 10.0.0.11:53 --weight 7
ok "backend drain" lbctl backend drain dns 10.0.0.11:53

# The load must not be on a port that others here name.
host client sysctl -qw net.ipv4.ip_local_reserved_ports=10000-10999,20000-21999,30000-30999
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 1000 --first-port 10000 --every 100
talk_read held
is "1000 connections are open and speak every 100 ms" "$(field alive "$ANSWER")" 1000
talk_start load host client "$TRAFFIC" load --to 192.0.2.10:80 --rate 500

CONNS='lb_service_connections_total{service="web",vip="192.0.2.10:80/tcp"}'
FORWARDED='lb_packets_total{verdict="forwarded"}'
digest=$(service_json web .status.table_digest)
export_before=$(lbctl export)
reached() { # HOW MANY more answers than at the mark
	talk load report
	[ "$(field since_mark_ok "$ANSWER")" -ge "$1" ]
}
nothing_broke() { # WHAT
	talk held ping
	is "$1: held connections alive" "$(field alive "$ANSWER")" 1000
	is "$1: moved" "$(field moved "$ANSWER")" 0
	talk load report
	is "$1: new connections that failed" "$(field since_mark_failed "$ANSWER")" 0
}

echo "# kill -9"
conns=$(metric "$CONNS") forwarded=$(metric "$FORWARDED")
talk load mark
lbd_end KILL
ok "500 connections are made without lbd" wait_for 15 reached 500
nothing_broke "without lbd"
lbctl status >/dev/null 2>&1
is "lbctl without lbd: exit status" $? 3
lbd_start
is "the new lbd has adopted what was there" "$(lbctl --json status | jq .adopted)" true
is "the table is the same" "$(service_json web .status.table_digest)" "$digest"
is "the configuration is the same" "$(lbctl export)" "$export_before"
is "the drained backend is draining" "$(service_json dns '.backends[0].state')" draining
is "the interface is attached" "$(lbctl --json status | jq -r '.interfaces[] | select(.name == "lb0") | .attached')" true
ok "connections are counted on" test "$(metric "$CONNS")" -ge $((conns + 500))
ok "packets are counted on" test "$(metric "$FORWARDED")" -ge $((forwarded + 500))
wait_serving web 3
ok "500 more are made" wait_for 15 reached 1500
nothing_broke "with the new lbd"

echo "# a backend is added, and lbd is killed while slots are moving"
ok "backend add" lbctl backend add web 10.0.0.14:80
wait_serving web 4
ok "slots are moving" test "$(service_json web .status.slots.moving)" -gt 0
lbd_end KILL
lbd_start
wait_serving web 4
window_over() { [ "$(service_json web .status.slots.moving)" = 0 ]; }
ok "the learning window ends" wait_for 15 window_over
nothing_broke "after the window"
spread --to 192.0.2.10:80 --count 2000 --first-port 20000
between "the new backend has its share" "$(field b4 "$REPORT")" 420 580

echo "# SIGTERM leaves the dataplane forwarding"
lbd_end TERM
talk load mark
ok "500 connections are made" wait_for 15 reached 500
nothing_broke "after SIGTERM"
lbd_start
wait_serving web 4
nothing_broke "after the restart"

echo "# a command, and kill -9 right after its success"
ok "backend drain" lbctl backend drain web 10.0.0.14:80
lbd_end KILL
lbd_start
is "it is draining" "$(service_json web '.backends[] | select(.address == "10.0.0.14:80") | .state')" draining
spread --to 192.0.2.10:80 --count 1000 --first-port 30000
is "it takes no new connections" "$(field b4 "$REPORT")" 0

echo "# --detach-on-exit"
lbd_end TERM
lbd_start --detach-on-exit
lbd_end TERM
ok "nothing is attached" bash -c '! ip -n lb link show lb0 | grep -q xdp'
done_testing
