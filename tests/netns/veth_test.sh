#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A load balancer on a veth interface whose far end has no XDP program, only GRO: what most people build first. The veth
# driver does not wake such a far end after XDP_TX.
. "$(dirname "$0")/lib.sh"

lab_up 2
host switch ip link set dev lb xdp off
ok "the far end has GRO only" host switch ethtool -K lb gro on
lab_vip 192.0.2.10 2
servers_start 2 8001 8002
nodes_attach 2
lbd_start
ok "lbctl attach lb0" lbctl attach lb0
ok "native mode" test "$(lbctl --json status | jq -r '.interfaces[0].mode')" = native
for forward in l2 ipip; do
	port=$([ $forward = l2 ] && echo 8001 || echo 8002)
	service_up $forward 192.0.2.10:$port 2 --forward $forward
	spread --to 192.0.2.10:$port --count 3000 --first-port 10000
	is "$forward: every connection is answered" "$(field ok "$REPORT")" 3000
done
done_testing
