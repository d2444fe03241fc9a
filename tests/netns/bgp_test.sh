#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Announced VIPs with BIRD and FRR, as docs/examples/bird.conf and frr.conf have it: two load balancers tell the client's
# routing by BGP where the VIP is. Routes follow health, do not flap when lbd is killed, and take the traffic with them.
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_balancer lb2 3
lab_vip 192.0.2.10 2
lab_vip 2001:db8::10 2
ip -n client route del 192.0.2.10 # this is BGP's
ip -n client -6 route del 2001:db8::10
servers_start 2 80
nodes_attach 2

bird_start() { # HOST
	host "$1" bird -c "$RUN/$1/bird.conf" -s "$RUN/$1/bird.ctl" -P "$RUN/$1/bird.pid" || bail "bird on $1 starts"
}
birdc() { host "$1" birdc -s "$RUN/$1/bird.ctl" "${@:2}"; }
balancer_config() { # [DELAY]
	lbd_config <<-END
		announce: {delay: ${1:-5s}}
		interfaces: [{name: lb0}]
		services:
		- name: web
		  vip: ["192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"]
		  check: {type: tcp, interval: 50ms, rise: 2, fall: 2}
		  announce: true
		  backends: [10.0.0.11, 10.0.0.12]
	END
}

# The router: the client itself. The routes that it learns are the kernel's.
mkdir -p "$RUN"/{client,lb,lb2}
{
	cat <<-END
		router id 10.0.0.1;
		protocol device { scan time 1; }
		protocol direct { ipv4; ipv6; }
		protocol kernel { scan time 1; ipv4 { import none; export where source = RTS_BGP; }; }
		protocol kernel { scan time 1; ipv6 { import none; export where source = RTS_BGP; }; }
	END
	for i in 2 3; do
		cat <<-END
			protocol bgp lb${i}_4 {
				local 10.0.0.1 as 65000; neighbor 10.0.0.$i as 65001; connect delay time 1; passive;
				ipv4 { import all; export none; };
			}
			protocol bgp lb${i}_6 {
				local fd00::1 as 65000; neighbor fd00::$i as 65001; connect delay time 1; passive;
				ipv6 { import all; export none; };
			}
		END
	done
} >"$RUN/client/bird.conf"
cp "$ROOT/docs/examples/bird.conf" "$RUN/lb/bird.conf"
sed 's/10\.0\.0\.2\b/10.0.0.3/; s/fd00::2\b/fd00::3/' "$ROOT/docs/examples/bird.conf" >"$RUN/lb2/bird.conf"
for i in '' 2; do sed -i 's/hold time 9;/hold time 9; connect delay time 1;/' "$RUN/lb$i/bird.conf"; done
for i in client lb lb2; do bird_start $i; done
way() { # VIP: the client's way to it
	local family=-4

	[[ $1 != *:* ]] || family=-6
	ip -n client $family route show "$1" proto bird | sed -n 's/.* via \([^ ]*\) .*/\1/p'
}
way_is() { # VIP VIA
	[ "$(way "$1")" = "$2" ]
}
established() { [ "$(birdc client show protocols | grep -c Established)" = "$1" ]; }
updates() { birdc client show protocols all 'lb2_*' | grep -E 'Import (updates|withdraws)' | xargs; }

ok "four BGP sessions" wait_for 15 established 4
is "no lbd, no route" "$(way 192.0.2.10)" ""

balancer_config 0s
lbd_start
ok "IPv4: by BGP to this load balancer" wait_for 10 way_is 192.0.2.10 10.0.0.2
ok "IPv6: likewise" wait_for 10 way_is 2001:db8::10 fd00::2
port=10000
answered() { # WHAT
	spread --to 192.0.2.10:80 --count 200 --first-port $port
	is "$1: connections answered" "$(field ok "$REPORT")" 200
	port=$((port + 200))
}
answered "IPv4"
spread --to '[2001:db8::10]:80' --count 200
is "IPv6: connections answered" "$(field ok "$REPORT")" 200

echo "# health"
start=${EPOCHREALTIME/[.,]/}
server_kill 1
server_kill 2
ok "all backends fail: the route is gone" wait_for 10 way_is 192.0.2.10 ""
gone=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
# Two checks of 50 ms fail at once, for the port is closed: the rest is lbd's, BIRD's and the network's.
between "from the first failure to the router, in ms" $gone 1 "$(busy 1500)"
echo "# withdrawn after $gone ms, with checks every 50 ms and fall 2"
ok "IPv6, too" wait_for 10 way_is 2001:db8::10 ""
start=${EPOCHREALTIME/[.,]/}
servers_start 2 80
ok "they are back, and so is the route" wait_for 10 way_is 192.0.2.10 10.0.0.2
echo "# announced after $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms, with rise 2"
ok "IPv6, too" wait_for 10 way_is 2001:db8::10 fd00::2
answered "after that"

