#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Announced VIPs with keepalived, as docs/examples/keepalived.conf has it: of two load balancers the one whose lbd
# announces the VIP has it as an address, and open connections survive when it moves.
. "$(dirname "$0")/lib.sh"

lab_up 3
lab_balancer lb2 3
lab_vip 192.0.2.10 3
ip -n client route replace 192.0.2.10 dev eth0 # whoever answers for it
servers_start 3 80
nodes_attach 3
install -D -m 755 "$ROOT/docs/examples/lbd-vip-announced" "$RUN/lbd-vip-announced"

keepalived_start() { # HOST PRIORITY
	mkdir -p "$RUN/$1"
	sed "s/priority 150/priority $2/; s,/usr/local/libexec/,$RUN/," "$ROOT/docs/examples/keepalived.conf" >"$RUN/$1/keepalived.conf"
	host "$1" keepalived --config-test="$RUN/$1/config-test" -f "$RUN/$1/keepalived.conf" ||
		bail "keepalived takes the example" "$(cat "$RUN/$1/config-test")"
	nsenter --net="/run/netns/$1" -- keepalived --dont-fork --log-console --log-detail --vrrp \
		-f "$RUN/$1/keepalived.conf" -p "$RUN/$1/keepalived.pid" -r "$RUN/$1/vrrp.pid" >"$RUN/$1/keepalived.log" 2>&1 &
}
balancer() { # LB
	LB=$1 lbd_config <<-END
		interfaces: [{name: lb0}]
		services:
		- name: web
		  vip: 192.0.2.10:80/tcp
		  check: {type: tcp, interval: 50ms, rise: 2, fall: 2}
		  announce: true
		  backends: [10.0.0.11, 10.0.0.12, 10.0.0.13]
	END
	LB=$1 lbd_start
	LB=$1 wait_serving web 3
}
has_vip() { ip -n "$1" -o address show dev lb0 | grep -q ' 192.0.2.10/32 '; }
one_has_vip() { # HOST OTHER
	has_vip "$1" && ! has_vip "$2"
}
seen_at() { ip -n client -j neighbour show 192.0.2.10 | jq -r '.[0].lladdr // empty'; }
client_sees() { [ "$(seen_at)" = "02:00:00:00:00:0$1" ]; }
alive() { # WHAT
	talk held ping
	is "$1: open connections that live" "$(field alive "$ANSWER")" 300
	is "$1: and with their backends" "$(field moved "$ANSWER")" 0
}

keepalived_start lb 150
keepalived_start lb2 100
looked() { # HOST: keepalived has found out that the VIP is not announced
	grep -q 'VRRP_Script(announced) failed' "$RUN/$1/keepalived.log"
}
ok "no lbd announces: keepalived finds that out" wait_for 10 looked lb
ok "on both" wait_for 10 looked lb2
ok "nobody has the VIP" eval '! has_vip lb && ! has_vip lb2'
balancer lb
ok "one announces, and has it" wait_for 20 one_has_vip lb lb2
balancer lb2
announced() { [ "$(service_json web '.status.routes[0].announced')" = true ]; }
LB=lb2 ok "the other announces, too" wait_for 15 announced
is "its tables are settled by then" "$(LB=lb2 service_json web .status.slots.moving)" 0
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 300 --first-port 10000
talk_read held
is "300 connections are open" "$(field alive "$ANSWER")" 300
ok "by the first" client_sees 2

echo "# lbd is killed and starts again: nothing moves"
changes=$(grep -c 'Entering' "$RUN/lb/keepalived.log")
lbd_end KILL
lbd_start
wait_serving web 3
alive "a new lbd"
is "keepalived saw nothing" "$(grep -c 'Entering' "$RUN/lb/keepalived.log")" "$changes"

echo "# the service has too few healthy backends on one load balancer"
start=${EPOCHREALTIME/[.,]/}
ok "a quorum that only this one lacks" lbctl service set web --quorum 4
ok "the VIP moves" wait_for 10 one_has_vip lb2 lb
echo "# moved after $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms; the script runs every second, and fails twice"
ok "the client sees it there" wait_for 10 client_sees 3
alive "moved"
spread --to 192.0.2.10:80 --count 200 --first-port 20000
is "new connections are answered" "$(field ok "$REPORT")" 200
ok "the quorum is there again" lbctl service set web --quorum 1
ok "announced" wait_for 15 announced
recovered() { [ "$(grep -c 'Script `announced` now returning 0' "$RUN/lb/keepalived.log")" -ge "$1" ]; }
ok "keepalived knows" wait_for 10 recovered 2
ok "the VIP stays where it is: nopreempt" one_has_vip lb2 lb

echo "# the interface is detached there"
LB=lb2 ok "detach" lbctl detach lb0
ok "the VIP moves back" wait_for 10 one_has_vip lb lb2
ok "the client sees it there" wait_for 10 client_sees 2
alive "moved back"
done_testing
