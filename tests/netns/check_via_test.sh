#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Checks that go by way of the VIP: through every kind of tunnel, with every kind of check that makes connections; they find
# what direct ones cannot. What they leave on interfaces, and what becomes of it when lbd dies.
. "$(dirname "$0")/lib.sh"

lab_up 2
ip -n lb route add default via 10.0.0.1
ip -n lb route add default via fd00::1
EVERY=(--check-interval 250ms --check-timeout 250ms --rise 2 --fall 2)

# service NAME N FAMILY BACKENDS-FAMILY OPTION...: a VIP of its own, 192.0.2.N or 2001:db8::N, on b1 and b2
declare -A VIP_OF
service() {
	local vip=192.0.2.$2 proto=tcp

	[ "$3" = 4 ] || vip=2001:db8::$2
	VIP_OF[$1]=$vip
	lab_vip "$vip" 2
	[ "$3" = 4 ] || vip=[$vip]
	[[ ${*:5} != *"--check udp"* && ${*:5} != *"--check dns"* ]] || proto=udp
	ok "service $1" lbctl service add "$1" "$vip:80/$proto" "${EVERY[@]}" "${@:5}"
	for i in 1 2; do
		FAMILY=$4
		lbctl backend add "$1" "$(backend_addr $i 80)" || bail "backend add $1 b$i"
	done
}
vip_gone() { ip -n b2 address del "${VIP_OF[$1]}$([[ ${VIP_OF[$1]} == *:* ]] && echo /128 || echo /32)" dev lo; }
vip_back() { ip -n b2 address add "${VIP_OF[$1]}$([[ ${VIP_OF[$1]} == *:* ]] && echo /128 || echo /32)" dev lo; }
health() { service_json "$1" ".backends[$(($2 - 1))].status | \"\(.health)/\(.reason)\""; }
has_health() { [[ "$(health "$1" "$2")" =~ ^($3)$ ]]; }
becomes() { # SERVICE BACKEND HEALTH/REASON WHAT
	wait_for 15 has_health "$1" "$2" "$3" || { not_ok "$4: $1 on b$2 is $3" "it is $(health "$1" "$2")"; return; }
	ok "$4: $1 on b$2 is $3" true
}
ours() { host lb tc filter show dev "$1" egress | grep -c lb_check; }
has_ours() { [ "$(ours "$1")" = "$2" ]; }

