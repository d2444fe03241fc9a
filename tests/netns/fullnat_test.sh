#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# forward: fullnat, where nobody but the load balancer has a route for it: client, load balancer and backends are one
# subnet and on one interface. All pairings of families, TCP and UDP, other ports, policies, affinity, ports that run out.
. "$(dirname "$0")/lib.sh"

lab_up 3
host lb sysctl -qw net.ipv4.ip_local_port_range="2048 65500"
host lb ip address add 10.0.0.3/24 dev lb0
servers_start 3 7002 7003 80
ip -n client route replace 192.0.2.10/32 via 10.0.0.2
ip -n client route replace 2001:db8::10/128 via fd00::2
lbd_config <<-END
	max_connections: 4096
	timeouts: {tcp_half_open: 1s, tcp_transitory: 1s, udp: 5s, udp_unreplied: 1s}
END
lbd_start
ok "attach" lbctl attach lb0

full_up() { # NAME VIP FAMILY SNAT PORT [OPTION...]
	FAMILY=$3
	BACKEND_PORT=$5 service_up "$1" "$2" 3 --forward fullnat --snat "$4" "${@:6}"
}
translated() {
	lbctl --json status | jq -r ".translated.$1"
}
is_translated() { # FIELD N
	[ "$(translated "$1")" = "$2" ]
}
shares() { # WHAT
	local i

	for i in 1 2 3; do
		between "$1: b$i has its share" "$(field b$i "$REPORT")" 20 120
	done
}

port=9000
for pair in 4,4 6,6 6,4 4,6; do
	client=${pair%,*} backend=${pair#*,}
	vip=192.0.2.10 snat=10.0.0.2,10.0.0.3
	[ "$client" = 4 ] || vip='[2001:db8::10]'
	[ "$backend" = 4 ] || snat=fd00::2
	port=$((port + 1))
	name=IPv$client-to-IPv$backend
	full_up tcp$client$backend $vip:$port/tcp "$backend" $snat 7002
	spread --to $vip:$port --count 200 --parallel 16
	is "$name: connections are answered" "$(field ok "$REPORT")" 200
	shares "$name"
	spread --big --to $vip:$port --count 10
	is "$name: so are long questions" "$(field ok "$REPORT")" 10
	full_up udp$client$backend $vip:$port/udp "$backend" $snat 7002 --check none
	spread --udp --to $vip:$port --count 100 --parallel 16
	is "$name: datagrams are answered" "$(field ok "$REPORT")" 100
done
is "what backends saw was translated back" "$(metric 'lb_packets_total{verdict="drop_nat_no_entry"}')" 0

echo "# who gets a new connection"
full_up turn 192.0.2.10:9010/tcp 4 10.0.0.2 7003 --policy round_robin
spread --to 192.0.2.10:9010 --count 300 --parallel 16
is "in turn" "$(field b1 "$REPORT") $(field b2 "$REPORT") $(field b3 "$REPORT")" "100 100 100"
full_up sticky 192.0.2.10:9011/tcp 4 10.0.0.2 7003 --affinity source
spread --to 192.0.2.10:9011 --count 50
is "a client keeps its backend" "$(field ok "$REPORT")" "$(($(field b1 "$REPORT") > $(field b2 "$REPORT") ? $(field b1 "$REPORT") : $(field b2 "$REPORT") > $(field b3 "$REPORT") ? $(field b2 "$REPORT") : $(field b3 "$REPORT")))"
full_up least 192.0.2.10:9012/tcp 4 10.0.0.2 7003 --policy least_conn
ok "b1 drains" lbctl backend drain least 10.0.0.11:7003
ok "b2 drains" lbctl backend drain least 10.0.0.12:7003
talk_start first host client "$TRAFFIC" hold --to 192.0.2.10:9012 --count 100 --first-port 20000 --every 300
talk_read first
is "100 to b3" "$(field b3 "$ANSWER")" 100
ok "b1 is back" lbctl backend enable least 10.0.0.11:7003
ok "b2 is back" lbctl backend enable least 10.0.0.12:7003
wait_serving least 3
talk_start second host client "$TRAFFIC" hold --to 192.0.2.10:9012 --count 150 --first-port 21000 --every 300
talk_read second
is "150 more" "$(field alive "$ANSWER")" 150
between "hardly one of them to b3" "$(field b3 "$ANSWER")" 0 35

lbctl --json flows least --client 10.0.0.1 >"$RUN/flows"
is "all are listed, at their ports" "$(jq -r '.flows[].client' "$RUN/flows" | sort | tr '\n' ' ')" \
	"$(seq -f '10.0.0.1:%.0f' 20000 20099 | tr '\n' ' ')$(seq -f '10.0.0.1:%.0f' 21000 21149 | tr '\n' ' ')"
is "to their VIP, and are open" "$(jq -c '[.flows[] | [.service, .vip, .state, .proven, .closed]] | unique' "$RUN/flows")" \
	'[["least","192.0.2.10:9012/tcp","established",true,false]]'
on_backend() { # I: what its connections come from
	host b$1 ss -Htn state established 'sport = :7003' | awk '{sub("::ffff:", "", $4); gsub("[][]", "", $4); print $4}' | sort
}
for i in 1 2 3; do
	jq -r ".flows[] | select(.backend == \"10.0.0.1$i:7003\") | .snat" "$RUN/flows" | sort >"$RUN/snats"
	is "b$i has those that are listed, as they are translated" "$(on_backend $i | comm -12 "$RUN/snats" -)" "$(cat "$RUN/snats")"
done
is "--limit" "$(lbctl --json flows least --client 10.0.0.1 --limit 7 | jq -c '[.entries, (.flows | length)]')" "[250,7]"
counted() {
	[ "$(lbctl --json flows least | jq -c '[.entries, .translated, ([.flows[].translated] | add)]')" = "[0,250,250]" ]
}
ok "and counted by backend" wait_for 10 counted

echo "# an address of snat that the host loses"
logged() { # N REGEX: so many lines
	[ "$(grep -cE "$2" "$RUN/lb/log")" = "$1" ]
}
# one that no socket can be bound to yet, as none can to a VRF's: an interface has it
host lb sysctl -qw net.ipv6.conf.lb0.accept_dad=1 net.ipv6.conf.lb0.dad_transmits=600
host lb ip address add fd00::78/64 dev lb0
matches "a tentative address" "$(host lb ip address show dev lb0 tentative)" 'fd00::78/64'
full_up unbound '[2001:db8::10]:9014/tcp' 6 fd00::78 7003 --check none
host lb ip address del 10.0.0.3/24 dev lb0
full_up elsewhere 192.0.2.10:9013/tcp 4 10.0.0.77 7003 --check none
ok "is told of" wait_for 15 logged 1 "level=warn msg=\"an address of snat is not this host's own.* address=10.0.0.3 service=tcp44"
ok "one that it never had, too" wait_for 15 logged 1 "level=warn msg=\"an address of snat is not this host's own.* address=10.0.0.77 service=elsewhere"
host lb ip address add 10.0.0.3/24 dev lb0
ok "it is back" wait_for 15 logged 1 "level=info msg=\"an address of snat is this host's\" address=10.0.0.3"
is "all of that once, and nothing of the others" "$(grep -c 'address of snat' "$RUN/lb/log")" 3

echo "# a backend dies"
ok "b2 is disabled" lbctl backend disable least 10.0.0.12:7003
talk first ping
is "others keep theirs" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "100 0"
talk first quit
talk second quit
ok "what is over goes" wait_for 30 is_translated connections 0 || lbctl status
done_testing
