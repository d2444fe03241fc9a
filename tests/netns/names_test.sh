#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Backends that are DNS names, against a real DNS server whose zone changes: addresses come and go without a connection
# lost, and nothing that the server fails to say takes any away.
. "$(dirname "$0")/lib.sh"

lab_up_web 5
lab_host dns eth0 53 1500

# ---- the DNS server, on a host of its own ----
ZONE=$RUN/zone
zone() { # LINE...: what the zone is from now on, "ADDRESS NAME" each
	printf '%s\n' "$@" >"$ZONE"
	[ -z "${DNS_PID-}" ] || kill -HUP "$DNS_PID"
}
dns_start() { # [OPTION...]
	: >"$RUN/dns.log"
	nsenter --net=/run/netns/dns -- dnsmasq --keep-in-foreground --no-resolv --no-hosts --addn-hosts="$ZONE" --user=root \
		--local-ttl=1 --conf-file=/dev/null --pid-file= --log-facility="$RUN/dns.log" --log-queries \
		--bind-interfaces --listen-address=10.0.0.53 "$@" &
	DNS_PID=$!
	wait_for 5 grep -q 'started, version' "$RUN/dns.log" || bail "the DNS server starts" "$(cat "$RUN/dns.log")"
}
dns_end() {
	kill -KILL "$DNS_PID"
	wait "$DNS_PID" 2>/dev/null
}
EXAMPLE=(--local=/example/ --cname=www.example,app.example)
zone "10.0.0.11 app.example" "10.0.0.12 app.example" "10.0.0.15 alive.example"
dns_start "${EXAMPLE[@]}"

addresses() { lbctl --json service show "${1-web}" | jq -r '[.backends[] | select(.state == "enabled") | .address] | join(" ")'; }
addresses_are() { [ "$(addresses "${2-web}")" = "$1" ]; }
become() { # WHAT ADDRESSES [SERVICE]
	wait_for 10 addresses_are "$2" "${3-web}" || { not_ok "$1" "they are $(addresses "${3-web}")"; return; }
	ok "$1" true
}
lookup() { service_json web '.status.names[0].status.lookup'; }
lookup_is() { [ "$(lookup)" = "$1" ]; }
lookups() { metric "lb_name_lookups_total{name=\"app.example\",result=\"$1\"}"; }
more_lookups() { [ "$(lookups "$1")" -gt "$2" ]; }
told() { jq -r 'select(.type == "name") | [.name, .from, .to, .count] | join(" ")' "$RUN/events" | tail -n 1 | grep -qx "$1"; }

lbd_config <<'END'
resolver: {servers: [10.0.0.53], min_ttl: 1s, timeout: 300ms}
END
lbd_start
ok "attach" lbctl attach lb0
host lb curl -sN --unix-socket "$RUN/lb/lbd.sock" http://lbd/v1/events >"$RUN/events" &
events=$!

echo "# a name has addresses"
ok "service add" lbctl service add web 192.0.2.10:80/tcp --check tcp --check-interval 200ms --check-timeout 100ms --drain-timeout 60s
ok "backend add" lbctl backend add web App.Example.:80 --weight 50
become "they become backends" "10.0.0.11:80 10.0.0.12:80"
wait_serving web 2
is "with the name's weight" "$(service_json web '[.backends[].weight] | tostring')" "[50,50]"
is "and say where they come from" "$(service_json web '[.backends[].status.name] | unique | join(" ")')" app.example
is "export has the name alone" "$(lbctl export | grep -A 2 backends:)" "    backends:
      - address: app.example:80
        weight: 50"
matches "service show" "$(lbctl service show web)" 'names +app.example:80: 2 addresses, ok, again in [0-9]+ s'
ok "it is told" wait_for 5 told "app.example none ok 2"
is "lb_name_addresses" "$(metric 'lb_name_addresses{name="app.example"}')" 2
asked=$(lookups ok)
ok "it is looked up again and again" wait_for 10 more_lookups ok $((asked + 2))
is "which changes nothing" "$(addresses)" "10.0.0.11:80 10.0.0.12:80"
ok "apply what export says" bash -c '"$0" --socket "$1" export | "$0" --socket "$1" apply -f - ' "$BUILD/lbctl" "$RUN/lb/lbd.sock"