echo "# lbd is killed and starts again"
host client ip -o monitor route >"$RUN/client/events" &
before=$(updates)
lbd_end KILL
answered "without lbd"
lbd_start
ok "the new lbd serves" wait_for 5 serving_is web 2
answered "with the new lbd"
lbd_end TERM
lbd_start
ok "ended and started: serves" wait_for 5 serving_is web 2
ip -n client route add blackhole 203.0.113.1
ok "events are seen" wait_for 5 grep -q 203.0.113.1 "$RUN/client/events"
is "the router had no update of any route" "$(updates)" "$before"
is "and did nothing to them" "$(grep -cE '192\.0\.2\.10|2001:db8::10' "$RUN/client/events")" 0

echo "# BIRD restarts: it learns what is there"
birdc lb down >/dev/null
ok "without BIRD there is no route" wait_for 20 way_is 192.0.2.10 ""
ok "lbd's stays" test -n "$(ip -n lb route show table 76)"
bird_start lb
ok "BIRD is back, and so is the route" wait_for 20 way_is 192.0.2.10 10.0.0.2

echo "# two load balancers, one VIP"
LB=lb2 balancer_config
LB=lb2 lbd_start
routes2() { birdc client show route 192.0.2.10/32 all | grep -c 'BGP.next_hop'; }
both() { [ "$(routes2)" = 2 ]; }
ok "the router has both" wait_for 20 both
is "and uses one" "$(way 192.0.2.10)" 10.0.0.2
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 500 --first-port 20000 --every 50
talk_read held
is "500 connections are open" "$(field alive "$ANSWER")" 500
ok "one load balancer is taken out" lbctl service set web --announce false
ok "the route moves to the other" wait_for 5 way_is 192.0.2.10 10.0.0.3
answered "by the other"
talk held ping
is "the open connections live on there" "$(field alive "$ANSWER")" 500
is "with their backends" "$(field moved "$ANSWER")" 0
forwarded2() { LB=lb2 metric 'lb_packets_total{verdict="forwarded"}'; }
ok "it forwards them" test "$(forwarded2)" -gt 500
ok "and comes back" lbctl service set web --announce true
ok "so does the route" wait_for 5 way_is 192.0.2.10 10.0.0.2
talk held ping
is "the open connections live on" "$(field alive "$ANSWER")" 500
is "with their backends" "$(field moved "$ANSWER")" 0
lbd_end TERM
lbd_start --detach-on-exit
ok "serves" wait_for 5 serving_is web 2
kill -TERM "${LBD_PID[lb]}"
ok "--detach-on-exit: the router goes to the other" wait_for 5 way_is 192.0.2.10 10.0.0.3
wait "${LBD_PID[lb]}"
talk held ping
is "no connection is lost" "$(field alive "$ANSWER")" 500

echo "# FRR in BIRD's place"
birdc lb down >/dev/null
install -d -o frr -g frr "$RUN/lb/frr"
for daemon in zebra bgpd; do
	host lb /usr/lib/frr/$daemon -d -f /dev/null -i "$RUN/lb/frr/$daemon.pid" -z "$RUN/lb/frr/zserv.api" \
		--vty_socket "$RUN/lb/frr" 2>"$RUN/lb/frr/$daemon.err" || bail "$daemon starts" "$(cat "$RUN/lb/frr/$daemon.err")"
done
ok "FRR takes the example" host lb vtysh --vty_socket "$RUN/lb/frr" -f "$ROOT/docs/examples/frr.conf"
balancer_config # this dataplane is new: connections that are open come to it when its tables are settled
lbd_start
ok "the router has both" wait_for 20 both
LB=lb2 ok "the other is taken out" lbctl service set web --announce false
ok "the route moves to the one that FRR announces" wait_for 5 way_is 192.0.2.10 10.0.0.2
talk held ping
is "the open connections live on" "$(field alive "$ANSWER")" 500
answered "announced by FRR"
ok "taken out, too" lbctl service set web --announce false
ok "there is no route" wait_for 5 way_is 192.0.2.10 ""
main_is() { [ "$(ip -n lb route show 192.0.2.10)" = "$1" ]; }
ok "and FRR leaves nothing behind" wait_for 5 main_is ""
ok "and back" lbctl service set web --announce true
ok "the route, too" wait_for 15 way_is 192.0.2.10 10.0.0.2
done_testing
