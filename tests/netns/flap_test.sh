#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A backend that comes and goes too often is held down for a while, longer each time, and it is said why.
. "$(dirname "$0")/lib.sh"

lab_up_web 2
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 2 --check tcp --check-interval 100ms --check-timeout 80ms --rise 1 --fall 1 --flaps 3 \
	--flap-window 30s --flap-hold 2s --flap-hold-max 4s

B2='.backends[] | select(.address == "10.0.0.12:80") | .status'
is_now() { [ "$(service_json web "$B2 | \"\(.health)/\(.reason)\"")" = "$1" ]; }
held_metric() { metric 'lb_backend_held{service="web",backend="10.0.0.12:80"}'; }
flap() { # down and, at once, able to come up again
	server_kill 2
	ok "$1: down" wait_for 5 is_now down/refused
	server_start 2 80
}
became_ms() { # STATE: when it last did, as it is logged
	date +%s%3N -d "$(sed -n "s/^time=\([^ ]*\) .*msg=\"health\" .*backend=10\.0\.0\.12:80 .*to=$1 .*/\1/p" "$RUN/lb/log" | tail -n 1)"
}
held_for() { # WHAT SECONDS
	ok "$1: up at last" wait_for 8 is_now up/ok
	between "$1: held down, in ms" $(($(became_ms up) - $(became_ms down))) $(($2 * 1000 - 100)) "$(busy $(($2 * 1000 + 1500)))"
	matches "$1: it is logged" "$(grep 'msg="held down"' "$RUN/lb/log" | tail -n 1)" \
		"service=web backend=10.0.0.12:80 reason=flapping seconds=$2.0"
	is "$1: lb_backend_held, afterwards" "$(held_metric)" 0
}

flap "once"
ok "once: up" wait_for 1 is_now up/ok
flap "twice"
ok "twice: up" wait_for 1 is_now up/ok
flap "three times"
held_for "three times" 2
flap "four times"
ok "four times: held down, and why" wait_for 3 is_now down/flapping
is "four times: lb_backend_held" "$(held_metric)" 1
matches "four times: held_seconds" "$(service_json web "$B2.held_seconds")" '^[0-9.]+$'
spread --to 192.0.2.10:80 --count 100 --first-port 20000
is "while it is held: answered" "$(field ok "$REPORT")" 100
is "while it is held: by the other" "$(field b1 "$REPORT")" 100
held_for "four times" 4
flap "five times"
held_for "five times" 4
flap "six times"
ok "held again" wait_for 2 is_now down/flapping
ok "without damping" lbctl service set web --flaps none
ok "it is up at once" wait_for 1 is_now up/ok
done_testing