echo "# an address comes, one leaves"
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 1000 --first-port 10000 --every 300
talk_read held
is "1000 connections are open" "$(field alive "$ANSWER")" 1000
zone "10.0.0.11 app.example" "10.0.0.12 app.example" "10.0.0.13 app.example"
become "one more" "10.0.0.11:80 10.0.0.12:80 10.0.0.13:80"
wait_serving web 3
zone "10.0.0.11 app.example" "10.0.0.13 app.example" "10.0.0.14 app.example"
become "another" "10.0.0.11:80 10.0.0.13:80 10.0.0.14:80"
wait_serving web 3
state_of() { service_json web ".backends[] | select(.address == \"10.0.0.1$1:80\") | .status.state"; }
is "the one that left is draining" "$(state_of 2)" draining
talk held ping
is "all connections are alive" "$(field alive "$ANSWER")" 1000
is "and none has moved" "$(field moved "$ANSWER")" 0
spread --to 192.0.2.10:80 --count 900 --first-port 20000
is "900 new connections" "$(field ok "$REPORT")" 900
is "none of them to the one that left" "$(field b2 "$REPORT")" 0
between "some to the one that came" "$(field b4 "$REPORT")" 200 400
zone "10.0.0.11 app.example" "10.0.0.12 app.example" "10.0.0.13 app.example" "10.0.0.14 app.example"
become "it comes back" "10.0.0.11:80 10.0.0.12:80 10.0.0.13:80 10.0.0.14:80"
talk held ping
is "still none has moved" "$(field moved "$ANSWER")" 0
zone "10.0.0.11 app.example" "10.0.0.13 app.example" "10.0.0.14 app.example"
become "and leaves again" "10.0.0.11:80 10.0.0.13:80 10.0.0.14:80"
is "draining" "$(state_of 2)" draining
talk held quit
gone() { [ -z "$(state_of 2)" ]; }
ok "and gone when its connections are over" wait_for 20 gone

echo "# a disk that takes nothing"
said() { grep -c 'msg="change" origin=names ' "$RUN/lb/log"; }
before=$(said)
mount --bind "$RUN/lb/state" "$RUN/lb/state"
mount -o remount,bind,ro "$RUN/lb/state"
zone "10.0.0.11 app.example" "10.0.0.13 app.example"
ok "an address that left cannot be taken out" wait_for 10 grep -q 'msg="cannot take the addresses of names; trying again"' "$RUN/lb/log"
is "it stays" "$(addresses)" "10.0.0.11:80 10.0.0.13:80 10.0.0.14:80"
is "and nothing is said to have changed" "$(said)" "$before"
umount "$RUN/lb/state"
become "the next try does" "10.0.0.11:80 10.0.0.13:80"
between "which is said, and that it drained" "$(said)" $((before + 1)) $((before + 2))
zone "10.0.0.11 app.example" "10.0.0.13 app.example" "10.0.0.14 app.example"
become "it is back" "10.0.0.11:80 10.0.0.13:80 10.0.0.14:80"

echo "# what the server does not say takes nothing away"
before=$(addresses)
still() { is "$1: the addresses stay" "$(addresses)" "$before"; }
zone "10.0.0.15 alive.example"
ok "a name that does not exist" wait_for 10 lookup_is nxdomain
still nxdomain
ok "is told" wait_for 5 told "app.example ok nxdomain 3"
matches "service show says since when" "$(lbctl service show web)" 'nxdomain, last answered 20.*Z, again in'
zone "fd00::99 other.example" "10.0.0.11 app.example" "10.0.0.13 app.example" "10.0.0.14 app.example"
ok "it is back" wait_for 40 lookup_is ok
still back
kill -STOP "$DNS_PID"
ok "a server that is silent" wait_for 15 lookup_is timeout
still timeout
age() { metric 'lb_name_age_seconds{name="app.example"}'; }
old() { awk -v a="$(age)" 'BEGIN { exit !(a > 2) }'; }
ok "lb_name_age_seconds grows" wait_for 10 old
kill -CONT "$DNS_PID"
ok "it speaks" wait_for 40 lookup_is ok
dns_end
ok "a server that is gone" wait_for 15 lookup_is refused
still refused
lbd_end KILL
kill $events 2>/dev/null

