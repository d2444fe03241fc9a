#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# forward: nat, between hosts that have their way back through the load balancer: TCP and UDP, both families, ports that
# differ, connections that outlive lbd and changes of backends, ends by timers, floods.
. "$(dirname "$0")/lib.sh"

lab_up 3
lab_host flooder eth0 9 1500
host lb sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
servers_start 3 7002 7003
for i in 1 2 3; do
	ip -n b$i route replace 10.0.0.1/32 via 10.0.0.2
	ip -n b$i route replace fd00::1/128 via fd00::2
done
ip -n client route replace 192.0.2.10/32 via 10.0.0.2
ip -n client route replace 2001:db8::10/128 via fd00::2
lbd_config <<-END
	max_connections: 1024
	timeouts: {tcp_half_open: 1s, tcp_transitory: 10s, udp: 10s, udp_unreplied: 1s}
END
lbd_start
ok "attach" lbctl attach lb0

nat_up() { # NAME VIP N [OPTION...]: a service with backends b1..bN on port $PORT
	BACKEND_PORT=$PORT service_up "$1" "$2" "$3" --forward nat "${@:4}"
}
translated() {
	lbctl --json status | jq -r ".translated.$1"
}
is_translated() { # FIELD N
	[ "$(translated "$1")" = "$2" ]
}
drops() { # VERDICT
	metric "lb_packets_total{verdict=\"$1\"}"
}

