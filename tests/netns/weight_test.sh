#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Backends that say how much of their weight they can bear, in a header or in the body of what nginx answers to checks:
# their share of new connections follows, small changes make no table, and what cannot be read takes nothing away.
. "$(dirname "$0")/lib.sh"

lab_up_web 3

# nginx on bI, port 8080: /say has the header X-Weight with the name of the file in $RUN/sayI that is there, /load answers
# with the file $RUN/sayI/load.
say_start() { # I
	local dir=$RUN/say$1 w

	{
		cat <<-END
			server {
				listen 8080;
				location /load { root $dir; }
				location /say {
					set \$w "";
		END
		for w in 100 97 70 40 38 2 busy; do
			echo "if (-f $dir/$w) { set \$w $w; }"
		done
		cat <<-END
					if (-f $dir/refuse) { return 503; }
					add_header X-Weight \$w;
					return 204;
				}
			}
		END
	} | nginx_conf "$dir"
	nginx_run "b$1" "$dir"
}
say() { # I [WEIGHT]: what its header says from now on; nothing: it has none
	rm -f "$RUN/say$1"/{100,97,70,40,38,2,busy,refuse}
	[ -z "${2-}" ] || touch "$RUN/say$1/$2"
}
of() { service_json web ".backends[] | select(.address == \"10.0.0.1$1:80\") | .status.$2"; }
counts() { [ "$(of "$1" weight_percent)" = "$2" ]; }
unread() { metric "lb_check_weight_unread_total{service=\"web\",backend=\"10.0.0.1$1:80\"}"; }
checked() { metric "lb_check_total{service=\"web\",backend=\"10.0.0.1$1:80\",result=\"success\",reason=\"ok\"}"; }
tables() { metric lb_table_build_seconds_count; }
more_checks() { # I N: N more good checks than there were
	local was

	was=$(checked "$1")
	more() { [ "$(checked "$1")" -ge "$2" ]; }
	wait_for 10 more "$1" $((was + $2)) || bail "b$1 is checked" "$(lbctl service show web)"
}

for i in 1 2 3; do
	say_start $i
	say $i 100
done
lbd_start
ok "attach" lbctl attach lb0
host lb curl -sN --unix-socket "$RUN/lb/lbd.sock" http://lbd/v1/events >"$RUN/events" &
events=$!
service_up web 192.0.2.10:80/tcp 3 --check http:/say --check-port 8080 --check-interval 100ms --check-timeout 80ms --fall 4 \
	--check-weight-header X-Weight
is "all of their weight" "$(of 1 weight_percent) $(of 2 effective_weight)" "100 100"
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 600 --first-port 10000 --every 300
talk_read held
is "600 connections are open" "$(field alive "$ANSWER")" 600

echo "# less, and more again"
say 2 40
ok "what it says counts" wait_for 5 counts 2 40
is "effective_weight" "$(of 2 effective_weight)" 40
matches "backend list shows both weights" "$(lbctl backend list web | grep '10\.0\.0\.12')" '100 \(40\)'
is "lb_backend_weight_percent" "$(metric 'lb_backend_weight_percent{service="web",backend="10.0.0.12:80"}')" 40
is "lb_backend_weight stays" "$(metric 'lb_backend_weight{service="web",backend="10.0.0.12:80"}')" 100
ok "it is logged" grep -q 'msg="weight" service=web backend=10.0.0.12:80 from=100% to=40% reason=said' "$RUN/lb/log"
said() { grep '"type":"weight"' "$RUN/events" | jq -r '[.service, .backend, .from, .to, .reason] | join(" ")' | tail -n 1; }
told() { [ "$(said)" = "$1" ]; }
ok "and told as an event" wait_for 5 told "web 10.0.0.12:80 100% 40% said"
spread --to 192.0.2.10:80 --count 2400 --first-port 20000
is "2400 new connections are answered" "$(field ok "$REPORT")" 2400
between "b2 gets 40 of 240 parts of them" "$(field b2 "$REPORT")" 320 480
between "b1 gets 100" "$(field b1 "$REPORT")" 900 1100

