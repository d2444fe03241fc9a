#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 10,000 connections through each mode and family spread over the backends as their weights say, within 5 %.
. "$(dirname "$0")/lib.sh"

lab_up 3
lab_vip 192.0.2.10 3
lab_vip 2001:db8::10 3
servers_start 3 8001 8002 8003 8004 8005 8006 8007 8008
nodes_attach 3
lbd_start
ok "lbctl attach lb0" lbctl attach lb0

try() { # NAME VIP BACKEND-FAMILY MODE
	local name=$1 vip=$2 port=${2##*:} i

	FAMILY=$3
	ok "$name: service add $vip --forward $4" lbctl service add "$name" "$vip/tcp" --forward "$4"
	for i in 1 2 3; do
		lbctl backend add "$name" "$(backend_addr $i "$port")" --weight ${i}00 || bail "$name: backend add b$i"
	done
	wait_serving "$name" 3
	spread --to "$vip" --count 10000 --first-port 10000
	is "$name: every connection is answered" "$(field ok "$REPORT")" 10000
	for i in 1 2 3; do
		# i/6 of 10,000, and 5 % of that either way
		between "$name: b$i has $((100 * i / 6)) % of them" "$(field b$i "$REPORT")" \
			$((10000 * i * 95 / 600)) $((10000 * i * 105 / 600))
	done
	between "$name: lb_service_connections_total counts them" \
		"$(metric "lb_service_connections_total{service=\"$name\",vip=\"$vip/tcp\"}")" 10000 10100
}

try l2-4 192.0.2.10:8001 4 l2
try l2-6 '[2001:db8::10]:8002' 6 l2
try ipip-4in4 192.0.2.10:8003 4 ipip
try ipip-6in6 '[2001:db8::10]:8004' 6 ipip
try ipip-4in6 192.0.2.10:8005 6 ipip
try ipip-6in4 '[2001:db8::10]:8006' 4 ipip
try gue-4in4 192.0.2.10:8007 4 gue
try gue-6in6 '[2001:db8::10]:8008' 6 gue
done_testing
