#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# UDP through both modes and families: spread, held to one backend, and away from a dead one at once.
. "$(dirname "$0")/lib.sh"

lab_up 3
lab_vip 192.0.2.10 3
lab_vip 2001:db8::10 3
servers_start 3 5301 5302 5303 5304 5305 5306
nodes_attach 3
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0

try() { # NAME VIP FAMILY MODE
	local i

	FAMILY=$3
	service_up "$1" "$2/udp" 3 --forward "$4" --check none
	spread --udp --to "$2" --count 3000 --first-port 10000 --parallel 32
	is "$1: every question is answered" "$(field ok "$REPORT")" 3000
	for i in 1 2 3; do
		between "$1: b$i answers a third" "$(field b$i "$REPORT")" 900 1100
	done
}

try l2-4 192.0.2.10:5301 4 l2
try l2-6 '[2001:db8::10]:5302' 6 l2
try ipip-4 192.0.2.10:5303 4 ipip
try ipip-6in4 '[2001:db8::10]:5304' 4 ipip
try gue-4in6 192.0.2.10:5305 6 gue
try gue-6in4 '[2001:db8::10]:5306' 4 gue

echo "# flows stay where they are while backends come and go"
talk_start held host client "$TRAFFIC" hold --udp --to 192.0.2.10:5303 --count 600 --first-port 20000 --parallel 32 --every 300
talk_read held
before=$ANSWER
is "600 flows are open" "$(field alive "$before")" 600
ok "drain b1" lbctl backend drain ipip-4 10.0.0.11:5303
talk held ping
is "drained: flows that moved" "$(field moved "$ANSWER")" 0
is "drained: flows alive" "$(field alive "$ANSWER")" 600
spread --udp --to 192.0.2.10:5303 --count 600 --first-port 30000 --parallel 32
is "drained: new flows go elsewhere" "$(field ok "$REPORT") $(field b1 "$REPORT")" "600 0"

ok "backend del: b2 is gone" lbctl backend del ipip-4 10.0.0.12:5303
talk held ping
is "all flows are answered" "$(field alive "$ANSWER")" 600
is "those of b2 moved, and no other" "$(field moved "$ANSWER")" "$(field b2 "$before")"
done_testing
