#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What leaves the load balancer, byte for byte as tcpdump sees it on the wire to the backend.
. "$(dirname "$0")/lib.sh"

lab_up 1
lab_vip 192.0.2.10 1
lab_vip 2001:db8::10 1
servers_start 1 8001 8002 8003 8004 8005 8006 8007 8008 8009 8010
nodes_attach 1
lbd_start
ok "attach" lbctl attach lb0

# capture NAME FILTER COMMAND...: the packets to b1 that FILTER takes while COMMAND runs; as text in $PACKETS, a line
# each. A last packet, to the discard port, tells that tcpdump has seen all before it.
capture() {
	local file=$RUN/$1.pcap filter=$2 pid

	shift 2
	nsenter --net=/run/netns/switch -- tcpdump --immediate-mode -U -n -s 256 -B 8192 -i b1 -w "$file" \
		"ether dst 02:00:00:00:00:0b and ($filter or udp port 9)" 2>"$file.err" &
	pid=$!
	wait_for 10 grep -q "listening on" "$file.err" || bail "tcpdump starts" "$(cat "$file.err")"
	"$@"
	host client bash -c 'echo last >/dev/udp/10.0.0.11/9'
	wait_for 10 all_seen "$file" || bail "tcpdump sees the last packet" "$(cat "$file.err")"
	kill -INT $pid
	wait $pid
	PACKETS=$(tcpdump -r "$file" -n -e -vvv 2>/dev/null "not (udp port 9)" |
		awk '/^[0-9][0-9]:/ { if (l) print l; l = $0; next } { l = l $0 } END { if (l) print l }')
}
all_seen() { # FILE
	tcpdump -r "$1" -n udp port 9 2>/dev/null | grep -q .
}

try() { # NAME VIP FAMILY MODE FILTER
	FAMILY=$3
	service_up "$1" "$2/tcp" 1 --forward "$4" --check none
	capture "$1" "$5" spread --to "$2" --count 1 --first-port 10000 --tos 0x28
	is "$1: the connection is answered" "$(field ok "$REPORT")" 1
	FIRST=$(head -n 1 <<<"$PACKETS")
	matches "$1: source and destination MAC" "$FIRST" '02:00:00:00:00:02 > 02:00:00:00:00:0b'
	ok "$1: no wrong checksum" bash -c '! grep -qE "bad cksum|incorrect" <<<"$1"' - "$PACKETS"
	# SYN, the ACK of its answer, the request and at least one segment that ends the connection
	between "$1: packets" "$(grep -c . <<<"$PACKETS")" 4 8
}

try l2-4 192.0.2.10:8001 4 l2 'tcp dst port 8001'
matches "l2-4: the packet is as the client sent it" "$FIRST" 'tos 0x28.*ttl 64.*10\.0\.0\.1\.10000 > 192\.0\.2\.10\.8001: Flags \[S'
try l2-6 '[2001:db8::10]:8002' 6 l2 'ip6 and tcp dst port 8002'
matches "l2-6: the packet is as the client sent it" "$FIRST" 'class 0x28.*hlim 64.*fd00::1\.10000 > 2001:db8::10\.8002: Flags \[S'

try ipip-4in4 192.0.2.10:8003 4 ipip 'ip proto 4'
matches "ipip-4in4: outer header: TOS, TTL, protocol, addresses" "$FIRST" \
	'\(tos 0x28, ttl 64, id [0-9]+, offset 0, flags \[DF\], proto IPIP \(4\), length 80\) +10\.0\.0\.2 > 10\.0\.0\.11: '
matches "ipip-4in4: inner packet: one hop less, else the same" "$FIRST" \
	'\(tos 0x28, ttl 63, .*proto TCP \(6\), length 60\) +10\.0\.0\.1\.10000 > 192\.0\.2\.10\.8003: Flags \[S\]'
try ipip-6in6 '[2001:db8::10]:8004' 6 ipip 'ip6 proto 41'
matches "ipip-6in6: outer header" "$FIRST" 'class 0x28.* hlim 64, next-header IPv6 \(41\) payload length: 80\) fd00::2 > fd00::11: '
matches "ipip-6in6: inner packet" "$FIRST" 'class 0x28.* hlim 63, next-header TCP \(6\) payload length: 40\) fd00::1\.10000 > 2001:db8::10\.8004: Flags \[S\]'
try ipip-4in6 192.0.2.10:8005 6 ipip 'ip6 proto 4'
matches "ipip-4in6: outer header" "$FIRST" 'class 0x28.* hlim 64, next-header IPIP \(4\) payload length: 60\) fd00::2 > fd00::11: '
matches "ipip-4in6: inner packet" "$FIRST" 'ttl 63, .*length 60\) +10\.0\.0\.1\.10000 > 192\.0\.2\.10\.8005: Flags \[S\]'
try ipip-6in4 '[2001:db8::10]:8006' 4 ipip 'ip proto 41'
matches "ipip-6in4: outer header" "$FIRST" '\(tos 0x28, ttl 64, .*flags \[DF\], proto IPv6 \(41\), length 100\) +10\.0\.0\.2 > 10\.0\.0\.11: '
matches "ipip-6in4: inner packet" "$FIRST" 'hlim 63, next-header TCP \(6\) payload length: 40\) fd00::1\.10000 > 2001:db8::10\.8006: Flags \[S\]'

