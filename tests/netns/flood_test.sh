#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A flood of SYNs from random sources hits one service while all slots of it and of another change their owner: the
# connections of both live on and stay where they are, those of the flooded service, too, and new ones are made.
#
# FLOOD_CONNS: how many connections the flooded service holds, from two processes as one may not open so many files.
# FLOOD_RATE: SYNs a second; it may be less than asked for.
. "$(dirname "$0")/lib.sh"

CONNS=${FLOOD_CONNS:-20000} OTHERS=4000 RATE=${FLOOD_RATE:-150000} FLOOD_SECONDS=30
WINDOW=8 EVERY_MS=3000

lab_up 6
lab_host flooder eth0 9 1500
lab_vip 192.0.2.10 6
lab_vip 192.0.2.20 6
servers_start 6 80
nodes_attach 6
echo "learning_window: ${WINDOW}s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up flooded 192.0.2.10:80/tcp 3
service_up other 192.0.2.20:80/tcp 3

declare -A HELD
hold() { # NAME VIP N FROM
	talk_start "$1" host client "$TRAFFIC" hold --to "$2:80" --from "$4" --count "$3" --first-port 10000 \
		--every $EVERY_MS --timeout 8000 --parallel 256
	talk_read "$1"
	is "connections to $1 that are open" "$(field alive "$ANSWER")" "$3" || exit 1
	HELD[$1]=$3
}
ip -n client address add 10.0.0.3/24 dev eth0
hold flooded-1 192.0.2.10 $((CONNS / 2)) 10.0.0.1
hold flooded-2 192.0.2.10 $((CONNS / 2)) 10.0.0.3
hold other 192.0.2.20 $OTHERS 10.0.0.1

# Every slot gets another owner, all in one change, and the former ones keep their connections. The others are there
# before that, with nothing to do.
next_hops_are() { # SERVICE N
	[ "$(service_json "$1" '[.backends[] | select(.status.next_hop)] | length')" = "$2" ]
}
for service in flooded other; do
	for i in 4 5 6; do
		lbctl backend add $service "$(backend_addr $i 80)" --weight 0 || bail "backend add"
	done
	wait_for 10 next_hops_are $service 6 || bail "the way to all of $service" "$(lbctl service show $service)"
done
change() {
	local config=$RUN/config.json

	config_api >"$config.was" &&
		jq '.services[].backends[] |= if .weight == 0 then .weight = 100 else .state = "draining" end' "$config.was" \
			>"$config" && config_api -X PUT --data-binary "@$config" -o /dev/null
}
config_api() { # CURL-OPTION...
	host lb curl -sf --max-time 20 --unix-socket "$RUN/lb/lbd.sock" "$@" http://lbd/v1/config
}
moving() { # SERVICE
	service_json "$1" .status.slots.moving
}
none_moving() {
	[ "$(moving flooded)" = 0 ] && [ "$(moving other)" = 0 ]
}
packets() { # SERVICE
	service_json "$1" .status.packets
}
flood_arrives() {
	[ "$(packets flooded)" -gt $((before + 100000)) ]
}

before=$(packets flooded)
misses=$(metric 'lb_flow_lookups_total{result="miss"}')
host flooder "$BUILD/tests/synflood" eth0 02:00:00:00:00:02 192.0.2.10 80 $((RATE * FLOOD_SECONDS)) "$RATE" >"$RUN/flood" &
flood=$!
ok "the flood arrives" wait_for 10 flood_arrives
ok "all owners change" change
is "slots of flooded that do not move" "$(service_json flooded '.status.slots | .stable + .settling')" 0
is "slots of other that do not move" "$(service_json other '.status.slots | .stable + .settling')" 0
talk_start load host client "$TRAFFIC" load --to 192.0.2.20:80 --rate 200 --timeout 4000
ok "the learning windows end" wait_for 30 none_moving
ok "the flood goes on" kill -0 $flood
kill $flood
wait $flood 2>/dev/null
echo "# flood: $(($(packets flooded) - before)) packets for flooded; $(metric 'lb_flow_lookups_total{result="miss"}') misses after $misses;" \
	"entries: $(lbctl --json status | jq .flows.entries)"

for name in flooded-1 flooded-2 other; do
	talk $name ping
	echo "# $name: $ANSWER"
	is "connections to $name that are alive" "$(field alive "$ANSWER")" "${HELD[$name]}"
	is "connections to $name that moved" "$(field moved "$ANSWER")" 0
done
talk load quit
echo "# new: $ANSWER"
is "new connections to other that failed" "$(($(field refused "$ANSWER") + $(field reset "$ANSWER") + $(field silent "$ANSWER") + \
	$(field closed "$ANSWER") + $(field unreachable "$ANSWER")))" 0
between "new connections to other" "$(field ok "$ANSWER")" 200 1000000
is "of which the former owners got" "$(($(field b1 "$ANSWER") + $(field b2 "$ANSWER") + $(field b3 "$ANSWER")))" 0
done_testing
