#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The demo: a client, a load balancer and three backends with real web servers, all in network namespaces of this
# machine. It types the commands that a user would, sends traffic, breaks things and checks what comes of it. Ends with
# status 1 when anything is not as it should be; leaves nothing behind, however it ends (see isolated.sh).
set -u
ROOT=$(cd "$(dirname "$0")/.." && pwd)
unset LBD_SOCKET # the commands below are for the lbd of this script
if [ -z "${SLUICE_ISOLATED-}" ]; then
	SLUICE_ISOLATED=1 exec "$ROOT/tools/isolated.sh" "$0" "$@"
fi
# shellcheck source=netlab.sh
. "$ROOT/tools/netlab.sh"
PATH=$ROOT/build:$PATH
TRAFFIC=$ROOT/build/tests/traffic
VIP4=192.0.2.10 VIP6=2001:db8::10
RUN=/run/demo
INTERVAL_MS=200 TIMEOUT_MS=100 FALL=2
mkdir -p $RUN

if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
	bold='' dim='' red='' green='' plain=''
fi

wrong=0
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
say() { printf '  %s\n' "$*"; }
check() { # WHAT CONDITION...: a line that says whether it is so
	local what=$1

	shift
	if "$@"; then
		printf '  %s✓%s %s\n' "$green" "$plain" "$what"
	else
		printf '  %s✗ %s%s\n' "$red" "$what" "$plain"
		wrong=$((wrong + 1))
	fi
}
give_up() {
	printf '\n%sThe demo cannot go on: %s%s\n' "$red" "$1" "$plain"
	[ ! -s $RUN/lbd.log ] || { echo "The last lines of lbd's log:"; tail -n 20 $RUN/lbd.log | sed 's/^/  /'; }
	exit 1
}

