#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ICMP errors reach the flow's backend, in both modes and families: a large answer gets through a router with a smaller
# MTU, and a large request into a tunnel that it does not fit. Where addresses are translated, so does a large request to
# a backend behind such a router, also between families; and large answers and requests where it is the load balancer's
# own link that takes less. Fragmented datagrams arrive whole, and VIPs answer pings.
. "$(dirname "$0")/lib.sh"

VIP4=192.0.2.10 VIP6=2001:db8::10
lab_up 2
lab_vip $VIP4 2
lab_vip $VIP6 2

# far: a client behind a router, whose link to it takes less than either end knows.
lab_host router eth0 200 1500
host router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
lab_namespace far
ip -n far link add eth0 type veth peer name far netns router
host far ethtool -K eth0 tx off >/dev/null
host router ethtool -K far tx off >/dev/null
ip -n far -batch - <<-END
	link set eth0 up
	address add 10.1.0.2/24 dev eth0
	address add fd01::2/64 dev eth0 nodad
	route add default via 10.1.0.1
	route add default via fd01::1
END
ip -n router -batch - <<-END
	link set far mtu 1400 up
	address add 10.1.0.1/24 dev far
	address add fd01::1/64 dev far nodad
	route add $VIP4/32 via 10.0.0.2
	route add $VIP6/128 via fd00::2
END
web_start() { # HOST: nginx, with a large file
	local dir=$RUN/web-$1 n

	mkdir -p "$dir"
	for ((n = 0; n < 20000; n++)); do
		echo "line $n of a large answer"
	done >"$dir/large"
	nginx_conf "$dir" <<-END
		client_max_body_size 10m;
		server {
			listen 80; listen [::]:80; listen 81; listen [::]:81;
			root $dir;
			location = /name { return 200 "$1\n"; }
		}
	END
	nginx_run "$1" "$dir"
	wait_for 10 host "$1" curl -sf -o /dev/null http://127.0.0.1/name || bail "nginx on $1 starts"
}
for i in 1 2; do
	ip -n "b$i" -batch - <<-END
		route add 10.1.0.0/24 via 10.0.0.200
		route add fd01::/64 via fd00::200
	END
	web_start b$i
done
web_start far
servers_start 2 5301 5302
nodes_attach 2
lbd_config </dev/null
lbd_start
ok "attach" lbctl attach lb0

counted() { # VERDICT
	metric "lb_packets_total{verdict=\"$1\"}"
}

fails() {
	! "$@"
}

rises() { # VERDICT COMMAND...: the command succeeds and the verdict was counted meanwhile
	local before

	before=$(counted "$1")
	"${@:2}" || return 1
	[ "$(counted "$1")" -gt "$before" ] || { echo "$1 is still $before"; return 1; }
}

forget_mtus() {
	local h

	for h in client far narrow b1 b2; do
		[ -e "/run/netns/$h" ] || continue
		host "$h" ip route flush cache
		host "$h" ip -6 route flush cache
	done
}

large_answer() { # HOST URL
	[ "$(host "$1" curl -sf --max-time 20 "$2/large" | sha256sum)" = "$(sha256sum <"$RUN/web-b1/large")" ]
}

large_request() { # URL [HOST]
	[ "$(host "${2-client}" curl -s --max-time 20 -H Expect: -o /dev/null -w '%{http_code}' --data-binary "@$RUN/web-b1/large" "$1/name")" = 200 ]
}

datagrams() { # VIP BYTES N: of different flows, each answered
	local i

	for ((i = 0; i < $3; i++)); do
		host client timeout 5 bash -c "exec 3<>/dev/udp/$1/\$0 && head -c $2 /dev/zero |
			dd bs=$2 iflag=fullblock status=none >&3 && read -r -n 1 -t 3 answer <&3 && [ \$answer = b ]" "$4" ||
			{ echo "datagram $i was not answered"; return 1; }
	done
}

