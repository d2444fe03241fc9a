#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The API as programs use it: the stream of events, two writers at once, limits, long answers, lbctl monitor and top.
. "$(dirname "$0")/lib.sh"

lab_up_web 3
lbd_start

SOCKET=$RUN/lb/lbd.sock
curl_lb() { host lb curl -s --unix-socket "$SOCKET" "$@"; }
api() { curl_lb --max-time 20 -o "$RUN/body" -D "$RUN/head" -w '%{http_code} %{content_type}' "$@"; }
header() { sed -n "s/^$1: \(.*\)\r$/\1/Ip" "$RUN/head"; }
detail() { jq -r .detail "$RUN/body"; }

# ---- events ----
# follow NAME ARG...: a reader in the background, its lines in $RUN/NAME.events
declare -A READER
follow() {
	local name=$1

	shift
	: >"$RUN/$name.head"
	nsenter --net=/run/netns/lb -- curl -sN --unix-socket "$SOCKET" -D "$RUN/$name.head" "$@" >"$RUN/$name.events" &
	READER[$name]=$!
	wait_for 5 grep -q '^HTTP/1.1 200' "$RUN/$name.head" || bail "a reader of events"
}
unfollow() { # NAME
	kill "${READER[$1]}"
	wait "${READER[$1]}" 2>/dev/null
}
has() { # NAME JQ-FILTER: has such an event come?
	jq -e -s "any(.[]; $2)" "$RUN/$1.events" >/dev/null
}
comes() { # WHAT NAME JQ-FILTER
	ok "$1" wait_for 10 has "$2" "$3"
}
seqs() { jq -r .seq "$1"; }

