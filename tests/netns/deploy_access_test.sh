#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/examples/access-gateway.yaml: a primary and two redundant policy services behind access points on three ports.
. "$(dirname "$0")/deploy/lib.sh"

VIP=192.0.2.20
lab_up 3
lab_vip $VIP 3
nodes_attach 3

policy_start() { # I: nginx on the access points' ports, and its health elsewhere
	local dir=$RUN/policy$1 listen=

	for port in 8001 8002 8003; do listen+="listen $port backlog=4096; "; done
	nginx_conf "$dir" <<-END
		server { $listen location / { return 200 "policy$1\n"; } }
		server { listen 8080; location /health { return 200 "ok\n"; } }
	END
	nginx_run "b$1" "$dir"
	APP_PID[policy$1]=$!
}
decides() { # I: policyI takes all new connections
	[ "$(service_json policy ".backends[] | select(.address == \"10.0.0.1$1\") | .status.share")" = 1 ]
}
answered_by() { # WHAT I: on each port
	local port

	for port in 8001 8002 8003; do
		spread --to $VIP:$port --http / --count 100
		is "$1: port $port is answered by policy$2" "$(field ok "$REPORT") $(field "policy$2" "$REPORT")" "100 100"
	done
}
hold() { # NAME: connections to each of the ports
	local port

	for port in 8001 8002 8003; do
		talk_start "$1$port" host client "$TRAFFIC" hold --to $VIP:$port --http / --count 30 --every 300
		talk_read "$1$port"
	done
}
held() { # NAME FIELD: the sum over the ports
	local port sum=0

	for port in 8001 8002 8003; do
		talk "$1$port" ping
		sum=$((sum + $(field "$2" "$ANSWER")))
	done
	echo $sum
}
answered_since() {
	talk load report
	[ "$(field since_mark_ok "$ANSWER")" -ge "$1" ]
}
none_failed() { # WHAT
	ok "$1: 300 further answers" wait_for 10 answered_since 300
	talk load report
	is "$1: none failed" "$(field since_mark_failed "$ANSWER")" 0
}
# A check that has just been done, three intervals with their jitter, the last one's timeout, 200 ms for a busy machine.
LIMIT=$((300 * 110 / 100 * 4 + 200 + 200))
in_time() { # WHAT
	ok "$1: 300 further answers" wait_for 10 answered_since 300
	talk load report
	between "$1: milliseconds until the last request that failed" "$(field since_mark_last_failure_ms "$ANSWER")" 0 "$(busy $LIMIT)"
}

for i in 1 2 3; do policy_start $i; done
for i in 1 2 3; do wait_for 10 host b$i curl -sf http://127.0.0.1:8080/health || bail "policy$i starts"; done
example access-gateway -e 's/^learning_window: .*/learning_window: 2s/'
lbd_start
all_up() { [ "$(service_json policy '[.backends[] | select(.status.health == "up")] | length')" = 3 ]; }
ok "all three are up" wait_for 10 all_up
answered_by "at first" 1
hold first
is "90 connections are open" "$(held first alive)" 90
talk_start load host client "$TRAFFIC" load --to $VIP:8001 --http / --rate 300 --timeout 800

echo "# the primary stops"
talk load mark
app_end policy1 KILL
ok "policy2 takes over" wait_for 5 decides 2
in_time "policy1 has stopped"
answered_by "policy1 has stopped" 2
is "connections to it have ended" "$(held first alive)" 0
hold second
is "90 connections are open to policy2" "$(held second alive)" 90

echo "# so does the first redundant one"
talk load mark
app_end policy2 KILL
ok "policy3 takes over" wait_for 5 decides 3
in_time "policy2 has stopped"
answered_by "policy2 has stopped" 3
hold third
is "90 connections are open to policy3" "$(held third alive)" 90

echo "# they come back, the primary last"
talk load mark
policy_start 2
ok "policy2 has it back" wait_for 15 decides 2
policy_start 1
ok "policy1 has it back" wait_for 15 decides 1
none_failed "back"
answered_by "back" 1
is "connections to policy3 live on" "$(held third alive) $(held third moved)" "90 0"
ok "the learning window is over" wait_for 15 window_over policy
is "and go on living" "$(held third alive) $(held third moved)" "90 0"

echo "# maintenance of the primary"
hold fourth
talk load mark
ok "policy1 drains" lbctl backend drain policy 10.0.0.11
answered_by "draining" 2
none_failed "draining"
is "its connections live on" "$(held fourth alive) $(held fourth moved)" "90 0"
ok "policy1 is enabled" lbctl backend enable policy 10.0.0.11
answered_by "enabled" 1
none_failed "enabled"
is "its connections live on" "$(held fourth alive) $(held fourth moved)" "90 0"
done_testing
