#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Health checks against real web servers: how soon a dead backend is left, in each way to die, and how soon it is back.
. "$(dirname "$0")/lib.sh"

lab_up 3
lab_vip 192.0.2.10 3
nodes_attach 3
lbd_start
ok "attach" lbctl attach lb0

nginx_start() { # I STATUS BODY: the answer to /health
	lab_web "$1" "b$1" "$2" "$3"
}
nginx_kill() {
	kill -KILL "${WEB_PID[$1]}"
	wait "${WEB_PID[$1]}" 2>/dev/null
}
health_of() { service_json web ".backends[] | select(.address == \"10.0.0.1$1:80\") | .status.$2"; }
has_health() { [ "$(health_of "$1" health)/$(health_of "$1" reason)" = "$2" ]; }

for i in 1 2 3; do nginx_start $i 200 fine; done
service_up web 192.0.2.10:80/tcp 3 --check http:/health --expect-body fine --check-interval 200ms --check-timeout 100ms \
	--fall 2 --rise 2
is "a healthy backend's reason" "$(health_of 1 reason)" ok

# less than the second after which a SYN is sent again, and then answered by another
talk_start load host client "$TRAFFIC" load --to 192.0.2.10:80 --http / --rate 1000 --timeout 800
answered_since() {
	talk load report
	[ "$(field since_mark_ok "$ANSWER")" -ge "$1" ]
}

# The check that finds it may just have been done; then `fall` intervals with their jitter of 10 %, the last check's
# timeout, and for a busy machine 200 ms.
LIMIT=$((200 * 110 / 100 * 2 + 100 + 200))
left_in_time() { # WHAT
	wait_serving web 2
	ok "$1: 1000 further answers" wait_for 10 answered_since 1000
	talk load report
	between "$1: it got requests at first (failed ones)" "$(field since_mark_failed "$ANSWER")" 1 1000
	between "$1: milliseconds until the last request to it" "$(field since_mark_last_failure_ms "$ANSWER")" 0 "$(busy $LIMIT)"
}

echo "# a killed server"
talk load mark
nginx_kill 2
left_in_time "killed"
is "killed: the reason" "$(health_of 2 health) $(health_of 2 reason)" "down refused"
is "killed: lb_backend_up" "$(metric 'lb_backend_up{service="web",backend="10.0.0.12:80"}')" 0

echo "# it comes back"
nginx_start 2 200 fine
talk load mark
wait_serving web 3
ok "back: 500 answers" wait_for 10 answered_since 500
talk load report
is "back: failed" "$(field since_mark_failed "$ANSWER")" 0
is "back: lb_backend_up" "$(metric 'lb_backend_up{service="web",backend="10.0.0.12:80"}')" 1

echo "# a host that is cut off"
talk load mark
ip -n b3 link set eth0 down
left_in_time "cut off"
matches "cut off: the reason" "$(health_of 3 health) $(health_of 3 reason)" '^down (timeout|unreachable)$'
ip -n b3 link set eth0 up
wait_serving web 3

echo "# answers that say no"
nginx_kill 2
nginx_start 2 503 fine
ok "status 503" wait_for 5 has_health 2 down/status
nginx_kill 2
nginx_start 2 200 sorry
ok "another body" wait_for 5 has_health 2 down/body
is "the others serve" "$(service_json web .status.state)" degraded

echo "# nobody is left"
nginx_kill 1
nginx_kill 2
nginx_kill 3
wait_serving web 0
is "the service is down" "$(service_json web .status.state)" down
NO_BACKEND='lb_packets_total{verdict="drop_no_backend"}'
dropped=$(metric "$NO_BACKEND")
grown() { [ "$(metric "$NO_BACKEND")" -gt "$dropped" ]; }
ok "requests are dropped with a verdict of their own" wait_for 5 grown
nginx_start 1 200 fine
wait_serving web 1
talk load mark
ok "one is back: 500 answers" wait_for 10 answered_since 500

echo "# what is disabled is not known any more, and what is down is said once"
ok "a tier of its own" lbctl backend set web 10.0.0.11:80 --tier 1
tier_is() { [ "$(service_json web .status.tier)" = "$1" ]; }
ok "it serves" wait_for 5 tier_is 1
ok "backend disable" lbctl backend disable web 10.0.0.11:80
is "its health" "$(health_of 1 health)" unknown
for weight in 1 2 100; do ok "a change of what is down" lbctl backend set web 10.0.0.12:80 --weight $weight; done
is "nothing is logged of what stays down" "$(grep -c 'msg="service" service=web from=down to=down' "$RUN/lb/log")" 0
ok "backend enable" lbctl backend enable web 10.0.0.11:80
wait_serving web 1
ok "backend disable" lbctl backend disable web 10.0.0.11:80
lbd_end KILL
ip -n lb neigh replace 10.0.0.13 lladdr 02:00:00:00:aa:bb dev lb0 nud permanent # something to tell of as well
lbd_start
is "the first event of a start" "$(lbctl --json monitor --since 0 -n 1 | jq -r .type)" started
is "it was not known when it was disabled, and is not found so again" \
	"$(grep -c 'msg="health" .*backend=10.0.0.11:80 from=[a-z]* to=unknown' "$RUN/lb/log")" 2
ok "backend enable" lbctl backend enable web 10.0.0.11:80
wait_serving web 1

echo "# what is found out while the service is removed"
nsenter --net=/run/netns/lb -- strace -qq -f -p "${LBD_PID[lb]}" -e trace=fsync -e inject=fsync:delay_enter=1000000 -o "$RUN/strace" &
tracer=$!
ok "strace holds lbd" wait_for 10 grep -q '^TracerPid:	[1-9]' "/proc/${LBD_PID[lb]}/status"
: >"$RUN/lb/log"
lbctl service del web &
del=$!
ok "it is being removed" wait_for 5 grep -q 'op=remove path=services.web. ' "$RUN/lb/log"
nginx_kill 1
wait $del
is "it is removed" $? 0
kill $tracer
wait $tracer 2>/dev/null
ok "another one" lbctl service add other 192.0.2.11:80
is "nobody hears of what is not there any more" "$(grep -c 'msg="health"\|level=error' "$RUN/lb/log")" 0
done_testing