echo "# events, a line each"
follow live http://lbd/v1/events
matches "the stream's type" "$(cat "$RUN/live.head")" 'Content-Type: application/x-ndjson'
lbctl attach lb0 2>/dev/null
comes "an interface is attached" live '.type == "interface" and .interface == "lb0" and .from == "detached" and .to != "detached"'
service_up web 192.0.2.10:80/tcp 2 --check tcp --check-interval 200ms --check-timeout 100ms --fall 2
lbctl backend add web 10.0.0.13:80 --tier 1
wait_serving web 2
comes "who changed what" live '.type == "config_applied" and .origin == "api" and .count == 1 and .generation > 1'
# by_uid UID ARG...: curl as somebody else, of the group that the socket is open to, whose login session it says on stdout
by_uid() {
	host lb bash -c 'echo 64242 2>/dev/null >/proc/self/loginuid; cat /proc/self/loginuid 2>/dev/null; exec "$@"' -- \
		setpriv --reuid "$1" --regid "$(stat -c %g "$SOCKET")" --clear-groups \
		curl -s --max-time 20 -o /dev/null --unix-socket "$SOCKET" "${@:2}"
}
login=$(by_uid 61234 -X PATCH -d '{"weight": 90}' http://lbd/v1/services/web/backends/10.0.0.13:80)
login=${login/4294967295/} # none
by='.by.uid == 61234 and .by.pid > 1 and .by.login_uid == '${login:-null}
comes "and as which user" live '.type == "config_applied" and '"$by"
ok "status says so, too" jq -e "(.last_apply | .origin == \"api\" and $by)" <(lbctl --json status)
matches "for people" "$(lbctl status | grep '^generation')" "by api \\(${login:+uid 64242 as }uid 61234\\)$"
matches "the log has it beside each change" "$(grep 'op=change.*backends.10.0.0.13' "$RUN/lb/log")" "origin=api uid=61234 ${login:+login_uid=64242 }pid=[0-9]+ op=change path=services.web..backends.10.0.0.13:80..weight from=.100. to=.90."
comes "a next hop is found" live '.type == "next_hop" and .address == "10.0.0.11" and (.to | test("^lb0 ([0-9a-f]{2}:){5}"))'
comes "a backend is up" live '.type == "health" and .service == "web" and .backend == "10.0.0.11:80" and .from == "unknown" and .to == "up" and .reason == "ok"'
comes "it serves" live '.type == "backend_serving" and .backend == "10.0.0.11:80" and .to == "serving"'
comes "the service is up" live '.type == "service_state" and .service == "web" and .to == "up"'
ok "backend drain" lbctl backend drain web 10.0.0.12:80
comes "a backend is drained" live '.type == "backend_state" and .backend == "10.0.0.12:80" and .from == "enabled" and .to == "draining"'
comes "and takes no more" live '.type == "backend_serving" and .backend == "10.0.0.12:80" and .to == "idle" and .reason == "draining"'
server_kill 1
comes "a backend dies" live '.type == "health" and .backend == "10.0.0.11:80" and .from == "up" and .to == "down" and .reason == "refused"'
comes "another tier takes over" live '.type == "service_tier" and .service == "web" and .from == "0" and .to == "1"'
comes "the standby serves" live '.type == "backend_serving" and .backend == "10.0.0.13:80" and .to == "serving"'
ok "panic threshold" lbctl service set web --panic-threshold 90
comes "panic begins" live '.type == "service_state" and .to == "panic"'
ok "no panic threshold" lbctl service set web --panic-threshold 0
comes "panic ends" live '.type == "service_state" and .from == "panic"'
lbctl attach nosuch7 2>/dev/null
comes "a refusal" live '.type == "config_refused" and .origin == "api" and (.reason | test("nosuch7"))'
echo 'services: [{name: x}]' >"$RUN/bad.yaml"
cp "$RUN/lb/lbd.yaml" "$RUN/good.yaml"
cp "$RUN/bad.yaml" "$RUN/lb/lbd.yaml"
kill -HUP "${LBD_PID[lb]}"
comes "a reload that is refused" live '.type == "config_refused" and .origin == "reload" and (.reason | test("lbd.yaml:1: services.0.: has no vip"))'
printf 'interfaces:\n  - {name: lb0}\n  - {name: nosuch7}\n' >"$RUN/lb/lbd.yaml"
kill -HUP "${LBD_PID[lb]}"
comes "one that names an interface that is not there" live '.type == "config_refused" and (.reason | test("lbd.yaml:3: interfaces.1.: there is no interface nosuch7"))'
cp "$RUN/good.yaml" "$RUN/lb/lbd.yaml"
host b3 ip link set eth0 address 02:00:00:00:aa:bb
ip -n lb neigh replace 10.0.0.13 lladdr 02:00:00:00:aa:bb dev lb0 nud reachable
comes "a next hop leads elsewhere" live '.type == "next_hop" and .address == "10.0.0.13" and .to == "lb0 02:00:00:00:aa:bb"'
lbctl detach lb0
comes "an interface is detached" live '.type == "interface" and .interface == "lb0" and .to == "detached"'
lbctl attach lb0 2>/dev/null
is "the numbers have no gap" "$(seqs "$RUN/live.events" | awk 'NR > 1 && $1 != last + 1 { bad++ } { last = $1 } END { print bad + 0 }')" 0
is "each has its time" "$(jq -r 'select(.time | test("^20[0-9-]+T[0-9:]+[.][0-9]{3}Z$") | not)' "$RUN/live.events")" ""

echo "# a reader that was cut off goes on"
unfollow live
half=$(($(seqs "$RUN/live.events" | wc -l) / 2)) # signs of life are lines, too
after=$(seqs "$RUN/live.events" | sed -n "${half}p")
last=$(seqs "$RUN/live.events" | tail -n 1)
follow rest "http://lbd/v1/events?since=$after"
has_seq() { grep -q "\"seq\":$2," "$RUN/$1.events"; }
ok "with what it missed" wait_for 5 has_seq rest "$last"
is "none left out, none twice" "$(seqs "$RUN/rest.events" | awk -v last="$last" '$1 <= last')" "$(seqs "$RUN/live.events" | tail -n +$((half + 1)))"
unfollow rest
follow all 'http://lbd/v1/events?since=0'
comes "since=0 begins with lbd's start" all '.type == "started" and .generation == 1'
unfollow all
follow ahead 'http://lbd/v1/events?since=9007199254740991'
ok "an event" lbctl backend enable web 10.0.0.12:80
comes "a number that is still to come begins with what is next" ahead '.type == "config_applied"'
is "and nothing before" "$(jq -s ".[0].seq > $last" "$RUN/ahead.events")" true # a sign of life may come first
unfollow ahead
ok "as it was" lbctl backend drain web 10.0.0.12:80
follow sse -H 'Accept: text/event-stream' -H "Last-Event-ID: $after" http://lbd/v1/events
matches "server-sent events" "$(cat "$RUN/sse.head")" 'Content-Type: text/event-stream'
ok "go on after Last-Event-ID" wait_for 5 grep -q "^id: $last\$" "$RUN/sse.events"
is "the first is the next" "$(head -n 1 "$RUN/sse.events")" "id: $((after + 1))"
is "their data is the same" "$(sed -n 's/^data: //p' "$RUN/sse.events" | jq -c 'select(.seq <= '"$last"')')" "$(jq -c . "$RUN/live.events" | tail -n +$((half + 1)))"
is "an id, an event, data and an empty line each" "$(grep -cvE '^(id: [0-9]+|event: [a-z_]+|data: \{.*\}|:|)$' "$RUN/sse.events")" 0
unfollow sse
for since in x -1 1x ''; do
	is "since=$since" "$(api "http://lbd/v1/events?since=$since")" "400 application/problem+json"
done

echo "# lbctl monitor"
lbctl monitor --since 0 -n 3 >"$RUN/out"
is "-n 3: three lines" "$(wc -l <"$RUN/out")" 3
matches "the first" "$(head -n 1 "$RUN/out")" '^20.*Z  started .*generation 1$'
is "--json: the API's lines" "$(lbctl monitor --json --since 0 -n 4)" "$(head -n 4 "$RUN/all.events")"
nsenter --net=/run/netns/lb -- "$BUILD/lbctl" --socket "$SOCKET" monitor >"$RUN/monitor" &
monitor=$!
drained() { lbctl backend enable web 10.0.0.12:80 && lbctl backend drain web 10.0.0.12:80 && grep -q 'backend_state .*web 10.0.0.12:80: enabled -> draining$' "$RUN/monitor"; }
ok "live" wait_for 5 drained
kill $monitor
wait $monitor 2>/dev/null

# the group writes to the pipe, whose reader is gone at once; of the type that is asked for nothing happens
{ nsenter --net=/run/netns/lb -- "$BUILD/lbctl" --socket "$SOCKET" monitor --type lost && echo "status $?" >"$RUN/unread"; } | true &
ok "ends when nobody reads it any more" wait_for 10 grep -qx 'status 0' "$RUN/unread"

echo "# traffic"
for bad in 'traffic=2' 'traffic=' 'type=helth' 'type=' 'type=health,'; do
	is "?$bad" "$(api "http://lbd/v1/events?$bad")" "400 application/problem+json"
done
is "a type that was misspelled" "$(api 'http://lbd/v1/events?type=health,verdct'; detail)" "400 application/problem+jsontype: verdct is not a type of events; did you mean verdict?"
ok "backend enable" lbctl backend enable web 10.0.0.12:80
wait_serving web 1
follow traffic 'http://lbd/v1/events?traffic=1'
follow quiet http://lbd/v1/events
follow verdicts -H 'Accept: text/event-stream' 'http://lbd/v1/events?traffic=1&type=verdict'
follow health 'http://lbd/v1/events?traffic=1&type=health'
nsenter --net=/run/netns/lb -- "$BUILD/lbctl" --socket "$SOCKET" monitor --type connections,verdict >"$RUN/monitor" &
monitor=$!
told() { # the connections that were told since the start
	spread --to 192.0.2.10:80 --count 50 --first-port 15000 >/dev/null
	has traffic '.type == "connections"' && grep -q ' connections .* web 10.0.0.1[23]:80: [0-9]* new connection' "$RUN/monitor"
}
ok "new connections are told" wait_for 10 told
is "with service, backend and count" "$(jq -c 'select(.type == "connections") | keys_unsorted' "$RUN/traffic.events" | sort -u)" '["time","type","service","backend","count"]'
is "verdicts with theirs" "$(jq -c 'select(.type == "verdict") | keys_unsorted' "$RUN/traffic.events" | sort -u)" '["time","type","verdict","count"]'
ok "a connection to the host itself is refused by it" bash -c "$(declare -f host); ! host client curl -s --max-time 2 http://10.0.0.2:81"
comes "packets that are the host's" traffic '.type == "verdict" and .verdict == "pass_no_service" and .count > 0'
spread --to 192.0.2.10:80 --count 123 --first-port 16000
is "123 connections" "$(field ok "$REPORT")" 123
sum_of() { jq -s "map(select(.type == \"$1\") | .count) | add" "$RUN/traffic.events"; }
grown() { [ "$(sum_of connections)" -ge 173 ]; }
ok "their counts come to as many" wait_for 5 grown
ok "lbctl shows verdicts" grep -q ' verdict .* forwarded: [0-9]* packets$' "$RUN/monitor"
is "who did not ask for it gets none" "$(jq -c 'select(.type == "connections" or .type == "verdict")' "$RUN/quiet.events")" ""
is "nor who asked for another type" "$(jq -c 'select(.type != "health")' "$RUN/health.events")" ""
is "as server-sent events they have no id" "$(grep -c '^id:' "$RUN/verdicts.events")" 0
ok "but the rest" grep -q '^event: verdict$' "$RUN/verdicts.events"
is "of one type alone" "$(sed -n 's/^event: //p' "$RUN/verdicts.events" | sort -u)" verdict
kill $monitor
wait $monitor 2>/dev/null
for reader in traffic quiet verdicts health; do
	unfollow $reader
done

# ---- two writers ----
echo "# entity tags"
is "GET /v1/config" "$(api http://lbd/v1/config)" "200 application/json"
tag=$(header ETag)
is "its tag is the generation" "$tag" "\"$(lbctl --json status | jq .generation)\""
cp "$RUN/body" "$RUN/config.json"
is "the same to who has it" "$(api -H "If-None-Match: $tag" http://lbd/v1/config)" "304 "
is "GET /v1/services" "$(api http://lbd/v1/services; header ETag)" "200 application/json$tag"
is "GET /v1/services/web" "$(api http://lbd/v1/services/web)" "200 application/json"
service=$(header ETag)
matches "a service has its own" "$service" '^"s[0-9a-f]{16}"$'
is "304 for it" "$(api -H "If-None-Match: \"x\", W/$service" http://lbd/v1/services/web)" "304 "
patch() { api -X PATCH -d "$2" "${@:3}" "http://lbd/v1/services/$1"; }
is "a PATCH with it" "$(patch web '{"panic_threshold": 1}' -H "If-Match: $service")" "200 application/json"
new=$(header ETag)
ok "gives another" test "$new" != "$service"
before=$(lbctl export)
is "a PATCH with the old one" "$(patch web '{"panic_threshold": 2}' -H "If-Match: $service")" "412 application/problem+json"
matches "its detail" "$(detail)" "^web is not what If-Match says, it is \"s[0-9a-f]*\" now; read it again"
is "its tag is the new one" "$(header ETag)" "$new"
is "so with a backend" "$(patch web/backends/10.0.0.12:80 '{"weight": 7}' -H "If-Match: $service")" "412 application/problem+json"
is "so with DELETE" "$(api -X DELETE -H "If-Match: $service" http://lbd/v1/services/web)" "412 application/problem+json"
is "so with POST" "$(api -d '{"address":"10.0.0.14:80"}' -H "If-Match: $service" http://lbd/v1/services/web/backends)" "412 application/problem+json"
is "so with the whole" "$(api -X PUT -H "If-Match: $tag" -d '{}' http://lbd/v1/config)" "412 application/problem+json"
is "an interface" "$(api -X DELETE -H "If-Match: $tag" http://lbd/v1/interfaces/lb0)" "412 application/problem+json"
is "a weak tag does not match" "$(patch web '{"panic_threshold": 2}' -H "If-Match: W/$new")" "412 application/problem+json"
is "nothing has changed" "$(lbctl export)" "$before"
is "If-Match: *" "$(patch web '{"panic_threshold": 0}' -H "If-Match: *")" "200 application/json"
is "the hash is of the configuration: back again" "$(header ETag)" "$service"
is "no such service with If-Match" "$(patch wub '{}' -H "If-Match: $service")" "404 application/problem+json"
is "the configuration's tag does for a service" "$(api http://lbd/v1/config >/dev/null; patch web '{"panic_threshold": 0}' -H "If-Match: $(header ETag)")" "200 application/json"

echo "# two writers"
# writer FIRST: read, add a backend, write what was read and changed; again when somebody else was faster
writer() {
	local i code

	for ((i = $1; i < $1 + 8; i++)); do
		code=412
		while [ "$code" = 412 ]; do
			curl_lb -D "$RUN/head.$1" http://lbd/v1/config |
				jq -c ".services[0].backends += [{address: \"10.0.3.$i:80\"}]" >"$RUN/write.$1"
			code=$(curl_lb -o /dev/null -w '%{http_code}' -X PUT --data-binary "@$RUN/write.$1" \
				-H "If-Match: $(sed -n 's/^ETag: \(.*\)\r$/\1/p' "$RUN/head.$1")" http://lbd/v1/config)
			echo "$code" >>"$RUN/codes"
		done
		[ "$code" = 200 ] || return 1
	done
}
writer 100 &
one=$!
writer 200 &
two=$!
wait $one
is "the first ends" $? 0
wait $two
is "the second ends" $? 0
is "no change is lost" "$(service_json web '[.backends[] | select(.address | startswith("10.0.3."))] | length')" 16
is "each was written once" "$(grep -c 200 "$RUN/codes")" 16

lbctl export >"$RUN/export.yaml"
generation=$(lbctl --json status | jq .generation)
ok "apply --if-generation" lbctl apply -f "$RUN/export.yaml" --if-generation "$generation"
lbctl backend del web 10.0.3.100:80
sed -i 's/policy: maglev/policy: random/' "$RUN/export.yaml"
lbctl apply -f "$RUN/export.yaml" --if-generation "$generation" 2>"$RUN/err"
is "after somebody else's change: refused" $? 1
matches "says so" "$(cat "$RUN/err")" '^lbctl: the configuration is not what If-Match says'
is "and changes nothing" "$(service_json web .policy)" maglev

# ---- limits ----
echo "# bodies and headers"
put() { api -X PUT "$@" http://lbd/v1/config; }
before=$(lbctl export)
for type in text/html multipart/form-data application/xml 'application/json; charset=utf-16'; do
	is "a body of $type" "$(put -H "Content-Type: $type" -d '{}')" "415 application/problem+json"
done
is "a compressed one" "$(put -H "Content-Encoding: gzip" -d '{}')" "415 application/problem+json"
matches "its detail" "$(detail)" 'gzip'
for type in application/json 'application/json; charset=utf-8' application/yaml text/yaml application/merge-patch+json ''; do
	is "a body of '$type'" "$(api -X POST -H "Content-Type:${type:+ }$type" -d '{}' http://lbd/v1/config/check)" "200 application/json"
done
for accept in application/yaml 'text/yaml;q=0.5, text/html' 'application/json;q=0.1, application/yaml; q=0.2' application/x-yaml; do
	is "Accept: $accept" "$(api -H "Accept: $accept" http://lbd/v1/config)" "200 application/yaml"
done
for accept in 'application/yaml;q=0' 'application/yaml; q=0.000, */*' 'application/json, application/yaml;q=0.5' '*/*'; do
	is "Accept: $accept" "$(api -H "Accept: $accept" http://lbd/v1/config)" "200 application/json"
done
mkfifo "$RUN/never"
head -c 17000000 /dev/zero | tr '\0' ' ' >"$RUN/large"
is "a body of 17 MB" "$(put --data-binary "@$RUN/large")" "413 application/problem+json"
is "two lengths of a body" "$(put -H 'Content-Length: 2' -H 'Content-Length: 3' -d '{}x')" "400 application/problem+json"
is "its detail" "$(detail)" "there is more than one Content-Length, or one beside a Transfer-Encoding"
is "one length twice" "$(api -H 'Content-Length: 2' -H 'Content-Length: 2' -d '{}' http://lbd/v1/config/check)" "200 application/json"
said() { # HEADERS: what lbd says to them alone, its first line
	/usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect(sys.argv[1])
s.sendall(("PUT /v1/config HTTP/1.1\r\nHost: lbd\r\n" + sys.argv[2] + "\r\n\r\n").encode())
print(s.recv(65536).decode().split("\r\n")[0])' "$SOCKET" "$1"
}
matches "a length beside an encoding" "$(said $'Content-Length: 2\r\nTransfer-Encoding: chunked')" '^HTTP/1.1 400 '
for coding in foo gzip 'chunked, foo' 'chunked, chunked' 'chunked;q=1' 'chunked,' ',' $'chunked\r\nTransfer-Encoding: chunked'; do
	matches "a body of which nobody knows where it ends: ${coding@Q}" "$(said "Transfer-Encoding: $coding")" '^HTTP/1.1 400 '
done
for coding in 'gzip, chunked' $'gzip\r\nTransfer-Encoding: chunked'; do
	matches "a coding that is not understood: ${coding@Q}" "$(said "Transfer-Encoding: $coding")" '^HTTP/1.1 501 '
done
is "one that is" "$(api -H 'Transfer-Encoding: Chunked' -d '{}' http://lbd/v1/config/check)" "200 application/json"
matches "a body that would be too large is not waited for" "$(said $'Content-Length: 17000000\r\nExpect: 100-continue')" '^HTTP/1.1 413 '
matches "one that fits is" "$(said $'Content-Length: 16000000\r\nExpect: 100-continue')" '^HTTP/1.1 100 '
is "headers of 17 KB" "$(api -H "X: $(head -c 17000 "$RUN/large" | tr ' ' x)" http://lbd/v1/status)" "431 application/problem+json"
is "the configuration is what it was" "$(lbctl export)" "$before"

echo "# more bodies at a time than there is room for"
for ((i = 0; i < 24; i++)); do
	# Each sends most of its body and keeps the end for itself.
	{ head -c 16500000 "$RUN/large"; read -r -t 4 <>"$RUN/never"; } | curl_lb -o "$RUN/code.$i.body" -w '%{http_code}' -X PUT -T - http://lbd/v1/config >"$RUN/code.$i" &
	bodies[i]=$!
done
held() { [ "$(awk '/^VmRSS/ { print $2 }' "/proc/${LBD_PID[lb]}/status")" -gt 240000 ]; }
ok "so much is held" wait_for 4 held
is "small requests are answered" "$(api http://lbd/v1/services/web)" "200 application/json"
is "with a body, too" "$(api -d '{}' http://lbd/v1/config/check)" "200 application/json"
wait "${bodies[@]}"
is "each got an answer: it was empty, or too much" "$(for ((i = 0; i < 24; i++)); do cat "$RUN/code.$i"; echo; done | sort -u | tr '\n' ' ')" "400 503 "
ok "half of them at least were read" test "$(grep -lx 400 "$RUN"/code.? "$RUN"/code.?? | wc -l)" -ge 12
is "then there is room again" "$(put --data-binary "@$RUN/large")" "413 application/problem+json"
is "the configuration is what it was" "$(lbctl export)" "$before"

echo "# more clients at once than lbd takes in a moment"
kill -STOP "${LBD_PID[lb]}"
curl_lb -Z --parallel-immediate --parallel-max 200 -o /dev/null -w '%{http_code}\n' 'http://lbd/v1/config#[1-200]' >"$RUN/crowd" 2>/dev/null &
crowd=$!
queued() { [ "$(host lb ss -xlH src "$SOCKET" | awk '{ print $3 }')" = 200 ]; }
ok "200 wait" wait_for 5 queued
kill -CONT "${LBD_PID[lb]}"
wait $crowd
is "each is answered" "$(sort "$RUN/crowd" | uniq -c | xargs)" "200 200"

echo "# connections"
for mode in nothing drip; do
	talk_start half$mode "$BUILD/tests/half_open" "$SOCKET" 1000 20 $mode
	talk_read half$mode
	is "1000 connections, $mode" "$ANSWER" ready
	ok "lbctl status is answered all the same" timeout 2 env "LBD_SOCKET=$SOCKET" "$BUILD/lbctl" status
done
for mode in nothing drip; do
	talk_read half$mode
	is "within 20 s they are closed, $mode" "$ANSWER" "open 0"
done

echo "# more readers than there may be"
ok "an event, which shows lbd that earlier readers are gone" lbctl backend enable web 10.0.0.12:80
ok "and another" lbctl backend drain web 10.0.0.12:80
for ((i = 0; i < 64; i++)); do
	follow many$i http://lbd/v1/events
done
is "the 65th" "$(api http://lbd/v1/events)" "503 application/problem+json"
is "is told when to come again" "$(header Retry-After)" 5
for ((i = 0; i < 64; i++)); do
	unfollow many$i
done
ok "when they are gone there is room without any event" wait_for 15 lbctl monitor --since 0 -n 1

# ---- much ----
echo "# 10000 backends"
many() { # STATE
	jq -n -c --arg state "$1" '{hash_key: "9f86d081884c7d65", interfaces: [{name: "lb0"}], services: [range(5) as $s | {name: "s\($s)", vip: "192.0.2.\(20 + $s):80",
		backends: [range(2000) as $b | {address: "10.\(64 + $s).\($b / 250 | floor).\($b % 250 + 1):80", state: $state}]}]}'
}
many enabled >"$RUN/enabled.json"
many draining >"$RUN/draining.json"
ok "apply" lbctl apply -f "$RUN/enabled.json"
is "GET /v1/services" "$(api http://lbd/v1/services)" "200 application/json"
is "has them all" "$(jq '[.services[].backends | length] | add' "$RUN/body")" 10000
is "GET /v1/services/s1" "$(api http://lbd/v1/services/s1; jq '.backends | length' "$RUN/body")" "200 application/json2000"
lbctl export >"$RUN/export.yaml"
is "export | apply" "$(lbctl apply -f "$RUN/export.yaml")" "no changes"
host lb curl -s http://127.0.0.1:9707/metrics >"$RUN/metrics"
is "/metrics has them all" "$(grep -c '^lb_backend_up{' "$RUN/metrics")" 10000
ok "and is clean" promtool check metrics <"$RUN/metrics"