declare -A PID
server() { # I NAME COMMAND...
	nsenter --net="/run/netns/b$1" -- "${@:3}" >>"$RUN/$2.log" 2>&1 &
	PID[$2]=$!
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x -keyout "$RUN/x.key" -out "$RUN/x.pem" \
	2>"$RUN/openssl.log" || bail "certificate"
web() { # I LISTEN: its own address or any
	local dir=$RUN/nginx$1

	nginx_conf "$dir" <<-END2
		large_client_header_buffers 4 16k;
		root $dir;
		server {
			listen $2:80;
			listen [::]:80 ipv6only=on;
			listen $2:8443 ssl;
			ssl_certificate $RUN/x.pem; ssl_certificate_key $RUN/x.key;
			location /health { return 200 fine; }
			location /header { if (\$http_x_15 !~ "^p*\$") { return 403; } return 204; }
		}
	END2
	server "$1" "nginx$1" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/log"
	wait_for 5 host "b$1" curl -sf --max-time 1 "http://10.0.0.1$1/health" || bail "nginx on b$1" "$(cat "$dir/log")"
}
web_end() {
	kill -KILL "${PID[nginx$1]}"
	wait "${PID[nginx$1]}" 2>/dev/null
}

web 1 0.0.0.0
web 2 0.0.0.0
head -c 60000 /dev/zero | tr '\0' x | tee "$RUN/nginx1/big" >"$RUN/nginx2/big"
nodes_attach 2
# Somebody else's filters, which have to see what is not a check's, and to stay.
host lb tc qdisc add dev lb0 clsact
filter() { host lb tc filter "$1" dev lb0 "$2" protocol all prio "$3" bpf "${@:4}"; }
filter add egress 7 bytecode '1,6 0 0 0,' flowid 1:1
filter add ingress 1 bytecode '1,6 0 0 0,' flowid 1:1
lbd_start
ok "attach" lbctl attach lb0
ok "nothing of ours without such checks" has_ours lb0 0

HTTP=(--check http:/health --expect-body fine --check-via vip)
service direct 1 4 4 --forward ipip --check http:/health
service l2 2 4 4 --forward l2 "${HTTP[@]}"
service l2-6 2 6 6 --forward l2 "${HTTP[@]}"
service ipip 3 4 4 --forward ipip "${HTTP[@]}"
service ipip-6 3 6 6 --forward ipip "${HTTP[@]}"
service 4in6 4 4 6 --forward ipip "${HTTP[@]}"
service 6in4 4 6 4 --forward ipip "${HTTP[@]}"
service gue 5 4 4 --forward gue "${HTTP[@]}"
service gue-6 5 6 6 --forward gue "${HTTP[@]}"
service gue-4in6 6 4 6 --forward gue "${HTTP[@]}"
service gue-6in4 6 6 4 --forward gue "${HTTP[@]}"
TUNNELS=(ipip ipip-6 4in6 6in4 gue gue-6 gue-4in6 gue-6in4)
for name in direct l2 l2-6 "${TUNNELS[@]}"; do
	for i in 1 2; do becomes "$name" $i up/ok "all is well"; done
done
is "one filter of ours" "$(ours lb0)" 1
filter add egress 8 da bytecode '1,6 0 0 2,' || bail "a filter that drops"
not_ok_ping() { ! host lb ping -c 1 -W 1 10.0.0.11; }
ok "what is not a check's gets to others' filters" not_ok_ping
filter del egress 8
ok "and, without them, where it goes" wait_for 5 host lb ping -c 1 -W 1 10.0.0.11
for name in l2 l2-6 "${TUNNELS[@]}"; do
	for i in 1 2; do becomes "$name" $i up/ok "and checks, too"; done
done

echo "# the VIP is missing on b2"
for name in l2 l2-6 "${TUNNELS[@]}"; do vip_gone "$name"; done
vip_gone direct
for name in l2 l2-6 "${TUNNELS[@]}"; do becomes "$name" 2 down/timeout "no VIP there"; done
for name in l2 l2-6 "${TUNNELS[@]}"; do
	is "$name on b1 stays" "$(health "$name" 1)" up/ok
	vip_back "$name"
done
for name in l2 l2-6 "${TUNNELS[@]}"; do becomes "$name" 2 up/ok "the VIP is back"; done
is "a direct check does not see that" "$(health direct 2)" up/ok
vip_back direct

echo "# nothing takes the tunnel's header off on b2"
ok "lbnode detaches" host b2 "$BUILD/lbnode" detach eth0
for name in "${TUNNELS[@]}"; do becomes "$name" 2 'down/(timeout|unreachable)' "no tunnel's end"; done
is "l2 needs none" "$(health l2 2) $(health l2-6 2)" "up/ok up/ok"
ok "lbnode attaches" host b2 "$BUILD/lbnode" attach eth0
for name in "${TUNNELS[@]}"; do becomes "$name" 2 up/ok "the tunnel's end is back"; done

echo "# the server listens at its own address alone"
web_end 2
web 2 10.0.0.12
for name in l2 ipip gue 4in6; do becomes "$name" 2 down/refused "another address"; done
becomes direct 2 up/ok "which is where a direct check looks"
becomes ipip-6 2 up/ok "every IPv6 address"
web_end 2
web 2 0.0.0.0
for name in l2 ipip gue 4in6; do becomes "$name" 2 up/ok "every address"; done

echo "# the other checks"
talk_start grpc nsenter --net=/run/netns/b1 -- /usr/bin/python3 "$ROOT/tests/netns/grpc_server.py" 50051
talk_read grpc
is "gRPC starts" "$ANSWER" ready
HEADERS=()
for i in {0..15}; do HEADERS+=(--check-header "X-$i: $(printf 'p%.0s' {1..240})"); done
service tcp 20 4 4 --forward ipip --check tcp --check-via vip
service https 21 4 4 --forward ipip --check https:/health --check-port 8443 --check-verify false --check-via vip
service grpc 22 4 4 --forward gue --check grpc --check-port 50051 --check-via vip
service ping 23 4 4 --forward ipip --check ping --check-via vip
service ping-6 24 6 6 --forward gue --check ping --check-via vip
service udp 25 4 4 --forward ipip --check udp --check-send ab --check-expect ab --check-via vip
service large 26 4 4 --forward ipip --check http:/header --check-via vip --expect-status 204 "${HEADERS[@]}"
service large-6 27 6 6 --forward gue --check http:/header --check-via vip --expect-status 204 "${HEADERS[@]}"
service big 28 4 6 --forward ipip --check http:/big --check-via vip --expect-body xxx
server 1 echo socat -T 5 UDP4-RECVFROM:80,bind=192.0.2.25,fork EXEC:cat
server 2 echo2 socat -T 5 UDP4-RECVFROM:80,bind=10.0.0.12,fork EXEC:cat
for name in tcp https ping ping-6 large large-6 big; do
	for i in 1 2; do becomes $name $i up/ok "all is well"; done
done
becomes grpc 1 up/ok "SERVING"
becomes grpc 2 down/refused "no server"
becomes udp 1 up/ok "an answer"
becomes udp 2 'down/(refused|timeout)' "bound to another address"
vip_gone ping
becomes ping 2 down/timeout "no VIP there"
vip_gone tcp
becomes tcp 2 down/timeout "no VIP there"
ip -n lb link set lb0 mtu 1500
ok "segments that need room for headers" lbctl service set large --check-host another
for i in 1 2; do becomes large $i up/ok "an MTU like everybody's"; done
ip -n lb link set lb0 mtu 1600

echo "# the way to the VIP"
reason_is() { [ "$(health "$1" 1)" = "$2" ]; }
# What is lbd's own trouble leaves the health as it is: it must not be down for checks that a busy machine was too slow for.
ok "a backend that is patient" lbctl service set ipip --fall 1000
becomes ipip 1 up/ok "all is well"
ip -n lb route del default via 10.0.0.1
becomes ipip 1 up/internal "without a route nothing is said of the backend"
ok "it is in the log" wait_for 10 grep -q 'no checks by way of a VIP.*vip=192.0.2.3 reason=no_route' "$RUN/$LB/log"
becomes ipip-6 1 up/ok "IPv6 has its route"
ip -n lb route add default via 10.0.0.1
becomes ipip 1 up/ok "with a route again"
ip -n lb address add 192.0.2.3/32 dev lo
becomes ipip 1 up/internal "the VIP is the load balancer's own"
becomes l2 1 up/ok "not so others"
ip -n lb address del 192.0.2.3/32 dev lo
becomes ipip 1 up/ok "it is no longer"
ok "no longer patient" lbctl service set ipip --fall 2
ip -n lb link add other type veth peer name far
ip -n lb address add 10.7.0.1/24 dev other
ip -n lb link set far up
ip -n lb link set other up
ip -n lb neighbour add 10.7.0.2 lladdr 02:00:00:00:07:02 dev other nud permanent
ip -n lb route add 192.0.2.3 via 10.7.0.2 src 10.0.0.2
ok "a route by another interface: the filter is there, too" wait_for 10 has_ours other 1
vip_gone ipip
becomes ipip 2 down/timeout "no VIP there"
vip_back ipip
becomes ipip 2 up/ok "the VIP is back"
ip -n lb route del 192.0.2.3
ok "the route is back: the filter is gone" wait_for 10 has_ours other 0
host lb tc filter del dev lb0 egress prio 1
ok "a filter that somebody took away comes back" wait_for 10 has_ours lb0 1
for i in 1 2; do becomes ipip $i up/ok "and works"; done

echo "# lbd dies"
vip_gone l2
becomes l2 2 down/timeout "no VIP there"
lbd_end KILL
is "the filter stays" "$(ours lb0)" 1
lbd_start
becomes l2 1 up/ok "after a restart"
becomes l2 2 down/timeout "after a restart"
vip_back l2
becomes l2 2 up/ok "after a restart"
is "one filter of ours" "$(ours lb0)" 1
matches "others' filters are there" "$(host lb tc filter show dev lb0 egress) $(host lb tc filter show dev lb0 ingress)" \
	'pref 7 bpf .* pref 1 bpf '
lbctl export >"$RUN/export.yaml"
ok "what is exported changes nothing" lbctl diff -f "$RUN/export.yaml"
lbd_end
is "an orderly end takes the filter along" "$(ours lb0)" 0
lbd_start
ok "it comes back" wait_for 10 has_ours lb0 1
lbd_end KILL
is "the filter stays" "$(ours lb0)" 1
rm -r "$RUN/$LB/state"
lbd_start
ok "but not with an lbd that has no such checks" wait_for 10 has_ours lb0 0
matches "others' filters are there" "$(host lb tc filter show dev lb0 egress) $(host lb tc filter show dev lb0 ingress)" \
	'pref 7 bpf .* pref 1 bpf '
lbd_end
done_testing
