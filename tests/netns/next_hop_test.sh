#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Next hops follow the network: a backend behind a router, a route that changes, a MAC address that changes, a backend
# that answers ARP only later.
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_vip 192.0.2.10 2
servers_start 2 80

# Two routers, 10.0.0.3 and 10.0.0.4, to a network where b3 is.
for i in 3 4; do
	lab_host "router$i" eth0 $i 1600
	host "router$i" sysctl -qw net.ipv4.ip_forward=1
	ip -n "router$i" link add far type bridge
	ip -n "router$i" address add "10.1.$i.1/24" dev far
	ip -n "router$i" link set far mtu 1600 up
done
lab_namespace b3
for i in 3 4; do
	ip -n "router$i" link add to-b3 mtu 1600 type veth peer name "eth$i" netns b3
	host "router$i" ethtool -K to-b3 gro on tx off >/dev/null
	host b3 ethtool -K "eth$i" tx off >/dev/null
	ip -n "router$i" link set to-b3 master far up
	ip -n b3 -batch - <<-END
		link set eth$i mtu 1600 up
		address add 10.1.$i.2/24 dev eth$i
	END
done
ip -n b3 address add 10.3.0.3/32 dev lo
ip -n b3 address add 192.0.2.10/32 dev lo
host b3 sysctl -qw net.ipv4.conf.{all,default,eth3,eth4}.rp_filter=0
ip -n b3 route add default via 10.1.3.1
for i in 3 4; do ip -n "router$i" route add 10.3.0.3 via "10.1.$i.2"; done
ip -n lb route add 10.3.0.3 via 10.0.0.3
server_start 3 80
nodes_attach 2
for i in 3 4; do host b3 "$BUILD/lbnode" attach eth$i --local 10.3.0.3 2>>"$RUN/lbnode.log" || bail "lbnode attaches"; done

lbd_start
ok "attach" lbctl attach lb0
next_hop() { service_json web ".backends[] | select(.address == \"$1:80\") | .status.next_hop.$2"; }
mac_of() { ip -n "$1" -j link show dev eth0 | jq -r '.[0].address'; }
next_hop_is() { [ "$(next_hop "$1" mac)" = "$2" ]; }
port=10000
answered() { # WHAT HOW-MANY-BY-b3
	spread --to 192.0.2.10:80 --count 300 --first-port $port --timeout "$(busy 1000)"
	port=$((port + 300)) # other connections each time
	is "$1: connections answered" "$(field ok "$REPORT")" 300
	between "$1: by b3" "$(field b3 "$REPORT")" "$2" 300
}

ok "service add" lbctl service add web 192.0.2.10:80/tcp --check none
ok "backend add, behind a router" lbctl backend add web 10.3.0.3:80
wait_serving web 1
is "the next hop is the router" "$(next_hop 10.3.0.3 mac)" "$(mac_of router3)"
is "and its interface" "$(next_hop 10.3.0.3 interface)" lb0
answered "behind a router" 300

ip -n lb route replace 10.3.0.3 via 10.0.0.4
ok "the route changes, and the next hop follows" wait_for 5 next_hop_is 10.3.0.3 "$(mac_of router4)"
answered "by the other router" 300

ip -n lb route del 10.3.0.3
ok "the route is gone, and so is the next hop" wait_for 5 next_hop_is 10.3.0.3 null
ip -n lb route add 10.3.0.3 via 10.0.0.3
ok "it is back" wait_for 5 next_hop_is 10.3.0.3 "$(mac_of router3)"
answered "by the first router again" 300

echo "# a neighbour's MAC address changes"
ok "backend add" lbctl backend add web 10.0.0.11:80
wait_serving web 2
is "the next hop is b1" "$(next_hop 10.0.0.11 mac)" "$(mac_of b1)"
ip -n b1 link set eth0 address 02:00:00:00:aa:11
host b1 ping -q -c 1 -W 2 10.0.0.2 >/dev/null # asks for 10.0.0.2 from its new address
ok "the next hop follows" wait_for 10 next_hop_is 10.0.0.11 02:00:00:00:aa:11
answered "after the change" 100

echo "# the load balancer's own MAC address changes"
reached() {
	spread --to 192.0.2.10:80 --count 1 --first-port $port --timeout 100
	port=$((port + 1))
	[ "$(field ok "$REPORT")" = 1 ]
}
mac_changes() { # MAC: how many milliseconds until packets to it are taken
	local start_us=${EPOCHREALTIME/[.,]/}

	ip -n lb link set lb0 address "$1"
	ip -n client neigh replace 10.0.0.2 lladdr "$1" dev eth0
	wait_for 10 reached || { echo 10000; return; }
	echo $(((${EPOCHREALTIME/[.,]/} - start_us) / 1000))
}
for mac in 02:00:00:00:aa:02 02:00:00:00:ab:02 02:00:00:00:00:02; do
	between "$mac: it is answered, after how many ms" "$(mac_changes $mac)" 0 "$(busy 600)"