echo "# answers while somebody changes things"
flip() {
	local i

	for ((i = 0; i < 10; i++)); do
		lbctl backend "$([ $((i % 2)) = 0 ] && echo drain || echo enable)" s4 10.68.0.1:80 || return
	done
}
flip &
flipper=$!
while kill -0 $flipper 2>/dev/null; do
	curl_lb http://lbd/v1/services | jq '[.services[].backends | length] | add' >>"$RUN/counts"
	host lb curl -s http://127.0.0.1:9707/metrics | grep -c '^lb_backend_up{' >>"$RUN/counts"
done
wait $flipper
is "the changes are made" $? 0
is "every answer is whole" "$(sort -u "$RUN/counts")" 10000

echo "# a reader that does not read"
follow slow http://lbd/v1/events
kill -STOP "${READER[slow]}"
for i in 1 2; do
	ok "10000 backends drain" lbctl apply -f "$RUN/draining.json"
	ok "10000 backends are back" lbctl apply -f "$RUN/enabled.json"
done
ok "nobody waits for it" timeout 5 env "LBD_SOCKET=$SOCKET" "$BUILD/lbctl" status
kill -CONT "${READER[slow]}"
comes "it is told what it has lost" slow '.type == "lost" and .count > 1000'
last=$(curl_lb --max-time 5 -N 'http://lbd/v1/events?since=0' | jq -s 'last.seq')
ok "and gets the rest" wait_for 10 has_seq slow "$last"
is "what it got and what it lost are all" "$(jq -s '(map(select(.type == "lost") | .count) | add) + (map(select(.type != "lost")) | length) - (last.seq - first.seq + 1)' "$RUN/slow.events")" 0
unfollow slow