PORT=7002
for family in 4 6; do
	FAMILY=$family
	vip=192.0.2.10
	[ $family = 4 ] || vip='[2001:db8::10]'
	nat_up tcp$family $vip:9092/tcp 2
	spread --to $vip:9092 --count 150 --parallel 16
	is "IPv$family: connections to another port are answered" "$(field ok "$REPORT")" 150
	between "IPv$family: b1 has its share" "$(field b1 "$REPORT")" 40 110
	nat_up udp$family $vip:9092/udp 2 --check none
	spread --udp --to $vip:9092 --count 100 --first-port 40000 --parallel 16
	is "IPv$family: datagrams are answered" "$(field ok "$REPORT")" 100
	address=10.0.0.1
	[ $family = 4 ] || address=fd00::1
	is "IPv$family: they are listed, as the client's own" "$(lbctl --json flows udp$family --client $address |
		jq -c '[.entries, ([.flows[] | [.service, .vip, .state, .proven, .snat]] | unique[])]')" \
		"[100,[\"udp$family\",\"$vip:9092/udp\",\"replied\",true,null]]"
done
FAMILY=4
counted() { # what two CPUs counted twice or not at all is put right by and by
	[ "$(translated connections)" -ge 500 ] && [ "$(translated connections)" -le 510 ]
}
ok "status counts them" wait_for 5 counted
is "metrics do, too" "$(metric lb_nat_connections)" "$(translated connections)"
is "and how many there may be" "$(metric lb_nat_capacity)" 1024

echo "# connections stay"
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:9092 --count 100 --first-port 20000 --every 300
talk_read held
of_b1=$(field b1 "$ANSWER")
is "100 are open" "$(field alive "$ANSWER")" 100
lbd_end KILL
talk held ping
is "lbd is dead: all are alive" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "100 0"
lbd_start
ok "backend add b3" lbctl backend add tcp4 10.0.0.13:$PORT
wait_serving tcp4 3
talk held ping
is "lbd is back, with another backend: none moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "100 0"
ok "b1 drains" lbctl backend drain tcp4 10.0.0.11:$PORT
talk held ping
is "drained: none moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "100 0"
spread --to 192.0.2.10:9092 --count 60 --first-port 30000
is "new ones go elsewhere" "$(field ok "$REPORT") $(field b1 "$REPORT")" "60 0"
ports_are_free() {
	[ -z "$(host client ss -Htan 'sport >= :30000 and sport < :30060')" ]
}
ok "their last ACKs have come" wait_for 5 ports_are_free
spread --to 192.0.2.10:9092 --count 60 --first-port 30000
is "on the same ports again" "$(field ok "$REPORT") $(field b1 "$REPORT")" "60 0"
left() { # FIELD
	service_json tcp4 ".backends[] | select(.address == \"10.0.0.11:$PORT\") | .status.$1"
}
left_is() { # FIELD VALUE
	[ "$(left "$1")" = "$2" ]
}
ok "what is left of b1 is counted" wait_for 10 left_is active_connections "$of_b1"
is "it drains" "$(left state)" draining
lbd_end KILL
lbd_start
ok "and after a restart" wait_for 10 left_is active_connections "$of_b1"
is "it still drains" "$(left state)" draining

echo "# connections of a client"
lbctl --json flows tcp4 --client 10.0.0.1 | jq '.flows[] | select(.client | test(":20[0-9]{3}$"))' >"$RUN/flows"
is "the 100 that are open are listed, at their ports" "$(jq -r 'select(.state == "established") | .client' "$RUN/flows" | sort | tr '\n' ' ')" \
	"$(seq -f '10.0.0.1:%.0f' 20000 20099 | tr '\n' ' ')"
is "with their backends" "$(jq -r 'select(.state == "established") | .backend' "$RUN/flows" | grep -c "10.0.0.11:$PORT")" "$of_b1"
is "another client has none" "$(lbctl flows --client 10.0.0.7 --count)" 0
matches "as a table" "$(lbctl flows tcp4 --client 10.0.0.1)" "tcp4 +192.0.2.10:9092/tcp +10.0.0.1:20099 +10.0.0.1[1-3]:$PORT +yes +no +[0-9]+ established -"
lbctl --json flows tcp4 --backend "10.0.0.11:$PORT" >"$RUN/flows"
is "those to one backend" "$(jq -r '.flows[] | select(.state == "established" and (.client | test(":20[0-9]{3}$"))) | .backend' "$RUN/flows" | sort | uniq -c | xargs)" "$of_b1 10.0.0.11:$PORT"
is "without its port" "$(lbctl --json flows tcp4 --backend 10.0.0.11 | jq '[.flows[] | select(.state == "established" and (.client | test(":20[0-9]{3}$")))] | length')" "$of_b1"
is "no more than were asked for" "$(lbctl --json flows tcp4 --backend 10.0.0.11 --limit 3 | jq '.flows | length')" 3
is "of another client" "$(lbctl flows tcp4 --backend 10.0.0.11 --client 10.0.0.7 --count)" 0
is "of the client" "$(lbctl --json flows tcp4 --backend 10.0.0.11 --client 10.0.0.1 | jq -r '.flows[].backend' | sort -u)" "10.0.0.11:$PORT"
matches "as a table" "$(lbctl flows --backend "10.0.0.11:$PORT")" "tcp4 +192.0.2.10:9092/tcp +10.0.0.1:20[0-9]+ +10.0.0.11:$PORT +yes +no +[0-9]+ established -"
matches "of no backend" "$(lbctl flows tcp4 --backend 10.0.0.99 2>&1)" '^lbctl: service tcp4 has no backend 10.0.0.99$'
is "by backend" "$(lbctl --json flows tcp4 | jq ".flows[] | select(.backend == \"10.0.0.11:$PORT\") | .translated")" "$of_b1"
spread --to 192.0.2.10:9092 --count 20 --first-port 35000
closing() { # those of the last 20 whose ends have both said so
	[ "$(lbctl --json flows tcp4 --client 10.0.0.1 | jq '[.flows[] | select(.state == "closing" and (.client | test(":350[01][0-9]$")))] | length')" = 20 ]
}
ok "what has ended is closing" wait_for 5 closing

echo "# room for more, while they are open"
{ lbctl export | sed 's/^max_connections: .*/max_connections: 2048/'; } >$RUN/more.yaml
ok "max_connections: 2048" lbctl apply -f $RUN/more.yaml
is "there is" "$(translated capacity)" 2048
talk held ping
is "none moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "100 0"

echo "# a flood of SYNs to one service"
nat_up victim 192.0.2.10:9093/tcp 1 --check none
host flooder "$BUILD/tests/synflood" eth0 02:00:00:00:00:02 192.0.2.10 9093 300000 20000 >"$RUN/flood" &
flood=$!
refused() {
	[ "$(drops drop_nat_full)" -gt 1000 ]
}
ok "it uses up its share" wait_for 10 refused
spread --to 192.0.2.10:9092 --count 200 --first-port 31000 --parallel 16
is "new connections to another service are made" "$(field ok "$REPORT")" 200
between "half-open ones have no more than their share" "$(translated half_open)" 256 1024
ok "the flood goes on" kill -0 $flood
kill $flood
wait $flood 2>/dev/null
talk held ping
is "none moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "100 0"

echo "# ends"
is "b1 drains while they are open" "$(left state) $(left active_connections)" "draining $of_b1"
talk held quit
ok "without a connection it is drained" wait_for 10 left_is state drained
is "why" "$(left drain.end)" empty
ok "connections that are over go" wait_for 60 is_translated connections 0 || lbctl status
is "none is half-open" "$(translated half_open)" 0
spread --udp --to 192.0.2.10:9092 --count 50 --first-port 41000
is "datagrams are answered" "$(field ok "$REPORT")" 50
between "and remembered" "$(translated connections)" 50 50
ok "for a while" wait_for 30 is_translated connections 0

echo "# what is refused"
refuses() { # WHAT REGEX COMMAND...
	local out

	out=$("${@:3}" 2>&1) && not_ok "$1" "it was not refused" && return
	matches "$1" "$out" "$2"
}
refuses "a backend of another family" "use fullnat" lbctl backend add tcp4 '[fd00::11]:7002'
{ lbctl export | sed 's/^max_connections: .*/max_connections: 1024/'; } >$RUN/less.yaml
ok "less room, when there is nothing in it" lbctl apply -f $RUN/less.yaml

echo "# other sizes of the map while connections are opened"
BACKEND_PORT=7002 service_up full 192.0.2.10:9094/tcp 3 --forward fullnat --snat 10.0.0.2
room() { # N
	sed -i "s/^max_connections: .*/max_connections: $1/" $RUN/less.yaml
	lbctl apply -f $RUN/less.yaml
}
lbctl export >$RUN/less.yaml
ok "room for many" room 100000
talk_start load host client "$TRAFFIC" load --to 192.0.2.10:9094 --rate 4000 --parallel 200 --timeout 20000
many() {
	[ "$(translated connections)" -ge 3000 ]
}
ok "they are" wait_for 30 many
talk load mark
lost=$(drops drop_nat_no_entry)
for n in 110000 100000 110000; do
	ok "max_connections: $n" room $n
done
talk load quit
is "none fails" "$(field since_mark_failed "$ANSWER")" 0
is "every packet's connection is known" "$(drops drop_nat_no_entry)" "$lost"
refuses "less room than there has to be" "max_connections: 1024 are fewer than there are now" room 1024
is "nothing has changed" "$(translated capacity)" 110000

echo "# lines for as many connections as the counter says"
BPFTOOL=$(command -v bpftool || echo /usr/sbin/bpftool)
talk_start few host client "$TRAFFIC" hold --to 192.0.2.10:9092 --count 20 --first-port 22000 --every 300
talk_read few
is "20 are open" "$(field alive "$ANSWER")" 20
# 100000 in all, none of them half-open
"$BPFTOOL" map update pinned "$(echo /sys/fs/bpf/"$LB"/v*/lb_nat_loads)" key 0 0 0 0 value hex \
	a0 86 01 00 00 00 00 00 00 00 00 00 00 00 00 00
more_lines() {
	grep -q 'level=info msg="lines of translated connections" bytes=[0-9]*' "$RUN/lb/log"
}
ok "they are more" wait_for 30 more_lines
talk few ping
is "none moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "20 0"
done_testing