done

echo "# a backend whose host comes up later"
ip -n b2 link set eth0 down
ok "backend add" lbctl backend add web 10.0.0.12:80
is "no next hop yet" "$(next_hop 10.0.0.12 mac)" null
backend_json() { service_json web ".backends[] | select(.address == \"$1:80\") | .status.$2"; }
reason_is() { [ "$(backend_json "$1" reason)" = "$2" ]; }
is "for want of a neighbour" "$(backend_json 10.0.0.12 reason)" no_neighbour
is "the metrics say so" "$(metric 'lb_backend_state{service="web",backend="10.0.0.12:80",state="no_neighbour"}')" 1
ip -n b2 link set eth0 up
ok "it is found when its host is up" wait_for 15 next_hop_is 10.0.0.12 "$(mac_of b2)"
wait_serving web 3
answered "with all three" 60

echo "# backends that no packet can be sent to"
dropped() { lbctl --json status | jq .verdicts.drop_no_next_hop; }
dropped_before=$(dropped)
serving_exactly() { [ "$(service_json web '[.backends[] | select(.status.serving)] | length')" = "$1" ]; }
digest=$(service_json web .status.table_digest)
ok "backend add, without a route" lbctl backend add web 172.31.0.1:80
is "it takes no new connections" "$(backend_json 172.31.0.1 serving)" false
is "and has no share" "$(backend_json 172.31.0.1 share)" 0
is "nor a next hop" "$(backend_json 172.31.0.1 next_hop)" null
is "for want of a route" "$(backend_json 172.31.0.1 reason)" no_route
is "the metrics say so" "$(metric 'lb_backend_state{service="web",backend="172.31.0.1:80",state="no_route"}')" 1
is "it is in no other state" "$(metric 'lb_backend_state{service="web",backend="172.31.0.1:80",state="unchecked"}')" 0
is "nor up" "$(metric 'lb_backend_up{service="web",backend="172.31.0.1:80"}')" 0
ok "the log says so" wait_for 10 grep -q 'msg="backend out of reach" address=172.31.0.1 reason=no_route' "$RUN/lb/log"
is "its health is what it was" "$(backend_json 172.31.0.1 health)" unchecked
is "the table is as before" "$(service_json web .status.table_digest)" "$digest"
is "the service is degraded" "$(service_json web .status.state)" degraded
is "and says why" "$(service_json web .status.reason)" "1 backend has no next hop"
answered "with one that is not reachable" 60
ok "a service with only such a backend" lbctl service add lost 192.0.2.10:81/tcp --check none --panic-threshold 50
ok "backend add" lbctl backend add lost 172.31.0.1
is "it is down, panic or not" "$(service_json lost .status.state)" down
is "and says why" "$(service_json lost .status.reason)" "none of 1 backends has a next hop"
ok "service del" lbctl service del lost
ip -n lb route del 10.3.0.3
ok "a route that is lost takes the share" wait_for 5 serving_exactly 2
is "both are counted" "$(service_json web .status.reason)" "2 backends have no next hop"
answered "without b3" 0
is "none of them was b3's" "$(field b3 "$REPORT")" 0
lbd_end KILL
lbd_start
ok "a new lbd leaves it so" serving_exactly 2
answered "after a restart" 0
ip -n lb route add 10.3.0.3 via 10.0.0.3
ok "a route that is back gives it back" wait_for 5 serving_exactly 3
ok "backend del" lbctl backend del web 172.31.0.1:80
is "the table is as before" "$(service_json web .status.table_digest)" "$digest"
is "nothing is missing" "$(service_json web .status.reason)" ""
answered "with all three again" 60
is "nothing was dropped for want of a next hop" "$(dropped)" "$dropped_before"

echo "# the link loses its carrier, and has it again"
ip -n switch link set lb down
ok "all are out of reach" wait_for 5 serving_exactly 0
for address in 10.0.0.11 10.0.0.12 10.3.0.3; do is "$address: why" "$(backend_json $address reason)" link_down; done
ok "the log says so" wait_for 5 grep -q 'msg="backend out of reach" address=10.0.0.12 reason=link_down' "$RUN/lb/log"
ip -n switch link set lb up
ok "all are back" wait_for 15 serving_exactly 3
ok "the log says so" wait_for 5 grep -q 'msg="backend in reach again" address=10.0.0.12' "$RUN/lb/log"
ok "and forget why" reason_is 10.0.0.12 ""
answered "after that" 60