# ---- rates ----
echo "# lbctl top"
lbctl apply -f - >/dev/null <<'END'
hash_key: 9f86d081884c7d65
interfaces: [{name: lb0}]
services:
  - {name: web, vip: 192.0.2.10:80/tcp, backends: ["10.0.0.12:80", "10.0.0.13:80"]}
  - {name: idle, vip: 192.0.2.11:80/tcp, backends: ["10.0.0.12:80"]}
END
wait_serving web 2
lbctl top --json --interval 1s -n 4 >"$RUN/top" &
top=$!
wait_for 5 grep -q . "$RUN/top" || bail "lbctl top"
spread --to 192.0.2.10:80 --count 500 --first-port 10000
wait $top
is "top -n 4 ends" $? 0
is "500 connections" "$(field ok "$REPORT")" 500
sum() { jq -s "map($1 * .interval_seconds) | add | round" "$RUN/top"; }
is "a line a look" "$(wc -l <"$RUN/top")" 4
is "the busiest is first" "$(jq -r '.services[0].service' "$RUN/top" | sort | uniq -c | awk '$2 == "web" { print ($1 >= 1) }')" 1
WEB='(.services[] | select(.service == "web"))'
between "its rates come to as many" "$(sum "$WEB.connections_per_second")" 500 510
is "and are its backends'" "$(sum "($WEB | [.backends[].connections_per_second] | add)")" "$(sum "$WEB.connections_per_second")"
between "bits are eight to a byte" "$(sum "$WEB.bits_per_second")" $(($(metric 'lb_service_bytes_total{service="web",vip="192.0.2.10:80/tcp"}') * 8 - 20)) \
	$(($(metric 'lb_service_bytes_total{service="web",vip="192.0.2.10:80/tcp"}') * 8 + 20))
