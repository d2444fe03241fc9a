#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In by one interface, out by another: clients behind lb0, backends behind lb1, both families, by MAC and in tunnels;
# lb1 not attached at first, then attached as well, with a client behind it.
. "$(dirname "$0")/lib.sh"

lab_up 0
ip -n switch link add br1 type bridge stp_state 0 mcast_snooping 0
ip -n switch link set br1 mtu 1600 up
# join NAME IFACE NUMBER: 10.1.0.NUMBER on the second switch.
join() {
	ip -n switch link add "$1-1" mtu 1600 type veth peer name "$2" netns "$1"
	host switch ethtool -K "$1-1" tx off gro on >/dev/null # on: it is woken by redirection
	host "$1" ethtool -K "$2" tx off gro on >/dev/null
	ip -n switch link set "$1-1" master br1 up
	ip -n "$1" -batch - <<-END
		link set $2 mtu 1600 up
		address add 10.1.0.$3/24 dev $2
		address add fd01::$3/64 dev $2 nodad
	END
}
join lb lb1 2
host lb sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
	net.ipv4.conf.{all,default,lb0,lb1}.rp_filter=0
for i in 1 2; do
	lab_namespace b$i
	join b$i eth0 1$i
	ip -n b$i route add default via 10.1.0.2
	ip -n b$i route add default via fd01::2
done
lab_namespace near # a client behind lb1
join near eth0 3
for i in 4 6; do
	vip=$([ $i = 4 ] && echo 192.0.2.10/32 || echo 2001:db8::10/128)
	ip -n client route replace $vip via $([ $i = 4 ] && echo 10.0.0.2 || echo fd00::2)
	ip -n near route replace $vip via $([ $i = 4 ] && echo 10.1.0.2 || echo fd01::2)
	ip -n b1 address add $vip dev lo
	ip -n b2 address add $vip dev lo
done
servers_start 2 8001 8002
nodes_attach 2
lbd_start

up() { # NAME VIP FORWARD ADDRESS ADDRESS [OPTION...]
	ok "service $1" lbctl service add "$1" "$2" --check none --forward "$3" "${@:6}"
	for address in "${@:4:2}"; do
		lbctl backend add "$1" "$address" || bail "backend add $1 $address"
	done
	wait_serving "$1" 2
}
ok "attach lb0, native" lbctl attach lb0 --mode native
up l2-4 192.0.2.10:8001 l2 10.1.0.11:8001 10.1.0.12:8001
up l2-6 '[2001:db8::10]:8001' l2 '[fd01::11]:8001' '[fd01::12]:8001'
up ipip-4 192.0.2.10:8002 ipip 10.1.0.11:8002 10.1.0.12:8002
up ipip-6 '[2001:db8::10]:8002' ipip 10.1.0.11:8002 10.1.0.12:8002
is "the way to the backends is lb1" "$(service_json l2-4 '[.backends[].status.next_hop.interface] | unique | join(",")')" lb1

port=10000
answered() { # CLIENT VIP WHAT
	local report before

	before=$(metric 'lb_packets_total{verdict="forwarded"}')
	report=$(host "$1" timeout 60 "$TRAFFIC" spread --to "$2" --count 500 --first-port $port)
	port=$((port + 500))
	is "$3: every connection is answered" "$(field ok "$report")" 500
	between "$3: by b1" "$(field b1 "$report")" 150 350
	between "$3: packets that lbd's program forwarded" \
		$(($(metric 'lb_packets_total{verdict="forwarded"}') - before)) 1000 5000
}
all() { # CLIENT WHAT
	answered "$1" 192.0.2.10:8001 "$2, IPv4 by MAC"
	answered "$1" '[2001:db8::10]:8001' "$2, IPv6 by MAC"
	answered "$1" 192.0.2.10:8002 "$2, IPv4 in IPv4"
	answered "$1" '[2001:db8::10]:8002' "$2, IPv6 in IPv4"
}
all client "out by an interface that is not attached"
up fullnat 192.0.2.10:8003 fullnat 10.1.0.11:8001 10.1.0.12:8001 --snat 10.1.0.2
ok "that answers to be translated come in by it is warned of" \
	wait_for 10 grep -q 'level=warn.* interface=lb1 service=fullnat .*mend="lbctl attach lb1"' "$RUN/lb/log"
ok "attach lb1, native" lbctl attach lb1 --mode native
answered client 192.0.2.10:8003 "translated"
all client "out by one that is attached, too"
all near "in and out by lb1"
is "nothing was dropped" "$(lbctl --json status | jq '[.verdicts | to_entries[] | select(.key | startswith("drop_")) | .value] | add')" 0

# A port of a bridge: by the bridge no packet could be redirected.
ip -n lb link add br0 type bridge
ip -n lb link add p0 type veth peer name p1
ip -n lb link set p0 master br0
matches "a bridge's port is refused, with the mend" "$(lbctl attach p0 2>&1)" "p0 is a port of the bridge br0.*attach to br0"
ip -n lb tuntap add tun0 mode tun
matches "and so is an interface without Ethernet" "$(lbctl attach tun0 2>&1)" "tun0 has packets without an Ethernet header"
done_testing
