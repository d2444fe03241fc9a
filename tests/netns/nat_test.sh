#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# nat: destination address and port translated, replies translated back.
. "$(dirname "$0")/lib.sh"

lab_up 3
host lb sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
servers_start 3 7002 7003
for i in 1 2 3; do
	ip -n b$i route replace 10.0.0.1/32 via 10.0.0.2
	ip -n b$i route replace fd00::1/128 via fd00::2
done
ip -n client route replace 192.0.2.10/32 via 10.0.0.2
ip -n client route replace 2001:db8::10/128 via fd00::2
lbd_config <<-END
	max_connections: 4096
	timeouts: {tcp_half_open: 1s, tcp_transitory: 2s, udp: 2s, udp_unreplied: 1s}
END
lbd_start
ok "attach" lbctl attach lb0
ok "add" lbctl service add web 192.0.2.10:9092/tcp --forward nat
for i in 1 2 3; do ok "b$i" lbctl backend add web 10.0.0.1$i:7002; done
wait_serving web 3
spread --to 192.0.2.10:9092 --count 300 --parallel 32
echo "# $REPORT"
is "all answered" "$(field ok "$REPORT")" 300
lbctl status | sed 's/^/# /'
ok "add" lbctl service add fweb 192.0.2.10:9093/tcp --forward fullnat --snat 10.0.0.2
for i in 1 2 3; do ok "b$i" lbctl backend add fweb 10.0.0.1$i:7002; done
wait_serving fweb 3
spread --to 192.0.2.10:9093 --count 300 --parallel 32
echo "# $REPORT"
is "all answered" "$(field ok "$REPORT")" 300
lbctl status | sed 's/^/# /'
done_testing
