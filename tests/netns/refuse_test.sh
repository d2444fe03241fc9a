#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad commands and bad files: the exit status, one line that names the field and the mend, and nothing changed.
. "$(dirname "$0")/lib.sh"

lab_up 2

"$BUILD/lbctl" --socket /run/none.sock status >/dev/null 2>"$RUN/err"
is "no lbd: exit status" $? 3
matches "no lbd: how to start it" "$(cat "$RUN/err")" '/run/none.sock.*lbd'

lbd_start
ok "attach" lbctl attach lb0
ok "service add" lbctl service add web 192.0.2.10:80/tcp --check none
ok "backend add" lbctl backend add web 10.0.0.11:80 --weight 5
before=$(lbctl export)
generation=$(lbctl --json status | jq .generation)

# refused STATUS REGEX ARG...: lbctl ARG... ends with STATUS, says one line like REGEX on stderr and changes nothing
refused() {
	local status=$1 regex=$2 got

	shift 2
	lbctl "$@" >"$RUN/out" 2>"$RUN/err" </dev/null
	got=$?
	is "lbctl $*: exit status" $got "$status"
	matches "lbctl $*: message" "$(cat "$RUN/err")" "$regex"
	is "lbctl $*: one line" "$(wc -l <"$RUN/err")" 1
}

refused 2 'unknown.*lbctl help' frobnicate
refused 2 'NAME is missing.*lbctl help service add' service add
refused 2 'unknown option --from.*lbctl help trace' trace --from 198.51.100.1
refused 2 'wieght.*weight' backend add web 10.0.0.12:80 --wieght 3
refused 2 'needs a value|weight' backend set web 10.0.0.11:80 --weight
refused 2 '^lbctl: option --socket is empty: --socket PATH; see' --socket= status
refused 2 'option --file is empty: --file FILE; see .lbctl help apply' apply -f ''
refused 1 '70000' service add x 192.0.2.10:70000/tcp
refused 1 '192.0.2.999' service add x 192.0.2.999:80/tcp
refused 1 'dccp' service add x 192.0.2.10:81/dccp
refused 1 'nowhere' service add x nowhere
refused 1 '.' service add x '2001:db8::10:80/tcp/'
refused 1 'exists already; change it with .lbctl service set web.' service add web 192.0.2.11:80/tcp
refused 1 '192.0.2.10:80.*web|web.*192.0.2.10:80' service add other 192.0.2.10:80/tcp
refused 1 'forward|l3' service add x 192.0.2.11:80/tcp --forward l3
refused 1 'check|smtp' service add x 192.0.2.11:80/tcp --check smtp
refused 1 'interval|2 *parsecs|parsecs' service add x 192.0.2.11:80/tcp --check tcp --check-interval 2parsecs
refused 1 'timeout' service add x 192.0.2.11:80/tcp --check tcp --check-interval 1s --check-timeout 5s
refused 1 'name|letters' service add 'a b' 192.0.2.11:80/tcp
refused 1 'wub.*web|web' service show wub
refused 1 'wub.*web|web' service del wub
refused 1 'wub.*web|web' backend add wub 10.0.0.12:80
refused 1 'already; change it with .lbctl backend set web 10.0.0.11:80.' backend add web 10.0.0.11:80
refused 1 'port' backend add web 10.0.0.12:8080
refused 1 'weight' backend set web 10.0.0.11:80 --weight 70000
refused 1 'weight' backend set web 10.0.0.11:80 --weight -1
refused 1 'weight' backend add web 10.0.0.12:80 --weight many
refused 1 'tier' backend add web 10.0.0.12:80 --tier 99
refused 1 '10.0.0.99' backend drain web 10.0.0.99:80
refused 1 'interfaces.nothere.: there is no interface nothere' attach nothere
refused 1 'lb0 is attached already; detach it first' attach lb0 --mode generic
refused 1 'mode|turbo' attach lb0 --mode turbo
refused 1 'nothere' detach nothere
refused 1 '^lbctl: there is no service web/x$' service del web/x
refused 1 '^lbctl: there is no service web/backends$' service show web/backends
refused 1 '^lbctl: there is no service web%2Fx$' service set web%2Fx --policy random
refused 1 '^lbctl: 10.0.0.11/24 is a prefix; write one address$' backend del web 10.0.0.11/24
refused 1 '^lbctl: interface a/b is not attached$' detach a/b
refused 1 '/nowhere' apply -f /nowhere/file.yaml
refused 1 '^lbctl: stdin: the document is empty; write \{\} ' apply -f -
refused 1 '^lbctl: /dev/null: the document is empty; write \{\} ' apply -f /dev/null
refused 1 '^lbctl: stdin: the document is empty; write \{\} ' diff -f -
echo '# nothing' >"$RUN/comment.yaml"
refused 1 'comment.yaml: the document is empty; write \{\} ' apply -f "$RUN/comment.yaml"
is "lbnode -V" "$("$BUILD/lbnode" -V)" "$("$BUILD/lbnode" version)"
is "lbnode --json status" "$(host lb "$BUILD/lbnode" --json status | jq -c .interfaces)" "$(host lb "$BUILD/lbnode" status --json | jq -c .interfaces)"
"$BUILD/lbnode" --json detach lb0 2>"$RUN/err"
is "lbnode --json detach: exit status" $? 2
echo '{}' >"$RUN/empty.yaml"
"$BUILD/lbd" --check-config --config "$RUN/empty.yaml" >/dev/full 2>"$RUN/err"
is "lbd --check-config that cannot say OK: exit status" $? 1
matches "lbd --check-config that cannot say OK: message" "$(cat "$RUN/err")" '^lbd: .*cannot be written: No space left'
matches "and for lbd --check-config" "$("$BUILD/lbd" --check-config --config "$RUN/comment.yaml" 2>&1)" 'comment.yaml: the document is empty; write \{\} '
echo 'interfaces: [{name: lb0}, {name: nosuch7}]' >"$RUN/iface.yaml"
refused 1 'iface.yaml:1: interfaces.1.: there is no interface nosuch7' apply -f "$RUN/iface.yaml"
refused 1 'iface.yaml:1: interfaces.1.: there is no interface nosuch7' apply -f "$RUN/iface.yaml" --dry-run
refused 1 'iface.yaml:1: interfaces.1.: there is no interface nosuch7' diff -f "$RUN/iface.yaml"
is "what was refused is not logged as a change" "$(grep -c 'msg="change".*nosuch7' "$RUN/lb/log")" 0

