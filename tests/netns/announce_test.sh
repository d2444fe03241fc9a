#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Announced VIPs are routes in a table of lbd's own: there while the service is healthy, gone before the dataplane is,
# adopted by the next lbd without a flap, and put back where somebody else removes them.
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_vip 192.0.2.10 2
servers_start 2 80 81
nodes_attach 2

routes() { # [TABLE [PROTOCOL]]: the destinations in it
	{
		ip -n lb -4 route show table "${1:-76}" proto "${2:-76}"
		ip -n lb -6 route show table "${1:-76}" proto "${2:-76}"
	} 2>/dev/null | awk '{ print $2 }' | sort | xargs
}
routes_are() { [ "$(routes)" = "$1" ]; }
rules() { { ip -n lb rule; ip -n lb -6 rule; } | sort; }
events_start() { # what happens to routes, from now on, in $RUN/events; a route of our own says that it has begun
	: >"$RUN/events"
	nsenter --net=/run/netns/lb -- ip -o monitor route >"$RUN/events" &
	MONITOR=$!
	wait_for 5 marked begin
}
marked() { # WORD: a route comes and goes that the monitor has to see
	ip -n lb route replace blackhole 203.0.113.1 table 99
	ip -n lb route del blackhole 203.0.113.1 table 99
	grep -q 203.0.113.1 "$RUN/events"
}
events_stop() { # leaves in $RUN/events what happened to routes of table 76
	ip -n lb route add blackhole 203.0.113.2 table 99
	ip -n lb route del blackhole 203.0.113.2 table 99
	wait_for 5 grep -q 203.0.113.2 "$RUN/events"
	kill "$MONITOR"
	wait "$MONITOR" 2>/dev/null
	grep 'table 76' "$RUN/events" >"$RUN/events.76"
}
logged() { grep -c "$1" "$RUN/lb/log"; }

rules_before=$(rules)
echo 'announce: {delay: 0s}' | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 2 --check tcp --check-interval 50ms --fall 2 --rise 2
is "a service that is not to be announced has no route" "$(routes)" ""
is "and says so" "$(service_json web '.status.routes | length')" 0
ok "service set --announce true" lbctl service set web --announce true
is "its VIP is a route when the command returns" "$(routes)" "192.0.2.10"
matches "a blackhole" "$(ip -n lb route show table 76)" '^blackhole 192\.0\.2\.10 proto 76'
is "no rule looks it up" "$(rules)" "$rules_before"
is "service show" "$(service_json web '.status.routes[0] | "\(.route) \(.announced) \(.reason)"')" "192.0.2.10 true "
matches "for people" "$(lbctl service show web)" 'announced +192\.0\.2\.10'
is "the metric" "$(metric 'lb_vip_announced{service="web",vip="192.0.2.10:80/tcp"}')" 1
is "status" "$(lbctl --json status | jq -c .announce)" '{"table":76,"protocol":76,"routes":1,"wanted":1}'
matches "status for people" "$(lbctl status)" 'announced +1 of 1 routes in table 76, protocol 76'
is "the log says why" "$(logged 'msg="announced" route=192.0.2.10 table=76 service=web healthy=2 quorum=1')" 1

echo "# health"
server_kill 1
ok "one backend of two fails" wait_for 5 serving_is web 1
is "with quorum 1 the route stays" "$(routes)" "192.0.2.10"
ok "service set --quorum 2" lbctl service set web --quorum 2
is "with quorum 2 it does not" "$(routes)" ""
is "and says why" "$(service_json web '.status.routes[0] | "\(.announced) \(.reason)"')" "false too few backends are healthy"
is "the metric" "$(metric 'lb_vip_announced{service="web",vip="192.0.2.10:80/tcp"}')" 0
is "the log says why" "$(logged 'msg="withdrawn" route=192.0.2.10 table=76 service=web healthy=1 quorum=2')" 1
server_start 1 80 81
ok "the backend is back, and so is the route" wait_for 5 routes_are "192.0.2.10"
ok "service set --quorum 1" lbctl service set web --quorum 1
server_kill 1
server_kill 2
ok "all fail: withdrawn" wait_for 5 routes_are ""
ok "service set --quorum 0" lbctl service set web --quorum 0
is "quorum 0: whatever health" "$(routes)" "192.0.2.10"
ok "service set --quorum 1 and a panic threshold" lbctl service set web --quorum 1 --panic-threshold 50
is "a panic does not count" "$(routes)" ""
servers_start 2 80 81
ok "back" wait_for 5 routes_are "192.0.2.10"
ok "backend drain" lbctl backend drain web 10.0.0.11
ok "backend disable" lbctl backend disable web 10.0.0.12
is "draining and disabled backends do not count" "$(routes)" ""
ok "backend enable" lbctl backend enable web 10.0.0.11
ok "enabled again" wait_for 5 routes_are "192.0.2.10"
ok "backend enable" lbctl backend enable web 10.0.0.12

