#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lbctl trace says what real packets then meet with, and leaves nothing behind; lbctl flows --client finds a client's.
. "$(dirname "$0")/lib.sh"

lab_up 3
lab_vip 192.0.2.10 3
lab_vip 192.0.2.12 3
lab_vip 2001:db8::10 3
servers_start 3 80 443
nodes_attach 3
lbd_start

SYN="10.0.0.1:1000 > 192.0.2.10:80"
trace() { lbctl --json trace "$@"; }
# fields FIELD,... ARG...: of each packet, a line each
fields() { trace "${@:2}" | jq -r "[.$(sed 's/,/, ./g' <<<"$1")] | map(tostring) | join(\" \")"; }
refused() { # STATUS REGEX ARG...
	local out

	out=$(lbctl trace "${@:3}" 2>&1 >/dev/null)
	is "trace ${*:3}: exit status" $? "$1"
	matches "says why" "$out" "$2"
	is "in one line" "$(wc -l <<<"$out")" 1
}

echo "# what cannot be traced"
refused 1 'no interface is attached.*lbctl attach' --packet "$SYN"
ok "attach" lbctl attach lb0
refused 2 'with --packet SPEC or --pcap-in FILE'
refused 2 'not both' --packet "$SYN" --pcap-in x
refused 2 'has no source' --packet tcp
refused 2 'has no destination' --packet "tcp 10.0.0.1"
refused 2 'two families' --packet "10.0.0.1 > [2001:db8::10]:80"
refused 2 'has no port' --packet "10.0.0.1 > 192.0.2.10"
refused 2 '70000 is not a port' --packet "10.0.0.1 > 192.0.2.10:70000"
refused 2 'less than its headers' --packet "$SYN len=39"
refused 2 'hexadecimal' --packet "hex:0g"
refused 2 'whole Ethernet frame' --packet "hex:00"
refused 1 'cannot read packets from /nosuch' --pcap-in /nosuch
refused 1 'lo is not attached' --packet "$SYN" --iface lo
head -c 100 /dev/urandom >"$RUN/garbage"
refused 1 'cannot read packets' --pcap-in "$RUN/garbage"
LBD_SOCKET=/nosuch host lb "$BUILD/lbctl" trace --packet "$SYN" 2>/dev/null
is "without lbd" $? 3

