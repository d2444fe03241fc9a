#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SCTP associations in all modes that carry them: spread, kept through changes as TCP connections are, counted, and
# ended by what ends them.
. "$(dirname "$0")/lib.sh"

PEER=$BUILD/tests/sctp_peer
lab_up 4
lab_vip 192.0.2.10 4
lab_vip 2001:db8::10 4
nodes_attach 4
for i in 1 2 3 4; do
	nsenter --net="/run/netns/b$i" -- "$PEER" server --port 3868 --port 3869 --port 3870 --name "b$i" >"$RUN/b$i.ready" &
	TALK_NEEDS+=($!)
	wait_for 5 grep -q ready "$RUN/b$i.ready" || bail "the server on b$i starts"
done
echo "learning_window: 30s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0

round() { # NAME [COMMAND]: what the client says after it, without which the rest of the test would only wait
	[ $# = 1 ] || echo "$2" >&"${TALK_IN[$1]}"
	talk_read "$1"
	[[ $ANSWER == alive=* ]] || bail "$1: the client answers" "$ANSWER"
}

FROM=10.0.0.1
try() { # NAME VIP FIRST-PORT OPTION...
	local i

	service_up "$1" "$2/sctp" 3 --check none "${@:4}"
	talk_start "$1" host client "$PEER" client --from "$FROM:$3" --to "$2" --count 300
	round "$1"
	is "$1: 300 associations are open" "$(field alive "$ANSWER")" 300
	for i in 1 2 3; do
		between "$1: b$i has a third" "$(field b$i "$ANSWER")" 65 135
	done
	is "$1: they are counted" "$(metric "lb_service_connections_total{service=\"$1\",vip=\"$2/sctp\"}")" 300
}

try ipip 192.0.2.10:3868 20000 --forward ipip
try l2 192.0.2.10:3869 21000 --forward l2
try gue 192.0.2.10:3870 22000 --forward gue
FROM='[fd00::1]'
try six '[2001:db8::10]:3868' 23000 --forward ipip

echo "# changes"
ok "b4 is added" lbctl backend add ipip 10.0.0.14:3868
wait_serving ipip 4
ok "slots are moving" test "$(service_json ipip .status.slots.moving)" -gt 0
round ipip ping
is "no association has moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "300 0"
ok "b1 drains" lbctl backend drain ipip 10.0.0.11:3868
round ipip ping
is "nor now" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "300 0"
lbd_end KILL
round ipip ping
is "nor without lbd" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "300 0"
lbd_start
talk_start more host client "$PEER" client --from 10.0.0.1:24000 --to 192.0.2.10:3868 --count 200
round more
is "new ones leave b1 alone" "$(field alive "$ANSWER") $(field b1 "$ANSWER")" "200 0"
between "and go to b4, too" "$(field b4 "$ANSWER")" 40 95

echo "# what trace says of them"
traced() { # FIELDS SPEC...: of each packet
	local specs=() s

	for s in "${@:2}"; do
		specs+=(--packet "$s")
	done
	lbctl --json trace "${specs[@]}" | jq -r "[$1] | map(tostring) | join(\" \")"
}

is "no service of TCP" "$(traced .verdict '10.0.0.1:9 > 192.0.2.10:3869/tcp')" pass_no_service
ok "all is remembered" lbctl service set l2 --state all
is "INIT opens, DATA follows it" "$(traced '.verdict, .via, .entry' 'sctp 10.0.0.1:9 > 192.0.2.10:3869' \
	'sctp 10.0.0.1:9 > 192.0.2.10:3869 ack' | tr '\n' ' ')" "forwarded table made forwarded flow found "
round l2 ping
remembered() { [ "$(lbctl flows l2 --client 10.0.0.1 --count)" = 300 ]; }
ok "flows of the client" wait_for 10 remembered

echo "# ends"
open_are() { # SERVICE N: of N associations their clients have said nothing that ends them
	[ "$(service_json "$1" '[.backends[].status.active_connections] | add')" = "$2" ]
}

ok "l2: 300 are open" open_are l2 300
round l2 close
ok "l2: none is when they were shut down" wait_for 10 open_are l2 0
ok "gue: 300 are open" open_are gue 300
round gue abort
ok "gue: none is when they were aborted" wait_for 10 open_are gue 0
done_testing