is "nothing for the idle one" "$(sum '(.services[] | select(.service == "idle")).packets_per_second')" 0
lbctl top web -n 2 --interval 100ms >"$RUN/out"
is "a table each time" "$(grep -c '^SERVICE *BACKEND *STATE *CONN/S *PKT/S *BIT/S *ACTIVE$' "$RUN/out")" 2
is "of one service" "$(awk '$1 == "web"' "$RUN/out" | wc -l)" 6

echo "# lbctl flows"
ok "a service that remembers all" lbctl service set web --state all
spread --to 192.0.2.10:80 --count 300 --first-port 20000
is "300 connections" "$(field ok "$REPORT")" 300
remembered=$(lbctl flows web --count)
between "are remembered" "$remembered" 300 800
is "by backend" "$(lbctl --json flows | jq '[.flows[] | select(.service == "web") | .entries] | add')" "$remembered"
is "the other has none" "$(lbctl flows idle --count)" 0
is "flush of the other" "$(lbctl --json flows flush idle | jq .flushed)" 0
is "flush" "$(lbctl --json flows flush web | jq .flushed)" "$remembered"
matches "the log says who" "$(grep flows.were.forgotten "$RUN/lb/log" | tail -n 1)" "origin=api uid=0 .*service=web flows=$remembered\$"
is "they are forgotten" "$(lbctl flows --count)" 0
of=$(service_json web '.backends[0].address')
is "of a backend that nothing is translated to" "$(api "http://lbd/v1/flows?backend=$of")" "400 application/problem+json"
matches "its detail" "$(detail)" "^backend: connections to $of are not translated, .*ask the backend itself\$"
is "of no backend" "$(api 'http://lbd/v1/flows?backend=10.0.0.99')" "404 application/problem+json"
is "its detail" "$(detail)" "there is no backend 10.0.0.99"
is "of a service that is not there" "$(api 'http://lbd/v1/flows?service=wub')" "404 application/problem+json"

echo "# an lbd that starts anew"
last=$(lbctl monitor --json --since 0 -n 1 | jq .seq)
lbctl monitor --json >"$RUN/monitor" 2>"$RUN/err" &
monitor=$!
ok "an event is seen" wait_for 5 lbctl backend drain web 10.0.0.12:80
lbd_end
wait $monitor
is "lbctl monitor ends with it" $? 3
lbd_start
is "numbers go on above" "$(lbctl monitor --json --since 0 -n 1 | jq ".seq > $last and .type == \"started\"")" true
done_testing
