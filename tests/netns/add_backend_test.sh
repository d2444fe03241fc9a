#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Backends are added, one by one, while connections are held: none of them moves, and each newcomer gets its share.
. "$(dirname "$0")/lib.sh"

lab_up_web 8
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 5

talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 3000 --first-port 10000 --every 300
talk_read held
is "3000 connections are open" "$(field alive "$ANSWER")" 3000

window_over() { [ "$(service_json web .status.slots.moving)" = 0 ]; }
for i in 6 7 8; do
	ok "backend add b$i" lbctl backend add web 10.0.0.$((10 + i)):80
	wait_serving web $i
	spread --to 192.0.2.10:80 --count 4000 --first-port $((i * 5000))
	between "b$i has 1/$i of 4000 new connections" "$(field b$i "$REPORT")" $((4000 * 85 / i / 100)) $((4000 * 115 / i / 100))
	talk held ping
	is "all 3000 held connections speak on" "$(field alive "$ANSWER")" 3000
done
ok "the learning window ends" wait_for 15 window_over
talk held clear
talk held ping
is "after it all 3000 speak" "$(field alive "$ANSWER")" 3000
is "none of them to a newcomer" "$(field b6 "$ANSWER") $(field b7 "$ANSWER") $(field b8 "$ANSWER")" "0 0 0"

echo "# the last newcomer is removed again"
ok "backend del" lbctl backend del web 10.0.0.18:80
talk held ping
is "the held connections do not notice" "$(field alive "$ANSWER")" 3000
done_testing