# lbd_refused STATUS REGEX ARG...: lbd ARG... does not start
lbd_refused() {
	local status=$1 regex=$2

	shift 2
	timeout 5 "$@" >"$RUN/out" 2>"$RUN/err"
	is "${*##*/}: exit status" $? "$status"
	matches "${*##*/}: message" "$(cat "$RUN/err")" "$regex"
	is "${*##*/}: one line" "$(wc -l <"$RUN/err")" 1
}
lbd_refused 2 '--metrics: foo' "$BUILD/lbd" --metrics foo:bar
lbd_refused 2 '--metrics .*port.*127.0.0.1' "$BUILD/lbd" --metrics 127.0.0.1
lbd_refused 2 '--metrics takes ADDR:PORT.*no address in :9707' "$BUILD/lbd" --metrics :9707
lbd_refused 2 '--metrics takes ADDR:PORT.*no address in 9707' "$BUILD/lbd" --metrics 9707
lbd_refused 2 '^lbd: .*no such option.*: --nonsense; see lbd --help$' "$BUILD/lbd" --nonsense
lbd_refused 2 '^lbd: .*takes no value: --check-config=x; see lbd --help$' "$BUILD/lbd" --check-config=x
lbd_refused 2 '^lbd: --config needs a value; see lbd --help$' "$BUILD/lbd" --config
lbd_refused 2 '^lbd: an empty value for --state-dir; see lbd --help$' "$BUILD/lbd" --state-dir ''
lbd_refused 1 'root is needed' setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$BUILD/lbd" --state-dir "$RUN/none" --socket "$RUN/none.sock"