echo "# over UDP"
try gue-4in4 192.0.2.10:8007 4 gue 'udp dst port 6080'
matches "gue-4in4: outer headers" "$FIRST" \
	'\(tos 0x28, ttl 64, id [0-9]+, offset 0, flags \[DF\], proto UDP \(17\), length 92\) +10\.0\.0\.2\.(49[1-9]|5|6)[0-9]+ > 10\.0\.0\.11\.6080: '
try gue-6in6 '[2001:db8::10]:8008' 6 gue 'udp dst port 6080'
matches "gue-6in6: outer headers" "$FIRST" \
	'class 0x28.* hlim 64, next-header UDP \(17\) payload length: 92\) fd00::2\.[0-9]+ > fd00::11\.6080: \[udp sum ok\]'
try gue-4in6 192.0.2.10:8009 6 gue 'udp dst port 6080'
matches "gue-4in6: outer headers" "$FIRST" 'next-header UDP \(17\) payload length: 72\) fd00::2\.[0-9]+ > fd00::11\.6080: \[udp sum ok\]'
is "gue-4in6: every outer checksum is right" "$(grep -c 'udp sum ok' <<<"$PACKETS")" "$(grep -c . <<<"$PACKETS")"
try gue-6in4 '[2001:db8::10]:8010' 4 gue 'udp dst port 6080'
matches "gue-6in4: outer headers" "$FIRST" 'proto UDP \(17\), length 112\) +10\.0\.0\.2\.[0-9]+ > 10\.0\.0\.11\.6080: \[no cksum\]'
FAMILY=6
service_up gue-6-udp '[2001:db8::10]:8008/udp' 1 --forward gue --check none
capture gue-udp 'udp dst port 6080' spread --udp --to '[2001:db8::10]:8008' --count 20 --first-port 10000
is "gue, UDP in IPv6: every question is answered" "$(field ok "$REPORT")" 20
is "gue, UDP in IPv6: every outer checksum is right" "$(grep -c 'udp sum ok' <<<"$PACKETS")" "$(grep -c . <<<"$PACKETS")"
ok "another port" lbctl service set gue-6-udp --gue-port 7000
host b1 "$BUILD/lbnode" attach eth0 --gue-port 6080 --gue-port 7000 2>>"$RUN/lbnode.log" || bail "lbnode attaches with ports"
capture gue-port 'udp dst port 7000' spread --udp --to '[2001:db8::10]:8008' --count 20 --first-port 10000
is "gue, port 7000: every question is answered" "$(field ok "$REPORT")" 20
is "gue, port 7000: every outer checksum is right" "$(grep -c 'udp sum ok' <<<"$PACKETS")" 20
FAMILY=4
ports=$(grep -oE 'fd00::2\.[0-9]+ > ' <<<"$PACKETS" | sort -u | wc -l)
between "gue: 20 flows leave from as many ports, or nearly" "$ports" 18 20

echo "# ECN, which TCP does not let a program set"
service_up ecn 192.0.2.10:8003/udp 1 --check none
capture ecn 'ip proto 4' spread --udp --to 192.0.2.10:8003 --count 1 --first-port 10000 --tos 0x2a
matches "the outer header carries DSCP and ECN, the inner one keeps them" "$PACKETS" \
	'\(tos 0x2a,ECT\(0\), ttl 64, .*proto IPIP \(4\).*\(tos 0x2a,ECT\(0\), ttl 63, .*proto UDP'

echo "# outer sources from a configured prefix"
lbctl export >"$RUN/sources.yaml"
echo "tunnel_source: 10.200.0.0/16" >>"$RUN/sources.yaml"
ok "apply" lbctl apply -f "$RUN/sources.yaml"
capture sources 'ip proto 4' spread --to 192.0.2.10:8003 --count 50 --first-port 11000
is "the connections are answered" "$(field ok "$REPORT")" 50
sources=$(grep -o '10\.200\.[0-9]*\.[0-9]* > 10\.0\.0\.11' <<<"$PACKETS" | sort -u | wc -l)
between "50 connections come from as many addresses of it, or nearly" "$sources" 45 50

echo "# what is not the service's stays the host's"
ok "ping to the load balancer" host client ping -c 1 -W 2 10.0.0.2
ok "ping with IP options" host client ping -c 1 -W 2 -R 10.0.0.2
ok "fragmented ping" host client ping -c 1 -W 2 -s 4000 10.0.0.2
ok "IPv6 ping, fragmented" host client ping -6 -c 1 -W 2 -s 4000 fd00::2
done_testing