echo "# more VIPs, both families, prefixes, shared addresses"
ok "a service with four VIPs" lbctl service add more 192.0.2.10:81/tcp --vip 198.51.100.0/28:80/tcp \
	--vip '[2001:db8::10]:80/tcp' --vip '[2001:db8:1::/64]:80/tcp' --check tcp --check-port 81 --check-interval 50ms \
	--fall 1 --rise 1 --announce true
ok "backend add" lbctl backend add more 10.0.0.11
all="192.0.2.10 198.51.100.0/28 2001:db8:1::/64 2001:db8::10" # as `sort` has them
ok "all are routes" wait_for 5 routes_are "$all"
server_kill 1
ok "one of two services fails: the address that both have stays" wait_for 5 routes_are "192.0.2.10"
server_start 1 80 81
ok "back" wait_for 5 routes_are "$all"
announce_with() { # FIELDS: apply what runs, with another `announce`, which is the last key
	lbctl export | sed '/^announce:/,$d' >"$RUN/changed.yaml"
	echo "announce: {delay: 0s$1}" >>"$RUN/changed.yaml"
	lbctl apply -f "$RUN/changed.yaml"
}
ok "announce.shared: all" announce_with ", shared: all"
is "nothing changes while both are healthy" "$(routes)" "$all"
ok "a check that fails" lbctl service set more --check-port 9
ok "one of two fails: the address goes with it" wait_for 5 routes_are ""
ok "the check is right again" lbctl service set more --check-port 81
ok "back" wait_for 5 routes_are "$all"

echo "# another table and protocol"
events_start
ok "announce.table: 1000" announce_with ", table: 1000, protocol: 99"
is "the routes are there" "$(routes 1000 99)" "$all"
is "and no longer here" "$(routes)" ""
ok "events are seen" wait_for 5 grep -q "Deleted blackhole 2001:db8::10.*table 76" "$RUN/events"
before=$(grep -n 'blackhole 192.0.2.10 table 1000' "$RUN/events" | cut -d : -f 1)
after=$(grep -n 'Deleted blackhole 192.0.2.10 table 76' "$RUN/events" | cut -d : -f 1)
ok "it was in both meanwhile" test "${before:-999}" -lt "${after:-0}"
ok "and back" announce_with ""
is "the routes are here" "$(routes)" "$all"
is "and no longer there" "$(routes 1000 99)" ""
events_stop
out=$(announce_with ", table: 254" 2>&1)
is "the main table: exit status" $? 1
matches "is refused" "$out" 'announce.table: 254 is a table that the kernel looks up'
out=$(announce_with ", protocol: 4" 2>&1)
is "a protocol of the kernel's: exit status" $? 1
matches "is refused" "$out" 'announce.protocol: 4 is not a routing protocol \(5-255\)'

echo "# lbd is killed and starts again"
events_start
lbd_end KILL
is "killed: the routes stay" "$(routes)" "$all"
lbd_start
ok "the next one serves" wait_for 5 serving_is web 2
lbd_end TERM
lbd_start
ok "ended and started" wait_for 5 serving_is web 2
events_stop
is "the routes are still there" "$(routes)" "$all"
is "and nothing ever happened to them" "$(cat "$RUN/events.76")" ""
is "the log says that they were adopted" "$(logged 'msg="routes adopted" routes=4 table=76 protocol=76')" 2

echo "# what nobody wants any more"
lbd_end KILL
ip -n lb route add blackhole 192.0.2.99 table 76 proto 76
ip -n lb route add blackhole 192.0.2.98 table 76 proto static
lbd_config <<-END
	interfaces: [{name: lb0}]
	announce: {delay: 0s}
	services:
	- {name: web, vip: 192.0.2.10:80/tcp, check: {type: tcp, interval: 50ms}, announce: true, backends: [10.0.0.11, 10.0.0.12]}
