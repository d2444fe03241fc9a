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
	[ "$status" != 1 ] || is "lbctl $*: one line" "$(wc -l <"$RUN/err")" 1
}

refused 2 'usage|unknown|help' frobnicate
refused 2 'NAME|VIP|usage' service add
refused 2 'wieght.*weight' backend add web 10.0.0.12:80 --wieght 3
refused 2 'needs a value|weight' backend set web 10.0.0.11:80 --weight
refused 1 '70000' service add x 192.0.2.10:70000/tcp
refused 1 '192.0.2.999' service add x 192.0.2.999:80/tcp
refused 1 'sctp' service add x 192.0.2.10:81/sctp
refused 1 'nowhere' service add x nowhere
refused 1 '.' service add x '2001:db8::10:80/tcp/'
refused 1 'exist|taken|already' service add web 192.0.2.11:80/tcp
refused 1 '192.0.2.10:80.*web|web.*192.0.2.10:80' service add other 192.0.2.10:80/tcp
refused 1 'forward|l3' service add x 192.0.2.11:80/tcp --forward l3
refused 1 'check|smtp' service add x 192.0.2.11:80/tcp --check smtp
refused 1 'interval|2 *parsecs|parsecs' service add x 192.0.2.11:80/tcp --check tcp --check-interval 2parsecs
refused 1 'timeout' service add x 192.0.2.11:80/tcp --check tcp --check-interval 1s --check-timeout 5s
refused 1 'name|letters' service add 'a b' 192.0.2.11:80/tcp
refused 1 'wub.*web|web' service show wub
refused 1 'wub.*web|web' service del wub
refused 1 'wub.*web|web' backend add wub 10.0.0.12:80
refused 1 '10.0.0.11:80' backend add web 10.0.0.11:80
refused 1 'port' backend add web 10.0.0.12:8080
refused 1 'weight' backend set web 10.0.0.11:80 --weight 70000
refused 1 'weight' backend set web 10.0.0.11:80 --weight -1
refused 1 'weight' backend add web 10.0.0.12:80 --weight many
refused 1 'tier' backend add web 10.0.0.12:80 --tier 99
refused 1 '10.0.0.99' backend drain web 10.0.0.99:80
refused 1 'nothere' attach nothere
refused 1 'mode|turbo' attach lb0 --mode turbo
refused 1 'nothere' detach nothere
refused 1 '/nowhere' apply -f /nowhere/file.yaml

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

echo "# the API by hand"
api() { host lb curl -s --unix-socket "$RUN/lb/lbd.sock" -o "$RUN/body" -w '%{http_code} %{content_type}' "$@"; }
is "GET /v1/services" "$(api http://lbd/v1/services)" "200 application/json"
is "no such service" "$(api http://lbd/v1/services/wub)" "404 application/problem+json"
matches "its detail" "$(jq -r .detail "$RUN/body")" wub
is "no such path" "$(api http://lbd/v1/nonsense)" "404 application/problem+json"
is "a method that is not allowed" "$(api -X DELETE http://lbd/v1/status)" "405 application/problem+json"
is "broken JSON" "$(api -d '{"name": ' http://lbd/v1/services)" "400 application/problem+json"
is "a key that is not known" "$(api -d '{"name":"x","vip":"192.0.2.11:80","wait":1}' http://lbd/v1/services)" "400 application/problem+json"
is "it exists" "$(api -d '{"name":"web","vip":"192.0.2.11:80"}' http://lbd/v1/services)" "409 application/problem+json"
is "the configuration is what it was" "$(lbctl export)" "$before"
done_testing