echo "# a checked backend whose neighbour is gone: not its check is to blame"
ok "service set --check" lbctl service set web --check tcp --check-interval 200ms --check-timeout 100ms
up() { [ "$(backend_json "$1" health)" = up ]; }
ok "up" wait_for 5 up 10.0.0.12
host lb sysctl -qw net.ipv4.neigh.lb0.mcast_solicit=1 net.ipv4.neigh.lb0.ucast_solicit=1 net.ipv4.neigh.lb0.retrans_time_ms=50
ip -n b2 link set eth0 down
ip -n lb neigh change 10.0.0.12 dev lb0 nud probe
ok "the reason is its own" wait_for 5 reason_is 10.0.0.12 no_neighbour
down() { [ "$(backend_json "$1" health)" = down ]; }
ok "also when its checks fail" wait_for 5 down 10.0.0.12
is "the reason stays" "$(backend_json 10.0.0.12 reason)" no_neighbour
ip -n b2 link set eth0 up
server_kill 2
ok "with its host back it is the check's" wait_for 15 reason_is 10.0.0.12 refused
server_start 2 80
ok "up" wait_for 10 up 10.0.0.12
wait_serving web 3
ok "service set --check none" lbctl service set web --check none

echo "# how soon traffic follows what the kernel knows"
ok "backend del" lbctl backend del web 10.0.0.11
ok "backend del" lbctl backend del web 10.0.0.12
talk_start load host client "$TRAFFIC" load --to 192.0.2.10:80 --rate 1000
coproc IP { ip -n lb -force -batch -; }
host switch tcpdump -i lb -tt -l -e -n 'ip proto 4 and dst host 10.3.0.3' >"$RUN/frames" 2>/dev/null &
TCPDUMP=$!
goes_to() { tail -n 1 "$RUN/frames" | grep -q "> $(mac_of "$1")"; }
moves() { # WHAT FROM TO COMMAND-OF-ip: the time until the last frame to router FROM, in us
	local start last

	ok "$1: by $2" wait_for 10 goes_to "$2"
	start=${EPOCHREALTIME/[.,]/}
	echo "$4" >&"${IP[1]}"
	ok "$1: by $3" wait_for 10 goes_to "$3"
	last=$(grep "> $(mac_of "$2")" "$RUN/frames" | tail -n 1 | cut -d ' ' -f 1)
	between "$1: traffic has moved, in us" $((${last/./} - start)) -1000000 "$(busy 500000)"
	echo "# $1: the last frame by the old way left $((${last/./} - start)) us after the change"
}
talk load mark
for i in 1 2 3; do
	moves "the gateway's MAC address changes" router3 router4 "neigh replace 10.0.0.3 lladdr $(mac_of router4) dev lb0 nud permanent"
	moves "and back" router4 router3 "neigh replace 10.0.0.3 lladdr $(mac_of router3) dev lb0 nud permanent"
	moves "the route changes to another gateway" router3 router4 "route replace 10.3.0.3 via 10.0.0.4"
	moves "and back" router4 router3 "route replace 10.3.0.3 via 10.0.0.3"
done
talk load report
is "no connection failed meanwhile" "$(field since_mark_failed "$ANSWER")" 0
kill $TCPDUMP
talk load quit

echo "# the interface is deleted and made again"
attachments() { grep -c 'msg="attached" interface=lb0' "$RUN/lb/log"; }
before=$(attachments)
ip -n switch link del lb
gone() { lbctl --json status | jq -e '.interfaces[0] | .attached == false and .note != ""'; }
ok "status shows that it is gone, and a note" wait_for 5 gone
is "/readyz: not ready" "$(host lb curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9707/readyz)" 503
lab_wire lb lb0 2 1600
host switch "$ROOT/build/tools/xdp_pass" lb
ip -n lb route replace 10.3.0.3 via 10.0.0.3
start=${EPOCHREALTIME/[.,]/}
attached_again() { [ "$(attachments)" -gt "$before" ]; }
ok "it is attached again" wait_for 5 attached_again
between "at once, in ms" $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) 0 "$(busy 1500)"
ok "the next hop is by the new one" wait_for 15 next_hop_is 10.3.0.3 "$(mac_of router3)"
wait_serving web 1
answered "by the new interface" 300
done_testing