END
lbd_start
ok "after a restart only what the configuration has is left" wait_for 5 routes_are "192.0.2.10"
is "but for what is not lbd's" "$(routes 76 static)" "192.0.2.98"

echo "# somebody else"
ip -n lb route del 192.0.2.10 table 76
ok "a route that was removed is put back" wait_for 5 routes_are "192.0.2.10"
is "and that is logged" "$(logged 'msg="somebody else removed a route; putting it back" route=192.0.2.10')" 1
ip -n lb route replace unreachable 192.0.2.10 table 76 proto static
ok "also where it was replaced" wait_for 5 routes_are "192.0.2.10"
is "there is one" "$(ip -n lb route show table 76 192.0.2.10 | wc -l)" 1
ip -n lb route add blackhole 192.0.2.77 table 76 proto 76
ok "a route that lbd did not put there goes" wait_for 5 routes_are "192.0.2.10"
ip -n lb -6 route add blackhole 2001:db8::77 table 76 proto 76
ok "IPv6, too" wait_for 5 routes_are "192.0.2.10"

echo "# interfaces"
events_start
ok "detach of the only interface" lbctl detach lb0
is "takes the routes" "$(routes)" ""
is "with a reason" "$(service_json web '.status.routes[0].reason')" "no interface is attached"
ok "attach" lbctl attach lb0
is "brings them back" "$(routes)" "192.0.2.10"
events_stop
is "once each" "$(wc -l <"$RUN/events.76")" 2

echo "# delay"
lbctl export | sed 's/^  delay: 0s/  delay: 2s/' >"$RUN/changed.yaml"
ok "announce.delay" lbctl apply -f "$RUN/changed.yaml"
is "what is announced stays" "$(routes)" "192.0.2.10"
ok "backend disable" lbctl backend disable web 10.0.0.11
ok "backend disable" lbctl backend disable web 10.0.0.12
is "withdrawn at once" "$(routes)" ""
start=${EPOCHREALTIME/[.,]/}
ok "backend enable" lbctl backend enable web 10.0.0.11
ok "healthy" wait_for 5 serving_is web 1
is "not announced at once" "$(routes)" ""
matches "and says so" "$(service_json web '.status.routes[0].reason')" '^healthy, announced in [0-9.]+m?s$'
ok "but later" wait_for 5 routes_are "192.0.2.10"
between "after the delay, in ms" $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) 2000 "$(busy 4000)"

echo "# the end"
lbd_end TERM
lbd_start --log-level debug
ok "service del" lbctl service del web
is "withdraws" "$(routes)" ""
matches "before the dataplane changes" "$(grep -A 1 'msg="withdrawn" route=192.0.2.10' "$RUN/lb/log" | tail -n 1)" 'msg="dataplane updated"'
lbd_config <<-END
	interfaces: [{name: lb0}]
	announce: {delay: 0s, on_exit: withdraw}
	services:
	- {name: web, vip: 192.0.2.10:80/tcp, check: {type: tcp, interval: 50ms}, announce: true, backends: [10.0.0.11, 10.0.0.12]}
END
lbd_end TERM
lbd_start
ok "announced" wait_for 5 routes_are "192.0.2.10"
lbd_end TERM
is "on_exit: withdraw" "$(routes)" ""
sed -i 's/on_exit: withdraw/drain: 700ms/' "$RUN/lb/lbd.yaml"
lbd_start --detach-on-exit
ok "announced" wait_for 5 routes_are "192.0.2.10"
kill -TERM "${LBD_PID[lb]}"
ok "--detach-on-exit: the route goes first" wait_for 5 routes_are ""
spread --to 192.0.2.10:80 --count 50 --first-port 10000
is "and packets are still forwarded" "$(field ok "$REPORT")" 50
is "by the dataplane, which is there" "$(ip -n lb -d link show dev lb0 | grep -c 'prog/xdp')" 1
wait "${LBD_PID[lb]}"
is "until it is gone" "$(ip -n lb -d link show dev lb0 | grep -c 'prog/xdp')" 0
done_testing
