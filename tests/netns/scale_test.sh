#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ten thousand services, and ten thousand backends in one: whatever is asked of lbd, its event loop goes on.
. "$(dirname "$0")/lib.sh"

N=10000
lab_up 1
ip -n lb route add 10.1.0.0/16 via 10.0.0.11
lbd_config </dev/null
lbd_start
lbctl attach lb0 2>/dev/null || bail "attach"

api() { # METHOD PATH [FILE]
	host lb curl -sf --max-time 60 --unix-socket "$RUN/lb/lbd.sock" -o "$RUN/answer" -X "$1" \
		${3:+--data-binary "@$3" -H 'Content-Type: application/json'} "http://lbd$2"
}
metrics() { host lb curl -sf --max-time 60 http://127.0.0.1:9707/metrics; }

# Rounds of the loop that took more than 10 ms of CPU time, and more than 25, ever. CPU time: others' work on the machine
# is not lbd's. But a core that shares its units with another thread takes up to twice as long for the same.
long_rounds() {
	metrics | awk '/^lb_loop_busy_seconds_count/ { all = $2 } index($1, "lb_loop_busy_seconds_bucket{le=\"0.01\"") { ten = $2 }
		index($1, "lb_loop_busy_seconds_bucket{le=\"0.025\"") { more = $2 } END { print all - ten, all - more }'
}

goes_on() { # WHAT COMMAND...
	local what=$1 tens more tens_before more_before

	shift
	read -r tens_before more_before <<<"$(long_rounds)"
	ok "$what" "$@"
	read -r tens more <<<"$(long_rounds)"
	is "$what: no round of the loop took 25 ms" $((more - more_before)) 0
	between "$what: nor more than two 10 ms" $((tens - tens_before)) 0 2
}

services() { # FILE N BACKENDS: N services, which are announced, with so many backends each
	jq -nc --argjson n "$2" --argjson b "$3" '{hash_key: "'$HASH_KEY'", interfaces: [{name: "lb0"}], announce: {delay: "0s"}, services:
		[range($n) | . as $s | {name: "s\(.)", vip: "198.18.\(. / 256 | floor).\(. % 256):80/tcp", announce: true,
			check: {type: "none"}, backends:
			[range($b) | {address: "10.1.\(($s * $b + .) / 256 | floor).\(($s * $b + .) % 256)"}]}]}' >"$1"
}
services "$RUN/many.json" $N 1
services "$RUN/few.json" $((N - 1)) 1
services "$RUN/large.json" 1 $N
services "$RUN/none.json" 0 0

routes_are() { [ "$(lbctl --json status | jq .announce.routes)" = "$1" ]; }
all_routes() { wait_for 60 routes_are "$1"; }
has_all() { [ "$(jq "$1 | length" "$RUN/answer")" = "$2" ]; }

echo "# $N services"
goes_on "PUT them" api PUT /v1/config "$RUN/many.json"
goes_on "their routes" all_routes $N
goes_on "PUT them again" api PUT /v1/config "$RUN/many.json"
goes_on "a dry run with one less" api PUT '/v1/config?dry_run=1' "$RUN/few.json"
ok "says so" has_all .changes 1
goes_on "GET them" api GET /v1/services
ok "they are all there" has_all .services $N
goes_on "GET the configuration" api GET /v1/config
goes_on "GET the status, and compare all maps" api GET '/v1/status?verify=1'
is "nothing was to be repaired" "$(jq .verify.repaired "$RUN/answer")" 0
goes_on "the metrics" metrics
goes_on "what is remembered, by backend" api GET /v1/flows
goes_on "and of one client" api GET '/v1/flows?client=198.51.100.1'
echo '{"weight": 50}' >"$RUN/half.json"
goes_on "one backend's weight" api PATCH /v1/services/s77/backends/10.1.0.77 "$RUN/half.json"

others_while() { # COMMAND...: are others answered meanwhile?
	local answered=0

	"$@" &
	while kill -0 $! 2>/dev/null; do
		host lb curl -sf --max-time 1 -o /dev/null http://127.0.0.1:9707/healthz && answered=$((answered + 1))
	done
	wait $! && between "others are answered meanwhile" $answered 3 100000
}

# A start adopts all of it beside the loop, too: who asks whether lbd lives is answered until it is ready.
starts_with() { # N: services
	local tens more

	lbd_end KILL 2>/dev/null
	lbd_spawn
	ok "$1 services are adopted" others_while wait_for 20 lbctl status
	is "all of them" "$(lbctl --json status | jq -c '[.adopted, .services.total]')" "[true,$1]"
	read -r tens more <<<"$(long_rounds)"
	is "no round of the loop took 25 ms" "$more" 0
	between "nor more than two 10 ms" "$tens" 0 2
}
starts_with $N

# Told to end while it starts it does, and what there was forwards on.
lbd_end KILL
lbd_spawn
wait_for 10 host lb curl -sf -o /dev/null http://127.0.0.1:9707/healthz || bail "lbd answers while it starts"
kill -TERM "${LBD_PID[lb]}"
wait "${LBD_PID[lb]}"
is "lbd ends while it starts" $? 0
starts_with $N

# Whoever asks whether lbd lives is answered while it changes 10,000 services.
all_routes $N
goes_on "they go" others_while api PUT /v1/config "$RUN/none.json"
goes_on "and their routes" all_routes 0

echo "# $N backends in one service"
goes_on "PUT them" api PUT /v1/config "$RUN/large.json"
large_serves() { api GET /v1/services/s0 && [ "$(jq '[.backends[] | select(.status.serving)] | length' "$RUN/answer")" = $N ]; }
goes_on "they serve, as soon as their next hops are known" wait_for 60 large_serves
goes_on "one backend's weight" api PATCH /v1/services/s0/backends/10.1.0.77 "$RUN/half.json"
goes_on "the metrics" metrics
ip -n b1 link set eth0 down
ip -n lb neigh flush dev lb0
ip -n b1 link set eth0 up
goes_on "all again, after their next hop was lost" wait_for 60 large_serves
goes_on "DELETE it" api DELETE /v1/services/s0

echo "# 1,000 checks a second"
ip -n b1 route add local 10.1.0.0/16 dev lo
server_start 1 80
jq '.services[0] |= (.check = {type: "tcp", interval: "2s", rise: 1} | .backends = .backends[:2000])' "$RUN/large.json" >"$RUN/checked.json"
goes_on "PUT 2,000 backends that are checked each other second" api PUT /v1/config "$RUN/checked.json"
checks() { metrics | awk '/^lb_check_total{.*result="success"/ { sum += $2 } END { print sum + 0 }'; }
checked() { [ "$(checks)" -ge "$1" ]; }
goes_on "they are" wait_for 20 checked 3000
done_testing
