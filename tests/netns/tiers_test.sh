#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Standbys take over when too few of a tier are left, and give back; with too few of all, all are used, and it is said.
. "$(dirname "$0")/lib.sh"

lab_up_web 6
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 6 --check tcp --check-interval 200ms --check-timeout 100ms --rise 2 --fall 1 --tier-min 2
for i in 4 5; do ok "b$i stands by" lbctl backend set web 10.0.0.1$i:80 --tier 1; done
ok "b6 stands by behind them" lbctl backend set web 10.0.0.16:80 --tier 2

serving_now() { service_json web '[.backends[] | select(.status.serving) | .address[8:9]] | join(" ")'; }
serve() { [ "$(serving_now)" = "$1" ]; }
port=20000
answers_come_from() { # WHAT B...: each of them answers new connections, and nobody else
	local what=$1 b others

	shift
	spread --to 192.0.2.10:80 --count 300 --first-port $port
	port=$((port + 300))
	is "$what: answered" "$(field ok "$REPORT")" 300
	others=300
	for b; do
		between "$what: by b$b" "$(field "b$b" "$REPORT")" 50 300
		others=$((others - $(field "b$b" "$REPORT")))
	done
	is "$what: by nobody else" "$others" 0
}
tier() { metric 'lb_service_tier{service="web",vip="192.0.2.10:80/tcp"}'; }
panic() { metric 'lb_service_panic{service="web",vip="192.0.2.10:80/tcp"}'; }
logged() { grep -q "msg=\"service\" service=web $1" "$RUN/lb/log"; }

ok "tier 0 serves" wait_for 5 serve "1 2 3"
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 300 --first-port 10000
talk_read held
before=$ANSWER
server_kill 1
ok "two are enough" wait_for 5 serve "2 3"
server_kill 2
ok "one is not: the standbys take over" wait_for 5 serve "4 5"
answers_come_from "tier 1" 4 5
is "lb_service_tier" "$(tier)" 1
ok "it is logged" logged 'from=[a-z]* to=[a-z]* tier=1'
talk held ping
is "what b3 has stays there" "$(field alive "$ANSWER")" "$(field b3 "$before")"
server_kill 5
ok "nobody has enough: the lowest of those that have most" wait_for 5 serve 3
server_start 2 80
ok "tier 0 has enough again" wait_for 5 serve "2 3"
answers_come_from "given back" 2 3
is "lb_service_tier" "$(tier)" 0
ok "with one as enough" lbctl service set web --tier-min 1
server_kill 2
server_kill 3
ok "the first standby" wait_for 5 serve 4
server_kill 4
ok "the second standby" wait_for 5 serve 6
answers_come_from "tier 2" 6
is "no panic without a threshold" "$(panic)" 0

echo "# panic"
ok "service set --panic-threshold" lbctl service set web --panic-threshold 30
ok "too few are up: all of the first tier are used" wait_for 5 serve "1 2 3"
is "the state" "$(service_json web .status.state)" panic
matches "the reason" "$(service_json web .status.reason)" 'not healthy: all are used'
matches "service list" "$(lbctl service list)" ' panic '
is "lb_service_panic" "$(panic)" 1
ok "it is logged" logged 'from=[a-z]* to=panic'
server_start 1 80
ok "enough are up: checks are believed" wait_for 5 serve 1
is "lb_service_panic" "$(panic)" 0
ok "that is logged" logged 'from=panic to='
answers_come_from "afterwards" 1
done_testing