# shown HOST PROGRAM... : show a command as it is typed on HOST, and run it there. Its notes on how the kernel lets the
# program be attached are left out: they say the same thing for each host.
shown() {
	local host=$1 word line=''

	shift
	for word in "$@"; do
		[[ $word != *[\ \*\[]* ]] || word="'$word'"
		line+=" $word"
	done
	printf '  %s%-6s $%s%s\n' "$dim" "$host" "$plain" "$line"
	host "$host" "$@" 2>&1 | sed '/: note: /d; s/^/           /'
	[ "${PIPESTATUS[0]}" = 0 ] || give_up "this command failed"
}

web_server() { # I: its end is not the shell's to report
	lab_web "$1" "b$1"
	disown
}

serving() { # SERVICE N: do N backends take new connections?
	[ "$(host lb lbctl --json service show "$1" |
		jq '[.backends[] | select(.status.serving and .status.next_hop)] | length')" = "$2" ]
}
wait_serving() {
	wait_for 10 serving "$1" "$2" || give_up "service $1 does not get to $2 serving backends"
}

bars() { # REPORT TOTAL: who answered how many; b3 has twice the weight of the others
	local i n want got

	for i in 1 2 3; do
		n=$(field b$i "$1") want=$((i == 3 ? 50 : 25))
		got=$((n * 1000 / $2))
		printf '  b%d  weight %d  %5d  %2d.%d %%  %s\n' $i $((i == 3 ? 200 : 100)) "$n" $((got / 10)) $((got % 10)) \
			"$(printf '%*s' $((n * 60 / $2)) '' | tr ' ' '#')"
		# a random hash key each time: 10 % is far outside of what chance does to this many
		[ $((n * 1000)) -ge $((want * $2 * 9)) ] && [ $((n * 1000)) -le $((want * $2 * 11)) ] || spread_wrong=1
	done
}

# ---- the laboratory ----
for program in lbd lbctl lbnode; do
	[ -x "$ROOT/build/$program" ] || give_up "build/$program is not there: run make first"
done
lab_up 3
lab_vip $VIP4 3
lab_vip $VIP6 3
for i in 1 2 3; do web_server $i; done
# What curl leaves behind must not be on a port of the many requests.
host client sysctl -qw net.ipv4.ip_local_reserved_ports=10000-17999

cat <<END
${bold}Sluice: a load balancer in the kernel's first packet hook (XDP)${plain}

  client  10.0.0.1 ──┐             ┌── b1  10.0.0.11  fd00::11  nginx
                     ├── switch ───┼── b2  10.0.0.12  fd00::12  nginx
  lb      10.0.0.2 ──┘             └── b3  10.0.0.13  fd00::13  nginx

  Each is a network namespace. The client sends requests for $VIP4 and $VIP6 to lb, which sends them
  on to a backend in a tunnel packet (ipip); the backend answers the client directly.
END

title "1. Set up: all that a user types"
for i in 1 2 3; do shown b$i lbnode attach eth0; done
printf '  %s%-6s $%s lbd &\n' "$dim" lb "$plain"
nsenter --net=/run/netns/lb -- lbd 2>$RUN/lbd.log &
LBD=$!
disown
wait_for 10 host lb lbctl status || give_up "lbd does not start"
shown lb lbctl attach lb0
checks=(--check http:/health --check-interval "${INTERVAL_MS}ms" --check-timeout "${TIMEOUT_MS}ms" --fall "$FALL")
shown lb lbctl service add web $VIP4:80/tcp "${checks[@]}"
for i in 1 2 3; do shown lb lbctl backend add web 10.0.0.1$i --weight $((i == 3 ? 200 : 100)); done
shown lb lbctl service add web6 "[$VIP6]:80/tcp" "${checks[@]}"
for i in 1 2 3; do shown lb lbctl backend add web6 fd00::1$i --weight $((i == 3 ? 200 : 100)); done
wait_serving web 3
wait_serving web6 3
shown lb lbctl backend list

title "2. Requests spread as the weights say"
shown client curl -s http://$VIP4/
shown client curl -s "http://[$VIP6]/"
spread_wrong=0
for vip in $VIP4 "[$VIP6]"; do
	report=$(host client timeout 20 "$TRAFFIC" spread --to "$vip:80" --http / --count 8000 --first-port 10000)
	say "8000 requests to http://$vip/"
	bars "$report" 8000
	check "all 8000 were answered" [ "$(field ok "$report")" = 8000 ]
done
check "the shares are the weights' (within 10 %)" [ $spread_wrong = 0 ]

title "3. A backend is killed under load"
talk_start load host client "$TRAFFIC" load --to $VIP4:80 --http / --rate 2000
talk_start held host client "$TRAFFIC" hold --to $VIP4:80 --http / --count 300
talk_read held
held=$ANSWER
answered() { # N: N more answers than at the mark
	talk load report
	[ "$(field since_mark_ok "$ANSWER")" -ge "$1" ]
}
say "2000 requests a second are on their way, and 300 connections are held open."
printf '  %s%-6s $%s kill -9 %s        # nginx\n' "$dim" b2 "$plain" "$(cat $RUN/web2/pid)"
talk load mark
kill -KILL "${WEB_PID[2]}"
wait_for 10 answered 3000 || give_up "requests are not answered any more"
talk load report
kill_report=$ANSWER
shown lb lbctl backend list web
last=$(field since_mark_last_failure_ms "$kill_report")
failed=$(field since_mark_failed "$kill_report")
# `fall` checks with their jitter of 10 %, the last one's timeout, and room for a busy machine
limit=$((INTERVAL_MS * FALL * 11 / 10 + TIMEOUT_MS + 200))
say "checks every $INTERVAL_MS ms, down after $FALL failures: the last request went to b2 after ${bold}$last ms${plain};"
say "until then ${bold}$failed${plain} of $((failed + $(field since_mark_ok "$kill_report"))) requests failed, since then none."
check "b2 was left in time (at most $limit ms)" [ "$last" -ge 0 -a "$last" -le $limit ]
talk held ping
lost=$(field b2 "$held")
check "all $((300 - lost)) open connections to b1 and b3 live on ($lost to b2 died with it)" \
	[ "$(field alive "$ANSWER") $(field moved "$ANSWER")" = "$((300 - lost)) 0" ]
web_server 2
wait_serving web 3
talk load mark
wait_for 10 answered 1000 || give_up "requests are not answered any more"
talk load report
check "nginx is started again, and b2 takes requests again; none failed" \
	[ "$(field since_mark_failed "$ANSWER")" = 0 -a "$(field b2_last_ms "$ANSWER")" -gt 0 ]
talk held quit

title "4. A backend is drained for maintenance"
talk_start long host client "$TRAFFIC" hold --to $VIP4:80 --http / --count 300 --every 100
talk_read long
open=$(field b3 "$ANSWER")
say "300 connections are open, $open of them to b3, and speak ten times a second."
shown lb lbctl backend drain web 10.0.0.13
talk load mark
wait_for 10 answered 2000 || give_up "requests are not answered any more"
talk load report
check "of $(field since_mark_ok "$ANSWER") new requests b3 got none, and none failed" \
	[ "$(field b3_last_ms "$ANSWER")" -le 0 -a "$(field since_mark_failed "$ANSWER")" = 0 ]
talk long report
check "all 300 open connections still speak, each to its own backend" \
	[ "$(field alive "$ANSWER") $(field moved "$ANSWER")" = "300 0" ]
shown lb lbctl backend list web

title "5. lbd itself is killed"
printf '  %s%-6s $%s kill -9 %s        # lbd\n' "$dim" lb "$plain" $LBD
kill -KILL $LBD
talk load mark
wait_for 10 answered 2000 || give_up "requests are not answered any more"
talk load report
check "$(field since_mark_ok "$ANSWER") requests without lbd: none failed" [ "$(field since_mark_failed "$ANSWER")" = 0 ]
printf '  %s%-6s $%s lbd &\n' "$dim" lb "$plain"
nsenter --net=/run/netns/lb -- lbd 2>>$RUN/lbd.log &
LBD=$!
disown
wait_for 10 host lb lbctl status || give_up "lbd does not start again"
wait_serving web 2
check "the new lbd has adopted everything, and b3 is still draining" [ "$(host lb lbctl --json service show web |
	jq -r '.backends[2].state') $(host lb lbctl --json status | jq .adopted)" = "draining true" ]
talk long report
check "all 300 open connections still speak" [ "$(field alive "$ANSWER") $(field moved "$ANSWER")" = "300 0" ]
talk load quit
talk long quit

title "6. Some of the metrics (lb $ curl http://127.0.0.1:9707/metrics)"
host lb curl -s http://127.0.0.1:9707/metrics >$RUN/metrics
grep -E '^lb_(service_connections_total|backend_up|backend_connections_total)\{.*"web"|^lb_packets_total\{verdict="(forwarded|drop_[a-z]*|pass_no_service)"' \
	$RUN/metrics | sed 's/^/  /'
check "promtool has no complaint" promtool check metrics <$RUN/metrics

if [ $wrong = 0 ]; then
	printf '\n%sEverything was as it should be%s, in %d seconds. Nothing of it is left on this machine.\n' "$green" "$plain" $SECONDS
	exit 0
fi
printf '\n%s%d things were not as they should be.%s\n' "$red" $wrong "$plain"
tail -n 20 $RUN/lbd.log | sed 's/^/  lbd: /'
exit 1