echo "# what is said is what happens"
service_up web 192.0.2.10:80/tcp 3
ok "another address" lbctl service set web --vip 192.0.2.10:80/tcp --vip '[2001:db8::10]:80/tcp'
counters() { host lb curl -s http://127.0.0.1:9707/metrics | grep -E '^lb_(packets|service|backend|flow)[a-z_]*(packets|bytes|connections|total|lookups|flows)' | grep -vE 'pass_(not_ip|other_host|protocol)'; lbctl flows --count; }
syns=() acks=()
for ((port = 20000; port < 20100; port++)); do
	syns+=(--packet "10.0.0.1:$port > 192.0.2.10:80/tcp")
	acks+=(--packet "10.0.0.1:$port > 192.0.2.10:80/tcp ack")
done
before=$(counters)
tag=$(lbctl --json status | jq -r .program_tag)
trace "${syns[@]}" >"$RUN/said"
is "100 packets, an object a line" "$(jq -c .n "$RUN/said" | tr '\n' ' ')" "$(seq -s' ' 0 99) "
is "all are forwarded" "$(jq -r '[.action, .verdict, .service, .via, .out_iface] | join(" ")' "$RUN/said" | sort -u)" "redirect forwarded web table lb0"
is "the contract's fields come first" "$(jq -c 'keys_unsorted[:9]' "$RUN/said" | sort -u)" '["n","action","verdict","service","backend","via","slot","out_iface","out_len"]'
is "54 bytes with 20 more" "$(jq -r .out_len "$RUN/said" | sort -u)" 74
is "slots are the table's" "$(jq -s 'all(.slot >= 0 and .slot < 512)' "$RUN/said")" true
is "it is the program that is loaded" "$(host lb curl -s --unix-socket "$RUN/lb/lbd.sock" -d "{\"packets\":[\"$(printf '%028d' 0)\"]}" http://lbd/v1/trace | jq -r .program_tag)" "$tag"
is "no counter and no entry has changed" "$(counters)" "$before"
spread --to 192.0.2.10:80 --count 100 --first-port 20000
for i in 1 2 3; do
	is "b$i gets as many as were said" "$(field b$i "$REPORT")" "$(jq -r .backend "$RUN/said" | grep -c "^10.0.0.1$i:80$")"
done

host client "$TRAFFIC" spread --to '[2001:db8::10]:80' --count 1 --first-port 30000 >"$RUN/report"
is "IPv6" "$(grep -o 'b[123]=1' "$RUN/report")" "b$(fields backend --packet 'tcp [fd00::1]:30000 > [2001:db8::10]:80' | sed 's/.*1\([123]\):80/\1/')=1"

echo "# why: moving slots and the flow cache"
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 100 --first-port 20000 --every 100
talk_read held
is "100 connections are open" "$(field alive "$ANSWER")" 100
ok "backend drain" lbctl backend drain web 10.0.0.11:80
talk held ping
is "and live on" "$(field alive "$ANSWER")" 100
learned() { [ "$(lbctl flows web --count)" -ge "$(jq -r .backend "$RUN/said" | grep -c 0.11:)" ]; }
ok "those of the draining backend are learned" wait_for 10 learned
trace "${acks[@]}" >"$RUN/now"
is "their packets still go where they went" "$(jq -r .backend "$RUN/now")" "$(jq -r .backend "$RUN/said")"
is "the flow cache says so" "$(jq -r 'select(.backend == "10.0.0.11:80") | [.via, .phase, .entry] | join(" ")' "$RUN/now" | sort -u)" "flow moving found"
is "new ones do not go there" "$(fields backend,via,phase --packet "10.0.0.1:$(jq -r 'select(.backend == "10.0.0.11:80") | .n + 20000' "$RUN/said" | head -n 1) > 192.0.2.10:80" | grep -c '^10.0.0.11')" 0
matches "the text says why" "$(lbctl trace --packet "10.0.0.1:9 > 192.0.2.10:80" --packet "10.0.0.1:9 > 192.0.2.10:80 ack")" \
	'^0   redirect: forwarded, service web, backend 10.0.0.1[23]:80 by table, out of lb0 with 74 bytes'
port=$(jq -r 'select(.phase == "moving" and .backend == "10.0.0.11:80") | .n + 20000' "$RUN/now" | head -n 1)
fields backend,entry --packet "10.0.0.1:$port > 192.0.2.10:80" --packet "10.0.0.1:$port > 192.0.2.10:80 ack" >"$RUN/two"
is "what one packet leaves the next one finds" "$(cut -d' ' -f2 "$RUN/two" | tr '\n' ' ')" "made found "
is "and goes the same way" "$(cut -d' ' -f1 "$RUN/two" | sort -u | wc -l)" 1

echo "# flows of a client"
ok "state all" lbctl service set web --state all
remembered() { [ "$(lbctl flows --client 10.0.0.1 --count)" = 100 ]; }
ok "100 flows of the client" wait_for 10 remembered
is "at their ports" "$(lbctl --json flows --client 10.0.0.1 | jq -r '.flows[].client' | sort | tr '\n' ' ')" "$(seq -f '10.0.0.1:%.0f' 20000 20099 | tr '\n' ' ')"
is "their backends are right" "$(lbctl --json flows web --client 10.0.0.1 | jq -r '.flows | sort_by(.client) | .[].backend')" "$(jq -r .backend "$RUN/said")"
is "all are proven" "$(lbctl --json flows --client 10.0.0.1 | jq -c '[.flows[] | [.service, .vip, .proven, .closed]] | unique')" '[["web","192.0.2.10:80/tcp",true,false]]'
is "--limit" "$(lbctl --json flows --client 10.0.0.1 --limit 7 | jq -c '[.entries, (.flows | length)]')" "[100,7]"
is "--limit without a client: rows" "$(lbctl --json flows --limit 1 | jq '.flows | length')" 1
matches "as a table" "$(lbctl flows --client 10.0.0.1 --limit 1)" '^SERVICE *VIP *CLIENT *BACKEND *PROVEN *CLOSED *IDLE-S'
is "another client has none" "$(lbctl flows --client 10.0.0.7 --count)" 0
is "nor one of IPv6" "$(lbctl flows --client fd00::7 --count)" 0
lbctl flows --client x >/dev/null 2>"$RUN/err"
is "no address: exit status" $? 1
matches "says so" "$(cat "$RUN/err")" 'x is not an IPv4 or IPv6 address'
lbctl flows --limit 0 >/dev/null 2>"$RUN/err"
is "no limit: exit status" $? 1
matches "says so" "$(cat "$RUN/err")" '0 is not a limit'
talk held ping
is "the connections have noticed nothing" "$(field alive "$ANSWER")" 100

echo "# other ways to a backend"
ok "round robin, for a client" lbctl service set web --policy round_robin --affinity source:10m
is "in turn first, then the client's" "$(fields via,slot --packet '10.0.0.1:9 > 192.0.2.10:80' --packet '10.0.0.1:8 > 192.0.2.10:80' | tr '\n' ' ')" "table null source null "
ok "maglev" lbctl service set web --policy maglev --affinity source --state auto
is "its client's slot" "$(fields via --packet '10.0.0.9:9 > 192.0.2.10:80')" source
is "one slot for all its connections" "$(fields slot --packet '10.0.0.9:9 > 192.0.2.10:80' --packet '10.0.0.9:10 > 192.0.2.10:80' | sort -u | wc -l)" 1
ok "a QUIC service" lbctl service add quic 192.0.2.12:443/udp --quic 1:2:6
for i in 1 2 3; do
	ok "backend add" lbctl backend add quic 10.0.0.1$i:443 --server-id a${i}b$i
done
wait_serving quic 3
# UDP from 10.0.0.1:9 to 192.0.2.12:443, length 8 + 30: 1 byte of header, the ID's first octet, server ID, nonce, rest
frame=0000000000000200000000010800
frame+=4500003a00014000401100000a000001c000020c
frame+=000901bb00260000
frame+=40
frame+=20
for i in 1 2 3; do
	is "the connection ID of b$i" "$(fields via,backend --packet "hex:${frame}a${i}b$i$(printf '%052d' 0)")" "cid 10.0.0.1$i:443"
done
is "another ID" "$(fields via --packet "hex:${frame}ffff$(printf '%052d' 0)")" table

ok "an SCTP service" lbctl service add sctp 192.0.2.13:5000/sctp --state all
for i in 1 2 3; do
	ok "backend add" lbctl backend add sctp 10.0.0.1$i:5000
done
wait_serving sctp 3
fields verdict,service,entry --packet '10.0.0.1:9 > 192.0.2.13:5000/sctp' --packet 'sctp 10.0.0.1:9 > 192.0.2.13:5000 ack' >"$RUN/two"
is "an association and its data" "$(tr '\n' ' ' <"$RUN/two")" "forwarded sctp made forwarded sctp found "

echo "# verdicts"
ok "who may come in" lbctl service set web --deny 10.9.0.0/16 --ping true
is "denied" "$(fields action,verdict,service,backend,out_len --packet '10.9.0.1:9 > 192.0.2.10:80')" "drop drop_denied web null null"
is "a VIP that answers" "$(fields action,verdict,out_iface --packet 'icmp 10.0.0.1 > 192.0.2.10')" "redirect answered_echo lb0"
is "nobody's address" "$(fields action,verdict,service,out_iface,out_len --packet '10.0.0.1:9 > 192.0.2.99:80')" "pass pass_no_service null null 54"
is "flags that no host sets" "$(fields verdict --packet '10.0.0.1:9 > 192.0.2.10:80 syn+fin')" drop_tcp_flags
is "a TTL that is used up" "$(fields verdict --packet '10.0.0.1:9 > 192.0.2.10:80 ttl=1')" drop_ttl_exceeded
is "too big: the sender is told" "$(fields verdict --packet '10.0.0.1:9 > 192.0.2.10:80 ack len=1600')" answered_too_big
ok "a service without backends" lbctl service add none 192.0.2.11:80
is "no backend" "$(fields action,verdict,service --packet '10.0.0.1:9 > 192.0.2.11:80')" "drop drop_no_backend none"
ok "a limit for new connections" lbctl service set web --source-rate-limit 1
is "it is the trace's own" "$(for i in 1 2; do fields verdict --packet "10.7.0.1:$i > 192.0.2.10:80" --packet "10.7.0.1:3 > 192.0.2.10:80"; done | tr '\n' ' ')" \
	"forwarded drop_rate forwarded drop_rate "

echo "# captures"
nsenter --net=/run/netns/client -- tcpdump -U -i eth0 -w "$RUN/in.pcap" 'tcp port 80 and port 40000' 2>"$RUN/tcpdump" &
dump=$!
wait_for 5 grep -q listening "$RUN/tcpdump" || bail "tcpdump listens"
spread --to 192.0.2.10:80 --count 1 --first-port 40000
captured() { [ "$(tcpdump -r "$RUN/in.pcap" 'src host 10.0.0.1' 2>/dev/null | wc -l)" -ge 4 ]; }
ok "a connection is captured" wait_for 5 captured
kill $dump
wait $dump 2>/dev/null
tcpdump -r "$RUN/in.pcap" -w "$RUN/from.pcap" 'src host 10.0.0.1 and not tcp[tcpflags] & tcp-rst != 0' 2>/dev/null
nr=$(tcpdump -r "$RUN/from.pcap" 2>/dev/null | wc -l)
lbctl service set web --source-rate-limit 0
ok "trace --pcap-in --pcap-out" lbctl trace --pcap-in "$RUN/from.pcap" --pcap-out "$RUN/out.pcap"
is "as many come out" "$(tcpdump -r "$RUN/out.pcap" 2>/dev/null | wc -l)" "$nr"
is "in a tunnel to one backend" "$(tcpdump -nr "$RUN/out.pcap" 'ip proto 4' 2>/dev/null | grep -oE '> 10.0.0.1[123]:' | sort -u | wc -l)" 1
is "at their times" "$(tcpdump -ttnr "$RUN/out.pcap" 2>/dev/null | cut -d' ' -f1)" "$(tcpdump -ttnr "$RUN/from.pcap" 2>/dev/null | cut -d' ' -f1)"
is "from standard input" "$(trace --pcap-in - <"$RUN/from.pcap" | jq -r .verdict | sort -u)" forwarded
head -c -5 "$RUN/from.pcap" >"$RUN/cut.pcap"
refused 1 'cannot read packets from .*cut.pcap' --pcap-in "$RUN/cut.pcap"
mkdir "$RUN/full"
mount -t tmpfs -o size=4k tmpfs "$RUN/full"
head -c 4096 /dev/zero >"$RUN/full/x"
refused 1 'cannot write packets to' --pcap-in "$RUN/from.pcap" --pcap-out "$RUN/full/out.pcap"

echo "# translated connections"
ok "a service that translates" lbctl service add natted 192.0.2.14:80/tcp --forward nat --check none
ok "backend add" lbctl backend add natted 10.0.0.11:8080
wait_serving natted 1
# from 10.0.0.99 to the VIP: fragmentation needed, of what went from there to 10.0.0.1:700; from b1: the host is
# unreachable, of what went from 10.0.0.1:700 to 10.0.0.11:8080
front=0000000000000200000000010800
front+=450000380001000040010000
needed=$front"0a000063c000020e"0304000000000578450005dc0001400040060000c000020e0a000001005002bc00000000
gone=$front"0a00000b0a000001"03010000000000004500002800014000400600000a0000010a00000b02bc1f9000000000
natted="10.0.0.1:700 > 192.0.2.14:80"
fields verdict,via,service,backend --packet "$natted" --packet "$natted ack" --packet "10.0.0.11:8080 > 10.0.0.1:700 syn+ack" \
	--packet "hex:$needed" --packet "hex:$gone" >"$RUN/natted"
is "the first packet" "$(sed -n 1p "$RUN/natted")" "forwarded table natted 10.0.0.11:8080"
is "the connection's next one" "$(sed -n 2p "$RUN/natted")" "forwarded connection natted 10.0.0.11:8080"
is "its answer" "$(sed -n 3p "$RUN/natted")" "replied null natted null"
is "an error from the client's side" "$(sed -n 4p "$RUN/natted")" "forwarded_icmp connection natted 10.0.0.11:8080"
is "an error from the backend's side" "$(sed -n 5p "$RUN/natted")" "replied_icmp null natted null"
is "nothing of it is left" "$(fields verdict --packet "$natted ack" --packet "hex:$needed" | tr '\n' ' ')" "drop_nat_no_entry drop_nat_no_entry "

echo "# lbd meanwhile"
for ((i = 0; i < 6; i++)); do
	lbctl trace "${syns[@]}" >"$RUN/t$i" 2>"$RUN/e$i" &
	traces[i]=$!
done
ok "it answers" timeout 2 env "LBD_SOCKET=$RUN/lb/lbd.sock" "$BUILD/lbctl" status
wait "${traces[@]}"
is "each trace is whole or was put off" "$(for ((i = 0; i < 6; i++)); do [ "$(wc -l <"$RUN/t$i")" = 200 ] || cat "$RUN/e$i"; done | grep -cv 'try again')" 0
ok "at least four were made" test "$(wc -l "$RUN"/t[0-5] | grep -c ' 200 ')" -ge 4
children() { [ -z "$(cat "/proc/${LBD_PID[lb]}/task/${LBD_PID[lb]}/children")" ]; }
ok "no process is left" wait_for 10 children
{ timeout -s KILL 0.2 env "LBD_SOCKET=$RUN/lb/lbd.sock" "$BUILD/lbctl" trace "${syns[@]}" >/dev/null; } 2>/dev/null
ok "nor where nobody waits for the answer" wait_for 10 children
is "the maps are what they should be" "$(lbctl --json status --verify | jq .verify.repaired)" 0
done_testing