# file REGEX: a file on stdin is refused with a message like REGEX that has its name and a line
file() {
	cat >"$RUN/bad.yaml"
	lbctl apply -f "$RUN/bad.yaml" >"$RUN/out" 2>"$RUN/err"
	is "a file: exit status" $? 1
	matches "a file: message" "$(cat "$RUN/err")" "bad.yaml:[0-9]+: $1"
	"$BUILD/lbd" --check-config --config "$RUN/bad.yaml" >"$RUN/out" 2>"$RUN/err"
	is "the same for lbd --check-config" $? 1
	matches "the same for lbd --check-config: message" "$(cat "$RUN/err")" "bad.yaml:[0-9]+: $1"
}
file 'services\[1\].*70000' <<'END'
services:
  - {name: web, vip: "192.0.2.10:80/tcp", backends: []}
  - {name: x, vip: "192.0.2.10:70000/tcp"}
END
file 'services\[0\].*backend' <<'END'
services:
  - name: web
    vip: 192.0.2.10:80/tcp
    backens: []
END
file '.*weight.*heavy' <<'END'
services:
  - name: web
    vip: 192.0.2.10:80/tcp
    backends:
      - {address: "10.0.0.11:80", weight: heavy}
END
file '.' <<'END'
services:
  - name: web
    vip: [192.0.2.10:80/tcp
END
head -c 4096 /dev/urandom >"$RUN/noise.yaml"
lbctl apply -f "$RUN/noise.yaml" >/dev/null 2>&1
is "a file of noise: exit status" $? 1

is "after all that the configuration is what it was" "$(lbctl export)" "$before"
is "and so is its generation" "$(lbctl --json status | jq .generation)" "$generation"

echo "# accepted, with a warning"
own() { # ARG...: lbctl service ARG..., its warning in $WARNING
	lbctl service "$@" >"$RUN/out" 2>"$RUN/err" || not_ok "lbctl service $*" "$(cat "$RUN/err")"
	WARNING=$(cat "$RUN/err")
}
has_note() { [ -n "$(service_json own .status.note)" ]; }
own add own 10.0.0.2:22
is "a VIP by which the host is spoken to" "$WARNING" "lbctl: warning: own: 10.0.0.2 is this host's own address, on lb0: what comes for 10.0.0.2:22/tcp does not reach this host any more"
matches "service show has it" "$(lbctl service show own)" "note +10.0.0.2 is this host's own address"
own set own --vip 10.0.0.0/29:80
matches "a prefix that has it" "$WARNING" 'warning: own: 10.0.0.2 is.*what comes for 10.0.0.0/29:80/tcp does'
own set own --vip 10.0.0.8/29:80
is "one that has not" "$WARNING" ""
own set own --vip '[fd00::2]:*'
matches "every port" "$WARNING" 'warning: own: fd00::2 is.*nor do answers to its own connections and checks$'
ip -n lb address add 192.0.2.77/32 dev lb0
own set own --vip '192.0.2.77:*'
ok "of an address without a network, too" wait_for 5 has_note
own set own --vip '192.0.2.77:80'
is "but not one port of such an address" "$WARNING" ""
own del own

echo "# the API by hand"
api() { host lb curl -s --unix-socket "$RUN/lb/lbd.sock" -o "$RUN/body" -w '%{http_code} %{content_type}' "$@"; }
is "GET /v1/services" "$(api http://lbd/v1/services)" "200 application/json"
is "no such service" "$(api http://lbd/v1/services/wub)" "404 application/problem+json"
matches "its detail" "$(jq -r .detail "$RUN/body")" wub
is "no such path" "$(api http://lbd/v1/nonsense)" "404 application/problem+json"
is "a path with its host" "$(api --request-target http://lbd/v1/services http://lbd/)" "200 application/json"
is "a path with more than it needs encoded" "$(api http://lbd/%76%31/services/w%65b)" "200 application/json"
is "a method that is not allowed" "$(api -X DELETE http://lbd/v1/status)" "405 application/problem+json"
is "broken JSON" "$(api -d '{"name": ' http://lbd/v1/services)" "400 application/problem+json"
is "a key that is not known" "$(api -d '{"name":"x","vip":"192.0.2.11:80","wait":1}' http://lbd/v1/services)" "400 application/problem+json"
is "it exists" "$(api -d '{"name":"web","vip":"192.0.2.11:80"}' http://lbd/v1/services)" "409 application/problem+json"
detail() { jq -r .detail "$RUN/body"; }
put() { api -X PUT --data-binary '{}' "http://lbd/v1/$1"; }
is "a parameter that is misspelt" "$(put 'config?dryrun=1')" "400 application/problem+json"
matches "its detail" "$(detail)" '^unknown parameter dryrun; did you mean dry_run\?$'
is "dry_run=yes" "$(put 'config?dry_run=yes')" "400 application/problem+json"
is "its detail" "$(detail)" "dry_run: must be 0 or 1"
is "dry_run alone" "$(put 'config?dry_run')" "400 application/problem+json"
is "dry_run twice" "$(put 'config?dry_run=0&dry_run=1')" "400 application/problem+json"
is "a parameter where none is known" "$(api 'http://lbd/v1/services?name=web')" "400 application/problem+json"
is "its detail" "$(detail)" "unknown parameter name; none is known here"
is "a DELETE with one" "$(api -X DELETE 'http://lbd/v1/services/web?dry_run=1')" "400 application/problem+json"
is "dry_run=1" "$(put 'config?dry_run=1')" "200 application/json"
is "an empty body" "$(api -X PUT --data-binary '' 'http://lbd/v1/config')" "400 application/problem+json"
is "its detail" "$(detail)" "the document is empty; write {} for a configuration without anything"
patch() { api -X PATCH -d "$2" "http://lbd/v1/services/$1"; }
is "a service's name" "$(patch web '{"name":"other"}')" "400 application/problem+json"
is "its detail" "$(detail)" "name: cannot be changed from web; remove it and add another"
for address in 10.0.0.12:80 10.0.0.11 10.0.0.11:81; do
	is "a backend's address, $address" "$(patch web/backends/10.0.0.11:80 "{\"address\":\"$address\"}")" "400 application/problem+json"
	is "its detail" "$(detail)" "address: cannot be changed from 10.0.0.11:80; remove it and add another"
done
is "the backend's own address" "$(patch web/backends/10.0.0.11 '{"address":"10.0.0.11:80"}')" "200 application/json"
is "the configuration is what it was" "$(lbctl export)" "$before"

echo "# requests that are never completed"
for nr in 300 1500; do
	talk_start half$nr "$BUILD/tests/half_open" "$RUN/lb/lbd.sock" $nr 20
	talk_read half$nr
	is "$nr half requests are open" "$ANSWER" ready
	ok "lbctl status is answered all the same" timeout 2 env "LBD_SOCKET=$RUN/lb/lbd.sock" "$BUILD/lbctl" status
	ok "/metrics too" host lb curl -sf --max-time 2 -o "$RUN/body" http://127.0.0.1:9707/metrics
done
for nr in 300 1500; do
	talk_read half$nr
	is "within 20 s the $nr are closed" "$ANSWER" "open 0"
done
is "the configuration is what it was" "$(lbctl export)" "$before"

echo "# a timeout that is not given"
ok "--check-interval 500ms alone" lbctl service set web --check tcp --check-interval 500ms
is "the timeout follows" "$(service_json web '.check.interval + " " + .check.timeout')" "500ms 500ms"
done_testing