echo "# a restart without a server"
lbd_start
still restart
wait_serving web 3
lbd_end
rm -rf /sys/fs/bpf/lb
ip -n lb link set lb0 xdp off
lbd_start
still "a boot"
wait_serving web 3
dns_start
ok "a server that knows nothing of the name" wait_for 40 lookup_is refused
still "refused by it"
dns_end
dns_start "${EXAMPLE[@]}"
ok "the right one" wait_for 40 lookup_is ok
still "all that time"

echo "# the name is the backend"
matches "not its addresses" "$(lbctl backend del web 10.0.0.11:80 2>&1)" '10.0.0.11:80 is an address of app.example, which is the backend to change'
matches "nor another name" "$(lbctl backend drain web ap.example:80 2>&1)" 'service web has no backend ap.example:80'
ok "backend drain" lbctl backend drain web app.example:80
wait_serving web 0
ok "backend enable" lbctl backend enable web app.example:80
wait_serving web 3
ok "another weight" lbctl backend set web app.example:80 --weight 70
is "is theirs" "$(service_json web '[.backends[] | select(.state == "enabled") | .weight] | unique | tostring')" "[70]"
etag() { host lb curl -s -o /dev/null -D - --unix-socket "$RUN/lb/lbd.sock" http://lbd/v1/services/web | tr -d '\r' | sed -n 's/^ETag: //Ip'; }
patch() { host lb curl -s -o /dev/null -w '%{http_code}' -X PATCH -H 'Content-Type: application/json' -H "If-Match: $1" -d "$2" --unix-socket "$RUN/lb/lbd.sock" http://lbd/v1/services/web; }
tag=$(etag)
zone "10.0.0.11 app.example" "10.0.0.13 app.example" "10.0.0.14 app.example" "10.0.0.15 app.example"
become "an address more" "10.0.0.11:80 10.0.0.13:80 10.0.0.14:80 10.0.0.15:80"
is "is no change of the service" "$(etag)" "$tag"
is "which If-Match goes by" "$(patch "$tag" '{"panic_threshold": 10}')" 200
is "a change is one" "$(patch "$tag" '{"panic_threshold": 20}')" 412

echo "# limits"
lbctl export >"$RUN/export"
sed 's/timeout: 300ms/timeout: 300ms\n  max_addresses: 2/' "$RUN/export" >"$RUN/limited"
ok "two addresses at most" lbctl apply -f "$RUN/limited"
become "are the lowest" "10.0.0.11:80 10.0.0.13:80"
ok "no such limit" lbctl apply -f "$RUN/export"
become "all of them" "10.0.0.11:80 10.0.0.13:80 10.0.0.14:80 10.0.0.15:80"

echo "# families, other names, addresses that are there already"
zone "10.0.0.11 app.example" "fd00::12 app.example" "127.0.0.1 app.example" "192.0.2.11 app.example" "10.0.0.13 two.example" "10.0.0.11 two.example"
become "both families, and neither 127.0.0.1" "10.0.0.11:80 192.0.2.11:80 [fd00::12]:80"
ok "l2" lbctl service add l2 192.0.2.11:80/tcp --forward l2
ok "with a canonical name" lbctl backend add l2 www.example
become "one family, without the VIP" "10.0.0.11" l2
ok "an address of its own" lbctl backend add l2 10.0.0.13
ok "and another name" lbctl backend add l2 two.example
become "each once" "10.0.0.11 10.0.0.13" l2
is "as it was written" "$(service_json l2 '.backends[] | select(.address == "10.0.0.13") | .status.name')" null
ok "backend del" lbctl backend del l2 www.example
become "what the other name has stays" "10.0.0.11 10.0.0.13" l2
origin() { [ "$(service_json l2 '.backends[] | select(.address == "10.0.0.11") | .status.name')" = "$1" ]; }
ok "and is its" wait_for 5 origin two.example
ok "backend del" lbctl backend del l2 two.example
is "its own address is left" "$(addresses l2)" "10.0.0.13"
ok "backend del" lbctl backend del web app.example:80
is "nothing is left of the name" "$(service_json web '.backends | length') $(service_json web '.status.names | length')" "0 0"
matches "refused: twice" "$(lbctl backend add l2 two.example >/dev/null; lbctl backend add l2 TWO.example. 2>&1)" 'two.example is a backend of service l2 already'

echo "# addresses that are checked by way of the VIP"
ip -n lb route add default via 10.0.0.1
lab_vip 192.0.2.12 2 # and not b3
zone "10.0.0.11 via.example"
ok "such a service" lbctl service add via 192.0.2.12:80 --check tcp --check-via vip --check-interval 200ms --check-timeout 150ms
ok "with a name" lbctl backend add via via.example:80
wait_serving via 1
zone "10.0.0.11 via.example" "10.0.0.12 via.example" "10.0.0.13 via.example"
become "two addresses more" "10.0.0.11:80 10.0.0.12:80 10.0.0.13:80" via
wait_serving via 2
found() { [ "$(service_json via ".backends[] | select(.address == \"10.0.0.1$1:80\") | .status | \"\(.health)/\(.reason)\"")" = "$2" ]; }
ok "one answers at the VIP" wait_for 5 found 2 up/ok
ok "one at its own address alone" wait_for 5 found 3 down/timeout

echo "# a server that cuts an answer short, and takes no TCP"
# It answers other questions once it is known what becomes of the one that was cut.
cat >"$RUN/cut.py" <<'END'
import socket, time

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.0.0.53", 5353))
print("ready", flush=True)
held, cut, when = [], False, None
while True:
    s.settimeout(0.05)
    try:
        query, sender = s.recvfrom(512)
        question = query[12 : query.index(b"\0", 12) + 5]
        if question.lower().startswith(b"\3cut"):
            s.sendto(query[:2] + b"\x87\x80\0\1\0\0\0\0\0\0" + question, sender)
            when = when or time.monotonic() + 0.5
        else:
            held.append((query, question, sender))
    except TimeoutError:
        pass
    while held and when and time.monotonic() > when:
        query, question, sender = held.pop()
        v4 = question[-3] == 1
        answer = b"\xc0\x0c" + question[-4:] + b"\0\0\0\1\0\4\x0a\0\0\x0b" if v4 else b""
        s.sendto(query[:2] + b"\x85\x80\0\1\0" + (b"\1" if v4 else b"\0") + b"\0\0\0\0" + question + answer, sender)
END
talk_start cut nsenter --net=/run/netns/dns -- /usr/bin/python3 "$RUN/cut.py"
talk_read cut
is "it listens" "$ANSWER" ready
cat >"$RUN/cut.yaml" <<END
interfaces: [{name: lb0}]
hash_key: $HASH_KEY
resolver: {servers: ["10.0.0.53:5353"], min_ttl: 1s, timeout: 10s}
services:
  - {name: cut, vip: 192.0.2.10:80, backends: [cut.example]}
  - {name: whole, vip: 192.0.2.11:80, forward: l2, backends: [whole.example]}
END
ok "two names at a time" lbctl apply -f "$RUN/cut.yaml"
become "one is answered" 10.0.0.11 whole
is "in spite of the other one" "$(metric 'lb_name_lookups_total{name="whole.example",result="refused"}' || echo 0)" 0
refused() { [ "$(metric 'lb_name_lookups_total{name="cut.example",result="refused"}')" -gt 0 ]; }
ok "which was refused" wait_for 10 refused
kill "${TALK_PID[cut]}"
done_testing
