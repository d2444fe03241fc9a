#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# on_down and on_disable: keep. A backend whose check fails, or that is disabled, takes nothing new and keeps what it has.
. "$(dirname "$0")/lib.sh"

lab_up_web 4
declare -A HEALTH_PID
health_start() { # I: what the check of b$I asks
	nsenter --net="/run/netns/b$1" -- "$TRAFFIC" serve --name "h$1" --port=8080 >"$RUN/h$1.ready" &
	HEALTH_PID[$1]=$!
	wait_for 5 grep -q ready "$RUN/h$1.ready" || bail "health of b$1 starts"
}
health_end() { # I
	kill -KILL "${HEALTH_PID[$1]}"
	wait "${HEALTH_PID[$1]}" 2>/dev/null
}
for i in 1 2 3 4; do health_start $i; done
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 4 --check tcp --check-port 8080 --check-interval 100ms --check-timeout 80ms --fall 2 \
	--rise 2 --on-down keep --on-disable keep

talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 800 --first-port 10000 --timeout 1500
talk_read held
before=$ANSWER
is "800 connections are open" "$(field alive "$before")" 800

intact() { # the number that should be alive, none of which has moved
	talk held clear
	talk held ping
	is "  connections alive" "$(field alive "$ANSWER")" "$1"
	is "  moved or answered by another" "$(field moved "$ANSWER")" 0
}

echo "# b2's check fails"
health_end 2
wait_serving web 3
intact 800
spread --to 192.0.2.10:80 --count 400 --first-port 20000
is "new connections are answered" "$(field ok "$REPORT")" 400
is "none by b2" "$(field b2 "$REPORT")" 0
lbd_end
lbd_start
wait_serving web 3
intact 800

echo "# b3 is disabled"
ok "disable" lbctl backend disable web "$(backend_addr 3 80)"
wait_serving web 2
intact 800
spread --to 192.0.2.10:80 --count 400 --first-port 30000
is "none of the new ones by b3" "$(field b3 "$REPORT")" 0

echo "# from now on they are to end"
ok "on_disable: terminate" lbctl service set web --on-disable terminate
intact $((800 - $(field b3 "$before")))
ok "on_down: terminate" lbctl service set web --on-down terminate
intact $((800 - $(field b3 "$before") - $(field b2 "$before")))
done_testing