echo "# hardly another"
tables=$(tables)
say 2 38
say 1 97
more_checks 2 5
more_checks 1 5
is "small changes do not count" "$(of 1 weight_percent) $(of 2 weight_percent)" "100 40"
is "and make no table" "$(tables)" "$tables"
ok "with a step of 1" lbctl service set web --check-weight-step 1
ok "they do" wait_for 5 counts 2 38
ok "for each" wait_for 5 counts 1 97
say 1 100
ok "a floor" lbctl service set web --check-weight-step 5 --check-weight-floor 25
say 2 2
ok "no less counts" wait_for 5 counts 2 25
say 2 40
ok "40 again" wait_for 5 counts 2 40

echo "# what cannot be read"
before=$(unread 2)
say 2 busy
missed() { [ "$(unread 2)" -gt "$before" ]; }
ok "it is counted" wait_for 5 missed
ok "and logged" grep -q 'msg="no weight can be read in an answer" service=web backend=10.0.0.12:80 percent=40' "$RUN/lb/log"
ok "after some such answers all of it counts" wait_for 5 counts 2 100
between "after \`fall\` of them" $(($(unread 2) - before)) 4 40
ok "told with a reason" wait_for 5 told "web 10.0.0.12:80 40% 100% unread"
say 2 40
ok "it says something again" wait_for 5 counts 2 40
say 2
ok "the header is gone: all of it" wait_for 5 counts 2 100
say 2 40
ok "and is back" wait_for 5 counts 2 40

echo "# down and up: with what it said last"
touch "$RUN/say2/refuse"
wait_serving web 2
is "while it is down" "$(of 2 weight_percent)" 40
rm "$RUN/say2/refuse"
wait_serving web 3
is "and afterwards" "$(of 2 weight_percent)" 40
talk held ping
is "no connection of the others moved" "$(field moved "$ANSWER")" 0

echo "# a restart begins with it"
kill $events
ok "checks that take their time" lbctl service set web --check-interval 20s
digest=$(service_json web .status.table_digest)
lbd_end KILL
say 2 refuse # nothing can be read until we say so
lbd_start
is "what counts" "$(of 2 weight_percent) $(of 2 effective_weight)" "40 40"
is "and the table" "$(service_json web .status.table_digest)" "$digest"
say 2 70
ok "checks as before" lbctl service set web --check-interval 100ms
ok "what it says now counts" wait_for 5 counts 2 70

echo "# in the body, and as a load"
for i in 1 2 3; do echo "up, 100%" >"$RUN/say$i/load"; done
ok "service set" lbctl service set web --check http:/load --check-weight-header '' --check-weight-body true \
	--check-weight-floor 1
ok "the body's first line" wait_for 5 counts 2 100
printf 'up, 55%%\n10%%\n' >"$RUN/say2/new" && mv "$RUN/say2/new" "$RUN/say2/load"
ok "says it" wait_for 5 counts 2 55
ok "a load" lbctl service set web --check-weight-means load
ok "is what is missing" wait_for 5 counts 2 45
ok "of the others, too" wait_for 5 counts 1 1
matches "refused: with another source" "$(lbctl service set web --check-weight-header X-W 2>&1)" \
	'check.weight_body: a weight is read from the header X-W already'

echo "# no longer"
ok "service set" lbctl service set web --check-weight-body false
is "none is read" "$(of 2 weight_percent)" null
is "all of the weight counts" "$(of 1 effective_weight) $(of 2 effective_weight)" "100 100"
ok "nor is there a metric" bash -c '! grep -q "^lb_backend_weight_percent{" <<<"$1"' - \
	"$(host lb curl -s http://127.0.0.1:9707/metrics)"
done_testing