mode() { # NAME VIP-OF-URL BACKEND-FAMILY FORWARD PORT UDP-PORT
	local vip=${2//[\[\]]/}

	FAMILY=$3
	echo "# $1"
	forget_mtus
	service_up "$1-tcp" "$2:$5" 2 --forward "$4" --check none
	service_up "$1-udp" "$2:$6/udp" 2 --forward "$4" --check none
	ok "$1: a large answer through a smaller MTU" rises forwarded_icmp large_answer far "http://$2:$5"
	ok "$1: large datagrams" datagrams "$vip" 4000 8 "$6"
}

mode ipip4 $VIP4 4 ipip 80 5301
mode ipip6 "[$VIP6]" 6 ipip 80 5301
mode l2-4 $VIP4 4 l2 81 5302
mode l2-6 "[$VIP6]" 6 l2 81 5302

echo "# a tunnel that full-sized packets do not fit"
for h in lb b1 b2; do
	ip -n $h link set "$([ $h = lb ] && echo lb0 || echo eth0)" mtu 1500
done
ok "4 in 4: the client is told" wait_for 20 rises answered_too_big large_request "http://$VIP4"
forget_mtus
ok "6 in 6: the client is told" rises answered_too_big large_request "http://[$VIP6]"

echo "# echo requests"
ok "no ping yet" fails host client ping -c 1 -W 1 $VIP4
ok "service set ping" lbctl service set ipip4-tcp --ping true
ok "service set ping, IPv6" lbctl service set ipip6-tcp --ping true
ok "the VIP answers" rises answered_echo host client ping -c 3 -i 0.2 -W 2 $VIP4
ok "the IPv6 VIP answers" rises answered_echo host client ping -c 3 -i 0.2 -W 2 $VIP6
ok "two services of an address" lbctl service set ipip4-udp --ping true
ok "one of them gives it up" lbctl service set ipip4-tcp --ping false
ok "the VIP still answers" rises answered_echo host client ping -c 1 -W 2 $VIP4
ok "so does the other" lbctl service set ipip4-udp --ping false
ok "the VIP does not answer any more" fails host client ping -c 1 -W 1 $VIP4
ip -n client route replace 203.0.113.0/28 via 10.0.0.2
ip -n client route replace 2001:db8:7::/64 via fd00::2
ok "a service of prefixes" lbctl apply -f <(lbctl export && cat <<-END
	  - {name: block, vip: ["203.0.113.0/28:80", "[2001:db8:7::/64]:*"], ping: true}
END
)
ok "each address of a prefix answers" rises answered_echo host client ping -c 1 -W 2 203.0.113.9
ok "of an IPv6 prefix, too" rises answered_echo host client ping -c 1 -W 2 2001:db8:7::9
ok "it is deleted" lbctl service del block
ok "they do not answer any more" fails host client ping -c 1 -W 1 203.0.113.9

echo "# translated connections"
# The router's link is between client and load balancer, or between that and a backend, which is far then.
ip -n lb route add 10.1.0.0/24 via 10.0.0.200
ip -n lb route add fd01::/64 via fd00::200
ip -n router route add 10.0.0.1/32 via 10.0.0.2
ip -n router route add fd00::1/128 via fd00::2
for i in 1 2; do
	ip -n "b$i" route replace 10.1.0.0/24 via 10.0.0.2
	ip -n "b$i" route replace fd01::/64 via fd00::2
done

translated() { # NAME VIP-OF-URL PORT BACKEND FAR-BACKEND OPTION...
	ok "$1: a service, and one with a backend far away" lbctl service add "$1" "$2:$3" --check none "${@:6}" || exit 1
	ok "$1: the other one" lbctl service add "$1-far" "$2:$(($3 + 1))" --check none "${@:6}" || exit 1
	lbctl backend add "$1" "$4:80" && lbctl backend add "$1-far" "$5:80" || bail "backend add $1"
	wait_serving "$1" 1
	wait_serving "$1-far" 1
	forget_mtus
	ok "$1: a large answer through a smaller MTU" rises forwarded_icmp large_answer far "http://$2:$3"
	ok "$1: a large request through a smaller MTU" rises replied_icmp large_request "http://$2:$(($3 + 1))"
}
translated nat4 $VIP4 90 10.0.0.11 10.1.0.2 --forward nat
translated nat6 "[$VIP6]" 90 '[fd00::11]' '[fd01::2]' --forward nat
translated fullnat4 $VIP4 92 10.0.0.11 10.1.0.2 --forward fullnat --snat 10.0.0.2
translated fullnat64 "[$VIP6]" 92 10.0.0.11 10.1.0.2 --forward fullnat --snat 10.0.0.2
translated fullnat46 $VIP4 94 '[fd00::11]' '[fd01::2]' --forward fullnat --snat fd00::2
echo "# links that full-sized translated packets do not fit"
# narrow: a client on a link of its own, of which the load balancer's end takes less than the others know; then the
# backends' link does.
lab_namespace narrow
ip -n lb link add lb1 mtu 1400 type veth peer name eth0 netns narrow
host narrow ethtool -K eth0 tx off gro on >/dev/null # on: it is woken by redirection
ip -n lb -batch - <<-END
	link set lb1 up
	address add 10.2.0.1/24 dev lb1
	address add fd02::1/64 dev lb1 nodad
END
ip -n narrow -batch - <<-END
	link set eth0 mtu 1500 up
	address add 10.2.0.2/24 dev eth0
	address add fd02::2/64 dev eth0 nodad
	route add default via 10.2.0.1
	route add default via fd02::1
END
ip -n b1 route add 10.2.0.0/24 via 10.0.0.2
ip -n b1 route add fd02::/64 via fd00::2
ok "attach the other interface" lbctl attach lb1
narrow_up() { # NAME URL
	forget_mtus
	ok "$1: the backend is told what its client's link takes" rises answered_too_big large_answer narrow "$2"
}
narrow_up nat4 "http://$VIP4:90"
narrow_up nat6 "http://[$VIP6]:90"
narrow_up fullnat4 "http://$VIP4:92"
narrow_up fullnat64 "http://[$VIP6]:92"
narrow_up fullnat46 "http://$VIP4:94"
ip -n lb link set lb1 mtu 1500
ip -n lb link set lb0 mtu 1400
ok "nat4: the client is told what its backend's link takes" wait_for 20 rises answered_too_big large_request "http://$VIP4:90" narrow
ok "nat6" rises answered_too_big large_request "http://[$VIP6]:90" narrow
forget_mtus
ok "fullnat64" rises answered_too_big large_request "http://[$VIP6]:92" narrow
forget_mtus
ok "fullnat46" rises answered_too_big large_request "http://$VIP4:94" narrow
ip -n lb link set lb0 mtu 1500
is "none was without a counterpart" "$(counted drop_nat_impossible)" 0

pieces() { # NAME VIP-OF-URL PORT BACKEND OPTION...
	local before vip=${2//[\[\]]/}

	ok "$1: a service" lbctl service add "$1" "$2:$3/udp" --check none "${@:5}" || exit 1
	lbctl backend add "$1" "$4:5301" || bail "backend add $1"
	wait_serving "$1" 1
	ok "$1: a large datagram, once lbd knows what the link takes again" wait_for 20 datagrams "$vip" 4000 1 "$3"
	before=$(counted replied)
	ok "$1: large datagrams, and as large answers" datagrams "$vip" 4000 4 "$3"
	is "$1: the answers came in three pieces each" $(($(counted replied) - before)) 12
}
pieces fullnat4-udp $VIP4 97 10.0.0.11 --forward fullnat --snat 10.0.0.2
pieces fullnat6-udp "[$VIP6]" 97 '[fd00::11]' --forward fullnat --snat fd00::2

echo "# pieces that change family"
# IPv4's grow by 28 bytes, and have to fit then.
ip -n client route change $VIP4/32 via 10.0.0.2 mtu 1472
ip -n b1 route add 10.0.0.2/32 dev eth0 mtu 1472
pieces fullnat64-udp "[$VIP6]" 98 10.0.0.11 --forward fullnat --snat 10.0.0.2
pieces fullnat46-udp $VIP4 98 '[fd00::11]' --forward fullnat --snat fd00::2
is "all of them could" "$(counted drop_nat_impossible)" 0
ip -n client route change $VIP4/32 via 10.0.0.2
ip -n b1 route del 10.0.0.2/32

# Two clients whose datagrams come in pieces, in turn, with one ID, to a backend that sees them as one address.
ip -n client address add 10.0.0.7/24 dev eth0
ok "pieces of two clients with the same ID" host client timeout 20 python3 - $VIP4 97 10.0.0.1 10.0.0.7 <<-'END'
	import socket, struct, sys

	vip, port, clients = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
	raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
	udp = []
	for client in clients:
	    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	    s.bind((client, 0))
	    s.settimeout(5)
	    udp.append(s)

	def piece(i, offset, more, data):
	    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 4242, offset >> 3 | (0x2000 if more else 0), 64, 17, 0,
	                       socket.inet_aton(clients[i]), socket.inet_aton(vip))
	    raw.sendto(head + data, (vip, 0))

	for i in (0, 1):
	    sport = udp[i].getsockname()[1]
	    piece(i, 0, True, struct.pack("!HHHH", sport, port, 8 + 1000 + 8, 0) + bytes(1000))
	for i in (0, 1):
	    piece(i, 1008, False, bytes(8))
	for s in udp:
	    assert s.recv(100).startswith(b"b")
END

echo "# segment sizes"
mss_of() { # what b1 and b2 may send at most, of the connection to PORT
	{ host b1 ss -Htin "sport = $1"; host b2 ss -Htin "sport = $1"; } | grep -o ' mss:[0-9]*' | sort -u
}
FAMILY=4
service_up clamped $VIP4:5301 2 --check none --forward l2 --mss-clamp 900
talk_start held host client "$TRAFFIC" hold --to "$VIP4:5301" --count 1
talk_read held
matches "the backend's segments are clamped" "$(mss_of :5301)" '^ mss:(900|888)$'
talk held quit

echo "# translated fragments, with the way back that nat needs"
ip -n b1 route replace 10.0.0.1/32 via 10.0.0.2
ip -n b1 route replace fd00::1/128 via fd00::2
pieces nat4-udp $VIP4 96 10.0.0.11 --forward nat
pieces nat6-udp "[$VIP6]" 96 '[fd00::11]' --forward nat
done_testing
