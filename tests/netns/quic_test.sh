#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QUIC connections whose client changes its address in the middle stay with their server where the service routes by
# connection IDs, and do not where it does not.
. "$(dirname "$0")/lib.sh"

PEER=$BUILD/tests/quic_peer
lab_up 3
lab_vip 192.0.2.10 3
lab_vip 2001:db8::10 3
ip -n client address add 10.0.0.101/24 dev eth0
ip -n client address add fd00::101/64 dev eth0 nodad
nodes_attach 3
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0

quic_start() { # I PORT CONFIG SERVER-ID
	host "b$1" "$PEER" server --bind "192.0.2.10:$2" --server-id "$4" --config "$3" --name "b$1" &
	host "b$1" "$PEER" server --bind "[2001:db8::10]:$2" --server-id "$4" --config "$3" --name "b$1" &
}

migrate() { # VIP ADDR [OPTION...]: leaves the last line in $LAST
	local report

	report=$(host client timeout 60 "$PEER" client --to "$1" --connections 30 --migrate-to "$2" "${@:3}")
	STATUS=$?
	LAST=$(tail -n 1 <<<"$report")
}

for i in 1 2 3; do
	quic_start $i 443 1 a${i}b$i
	quic_start $i 444 7 a${i}b$i
done

FAMILY=4
add() { # NAME VIP: its backends with their server IDs
	local i

	for i in 1 2 3; do
		ok "backend add $1 b$i" lbctl backend add "$1" "$(backend_addr $i "${2##*:}")" --server-id a${i}b$i
	done
	wait_serving "$1" 3
}

for vip in 192.0.2.10:443 '[2001:db8::10]:443'; do
	name=q${#vip} addr=10.0.0.101
	[[ $vip != \[* ]] || addr=fd00::101 FAMILY=6
	ok "service add $name" lbctl service add $name "$vip/udp"
	add $name "$vip"
	migrate "$vip" $addr
	is "$name: without routing some connections are lost" "$((STATUS != 0)) $(($(field moved "$LAST") > 5))" "1 1"
	ok "service set --quic" lbctl service set $name --quic 1:2:6
	migrate "$vip" $addr
	is "$name: with routing none is" "$STATUS $(field kept "$LAST") $(field moved "$LAST")" "0 30 0"
done

echo "# changes"
FAMILY=4
name=q14
ok "b2 drains" lbctl backend drain $name 10.0.0.12:443
migrate 192.0.2.10:443 10.0.0.101
is "all are kept" "$STATUS $(field kept "$LAST")" "0 30"
ok "b2 is removed" lbctl backend del $name 10.0.0.12:443
ok "b2 comes again with another ID" lbctl backend add $name 10.0.0.12:443 --server-id ffff
wait_serving $name 3
migrate 192.0.2.10:443 10.0.0.101
is "those of b2 are not, for it names itself otherwise" "$(($(field moved "$LAST") > 0))" 1
ok "b2 has its ID again" lbctl backend set $name 10.0.0.12:443 --server-id a2b2
migrate 192.0.2.10:443 10.0.0.101
is "all are kept again" "$STATUS $(field kept "$LAST")" "0 30"
lbd_end KILL
lbd_start
wait_serving $name 3
migrate 192.0.2.10:443 10.0.0.101
is "all are kept by a new lbd" "$STATUS $(field kept "$LAST")" "0 30"

echo "# servers without a configuration are routed by the flow"
FAMILY=4
ok "service add none" lbctl service add none 192.0.2.10:444/udp --quic 1:2:6
add none 192.0.2.10:444
host client timeout 60 "$PEER" client --to 192.0.2.10:444 --connections 30 --migrate-to 10.0.0.101 >"$RUN/none"
is "some move" "$(($(field moved "$(tail -n 1 "$RUN/none")") > 5))" 1
done_testing
