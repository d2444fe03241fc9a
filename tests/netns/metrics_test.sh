#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The metrics: complete, clean under promtool, and true.
. "$(dirname "$0")/lib.sh"

lab_up_web 2
get() { host lb curl -s -o "$RUN/body" -w '%{http_code}' --max-time 5 "http://127.0.0.1:9707$1"; }

lbd_start
is "/healthz" "$(get /healthz)" 200
is "/readyz before an interface is attached" "$(get /readyz)" 503
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 2 --check tcp --check-interval 200ms --check-timeout 100ms
is "/readyz after it" "$(get /readyz)" 200
is "another path" "$(get /)$(get /v1/status)" 404404

ok "a service whose backend refuses" lbctl service add refused 192.0.2.11:81 --check tcp --check-interval 200ms --check-timeout 100ms
ok "backend add" lbctl backend add refused 10.0.0.11:81
fails() { host lb curl -s --max-time 5 http://127.0.0.1:9707/metrics | grep -q '^lb_check_total{service="refused",.*reason="refused"} [1-9]'; }
ok "its failed checks are counted" wait_for 10 fails

spread --to 192.0.2.10:80 --count 1000 --first-port 10000
is "1000 connections" "$(field ok "$REPORT")" 1000
is "/metrics" "$(get /metrics)" 200
cp "$RUN/body" "$RUN/metrics"
ok "promtool check metrics" promtool check metrics <"$RUN/metrics"

while read -r name; do
	ok "$name is there" grep -qE "^${name}[{ ]" "$RUN/metrics"
done <<'END'
lb_build_info
lb_interface_info
lb_interface_attached
lb_packets_total
lb_service_packets_total
lb_service_bytes_total
lb_service_connections_total
lb_service_up
lb_service_panic
lb_service_tier
lb_backend_packets_total
lb_backend_bytes_total
lb_backend_connections_total
lb_backend_active_connections
lb_backend_weight
lb_backend_effective_weight
lb_backend_up
lb_backend_state
lb_backend_held
lb_check_total
lb_check_duration_seconds_bucket
lb_flow_lookups_total
lb_flows
lb_dataplane_repairs_total
lb_table_build_seconds[a-z_]*
lb_loop_hold_seconds_bucket
lb_loop_busy_seconds_bucket
lb_loop_busy_longest_seconds
lb_log_lines_lost_total
lb_config_generation
lb_config_last_apply_success
lb_config_last_apply_timestamp_seconds
process_cpu_seconds_total
process_resident_memory_bytes
process_open_fds
END

echo "# alerts"
ok "each fires when it should, and then alone" promtool test rules "$ROOT/tests/golden/rules/lbd.test.yml"
unknown() { # FILE: what it asks for that is no metric, no verdict or no label's value of those that there are
	comm -23 <(grep -oE '\b(lb|process)_[a-z_]+|\bdrop_[a-z_]+|\b(state|result|verdict)="[a-z_]+"' "$1" | sort -u) \
		<(sed -nE 's/^# HELP (([a-z_]+) .*)/\2\n\2_bucket/p; s/.*verdict="([a-z_]+)".*/\1/p' "$RUN/metrics" |
			sort -u - <(grep -oE '[a-z]+="[a-z_]+"' "$RUN/metrics"))
}
is "what they ask for is there" "$(unknown "$ROOT/packaging/lbd.rules.yml")" ""
echo "# dashboard"
jq -r '.panels[].targets[]?.expr, (.templating.list[] | select(.type == "query").query.query)' "$ROOT/packaging/grafana.json" >"$RUN/asked"
is "what it asks for is there" "$(unknown "$RUN/asked")" ""
between "and it is a good part of it" "$(grep -oE '\blb_[a-z_]+' "$RUN/asked" | sort -u | wc -l)" 20 100
# promtool knows rules; what Grafana fills in is filled in before
sed '/^label_values/d; s/\$__rate_interval/1m/; s/\$[a-z]*/x/g' "$RUN/asked" |
	jq -Rn '{groups: [{name: "panels", rules: [inputs | {record: "panel:\(input_line_number)", expr: .}]}]}' >"$RUN/panels.yml"
ok "Prometheus understands each of its panels" promtool check rules "$RUN/panels.yml"
is "no two panels have one place" "$(jq -r '.panels[].gridPos | "\(.x) \(.y)"' "$ROOT/packaging/grafana.json" | sort | uniq -d)" ""
for verdict in $(sed -n 's/^\tX([A-Z_0-9]*, "\([a-z_0-9]*\)".*/\1/p' "$ROOT/include/lb/verdict.h"); do
	ok "verdict $verdict is there" grep -q "^lb_packets_total{verdict=\"$verdict\"} " "$RUN/metrics"
done

sum() { awk -v m="$1" 'index($1, m) == 1 { s += $2 } END { print s }' "$RUN/metrics"; }
between "lb_service_connections_total" "$(sum lb_service_connections_total)" 1000 1010
is "is the sum of its backends'" "$(sum lb_backend_connections_total)" "$(sum lb_service_connections_total)"
is "packets: the service's are its backends'" "$(sum lb_service_packets_total)" "$(sum lb_backend_packets_total)"
is "packets: what was forwarded went to backends" "$(sum 'lb_packets_total{verdict="forwarded"}')" "$(sum lb_backend_packets_total)"
for i in 1 2; do
	between "b$i: connections are what it answered" "$(sum "lb_backend_connections_total{service=\"web\",backend=\"10.0.0.1$i:80\"}")" \
		"$(field b$i "$REPORT")" $(($(field b$i "$REPORT") + 10))
done

states() { # SERVICE BACKEND VALUE: the states that have it
	sed -n "s/^lb_backend_state{service=\"$1\",backend=\"$2\",state=\"\([a-z_]*\)\"} $3\$/\1/p" "$RUN/metrics" | sort | xargs
}
is "a backend has one state" "$(states web 10.0.0.11:80 1)" up
is "and none of the others" "$(states web 10.0.0.11:80 0)" "disabled down drained draining link_down no_ethernet no_neighbour no_route unchecked unknown"
is "one that fails has another" "$(states refused 10.0.0.11:81 1)" down
ok "good checks are counted before there are any" grep -q '^lb_check_total{service="refused",backend="10.0.0.11:81",result="success",reason="ok"} 0$' "$RUN/metrics"

forwarded=$(metric 'lb_packets_total{verdict="forwarded"}')
passed=$(metric 'lb_packets_total{verdict="pass_no_service"}')
dropped=$(metric 'lb_packets_total{verdict="drop_too_big"}')
ok "a connection to the host itself is refused by it" bash -c "$(declare -f host); ! host client curl -s --max-time 2 http://10.0.0.2:81"
ok "pass_no_service counts it" test "$(metric 'lb_packets_total{verdict="pass_no_service"}')" -gt "$passed"
is "forwarded does not" "$(metric 'lb_packets_total{verdict="forwarded"}')" "$forwarded"
is "drop_too_big does not" "$(metric 'lb_packets_total{verdict="drop_too_big"}')" "$dropped"

ok "backend del" lbctl backend del web 10.0.0.12:80
is "the service's total keeps a removed backend's share" \
	"$(metric 'lb_service_connections_total{service="web",vip="192.0.2.10:80/tcp"}')" "$(sum lb_service_connections_total)"
ok "the removed backend's own is gone" bash -c '! grep -q 10.0.0.12 <<<"$1"' - "$(host lb curl -s http://127.0.0.1:9707/metrics)"
echo "# nobody reads the log"
lbd_end
mkfifo "$RUN/pipe"
exec 7<>"$RUN/pipe"
nsenter --net=/run/netns/lb -- "$BUILD/lbd" --config "$RUN/lb/lbd.yaml" --state-dir "$RUN/lb/state" --socket "$RUN/lb/lbd.sock" \
	--pin-dir /sys/fs/bpf/lb --metrics 127.0.0.1:9707 --log-level debug 2>"$RUN/pipe" &
LBD_PID[lb]=$!
wait_for 15 lbctl status || bail "lbd starts"
jq -nc '{hash_key: "'$HASH_KEY'", services: [range(2000) | {name: "s\(.)", vip: "198.18.\(. / 256 | floor).\(. % 256):80"}]}' >"$RUN/many.json"
change_much() { timeout 20 env "LBD_SOCKET=$RUN/lb/lbd.sock" "$BUILD/lbctl" apply -f "$RUN/many.json" >/dev/null; }
ok "a change that takes more lines than a pipe holds is made" change_much
lost=$(metric lb_log_lines_lost_total)
between "the lines that are lost are counted" "$lost" 500 100000
read_lines() { # what there is
	local line

	while IFS= read -r -t 0.2 line <&7; do
		echo "$line"
	done
}
read_lines >"$RUN/lines"
ok "another change, now that somebody reads" lbctl service del s0
read_lines >>"$RUN/lines"
matches "the log says how many are missing" "$(grep -c 'msg="lines of the log were lost: who reads it is too slow" lines=[1-9]' "$RUN/lines")" '^[12]$'
exec 7>&-
done_testing
