#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who gets in, and where to: every port of an address, prefixes, sources that are allowed and denied, and how many
# connections one of them may open.
. "$(dirname "$0")/lib.sh"

lab_up 2
servers_start 2 8001 8002 8003
nodes_attach 2
lbd_start
ok "attach" lbctl attach lb0
lab_vip 192.0.2.10 2
lab_vip 2001:db8::10 2
lab_prefix() { # PREFIX: all of its addresses, to both backends
	local i via=10.0.0.2

	[[ $1 != *:* ]] || via=fd00::2
	ip -n client route replace "$1" via $via
	for i in 1 2; do
		ip -n b$i route add local "$1" dev lo
	done
}
lab_prefix 198.18.0.0/16
lab_prefix 2001:db8:8000::/48

verdict() { # NAME
	metric "lb_packets_total{verdict=\"$1\"}"
}

answered() { # WHAT TO COUNT [ARG...]: connections that are all answered
	spread --to "$2" --count "$3" "${@:4}"
	is "$1" "$(field ok "$REPORT")" "$3"
}

# wild NAME VIP ADDRESS...: a service of both backends, whose addresses have no port
wild() {
	local name=$1 vip=$2

	shift 2
	ok "service add $name $vip" lbctl service add "$name" "$vip" --forward ipip --check none || exit 1
	for i in "$@"; do
		lbctl backend add "$name" "$i" || bail "backend add $name $i"
	done
	wait_serving "$name" $#
}

echo "# every port of an address"
wild star4 '192.0.2.10:*' 10.0.0.11 10.0.0.12
for port in 8001 8002 8003; do
	answered "192.0.2.10:$port" 192.0.2.10:$port 300
done
between "both backends answer" "$(field b1 "$REPORT")" 100 200
wild star6 '[2001:db8::10]:*' fd00::11 fd00::12
answered "[2001:db8::10]:8002" '[2001:db8::10]:8002' 300

echo "# a port of its own before every port"
FAMILY=4 service_up one 192.0.2.10:8003 1 --forward ipip
answered "192.0.2.10:8003" 192.0.2.10:8003 300
is "b1 alone has it" "$(field b1 "$REPORT")" 300
answered "192.0.2.10:8001" 192.0.2.10:8001 300
between "both have the rest" "$(field b1 "$REPORT")" 100 200

echo "# prefixes"
wild all4 198.18.0.0/16:8001 10.0.0.11
wild part4 '198.18.7.0/24:*' 10.0.0.12
wild all6 '[2001:db8:8000::/48]:8001' fd00::11
answered "198.18.1.2:8001" 198.18.1.2:8001 100
is "it is all4's" "$(field b1 "$REPORT")" 100
answered "198.18.7.2:8001" 198.18.7.2:8001 100
is "it is part4's, of the longer prefix" "$(field b2 "$REPORT")" 100
answered "198.18.7.2:8003" 198.18.7.2:8003 100
answered "[2001:db8:8000::77]:8001" '[2001:db8:8000::77]:8001' 100

echo "# what there is survives lbd"
lbd_end KILL
answered "without lbd: 198.18.7.2:8001" 198.18.7.2:8001 100
lbd_start
answered "adopted: 198.18.7.2:8001" 198.18.7.2:8001 100
is "adopted: still part4's" "$(field b2 "$REPORT")" 100
ok "service del part4" lbctl service del part4
answered "198.18.7.2:8001 again" 198.18.7.2:8001 100
is "it is all4's now" "$(field b1 "$REPORT")" 100

echo "# who may come in"
ok "service del star4" lbctl service del star4
ok "deny the client" lbctl service set one --deny 10.0.0.1,2001:db8:bad::/48
denied() { # WHAT: connections that are all refused, and counted
	local before after

	before=$(verdict drop_denied)
	spread --to 192.0.2.10:8003 --count 5 --timeout 200
	is "$1: none is answered" "$(field ok "$REPORT")" 0
	after=$(verdict drop_denied)
	ok "$1: drop_denied counts" test "$after" -ge $((before + 5))
}
denied "denied"
ok "denied, but for a part" lbctl service set one --allow 10.0.0.1 --deny 10.0.0.0/8
answered "the longer prefix decides" 192.0.2.10:8003 50
ok "allowed: others" lbctl service set one --allow 10.1.0.0/16 --deny none
denied "not allowed"
ok "nobody is denied" lbctl service set one --allow none --deny none
answered "everybody may" 192.0.2.10:8003 50

echo "# ten thousand prefixes"
lbctl export >"$RUN/few.yaml"
many() { # [MORE]: the configuration with 10000 of them for all4, and MORE
	awk -v more="${1-}" '
		$1 == "forward:" && !done { done = 1; printf "    deny:\n"
			for (i = 0; i < 10000; i++) printf "      - 172.%d.%d.0/24\n", 16 + i / 256, i % 256
			if (more) printf "      - %s\n", more }
		{ print }' "$RUN/few.yaml" >"$RUN/many.yaml"
}
many
ok "apply" lbctl apply -f "$RUN/many.yaml"
is "they are there" "$(service_json all4 '.deny | length')" 10000
answered "who is in none of them may" 198.18.1.2:8001 50
many 10.0.0.0/24
ok "apply one more" lbctl apply -f "$RUN/many.yaml"
is "the client is in it" "$(spread --to 198.18.1.2:8001 --count 5 --timeout 200; field ok "$REPORT")" 0
lbd_end KILL
lbd_start
is "adopted" "$(spread --to 198.18.1.2:8001 --count 5 --timeout 200; field ok "$REPORT")" 0
is "adopted: they are there" "$(service_json all4 '.deny | length')" 10001
ok "none of them" lbctl service set all4 --deny none
answered "everybody may again" 198.18.1.2:8001 50

echo "# how fast a source may open connections"
ok "20 a second" lbctl service set one --source-rate-limit 20
before=$(verdict drop_rate)
spread --to 192.0.2.10:8003 --count 200 --parallel 200 --timeout 200
between "of 200 at once a second's worth, and what a fraction of a second adds" "$(field ok "$REPORT")" 20 40
between "the others are counted" $(($(verdict drop_rate) - before)) 160 1000
ok "no limit" lbctl service set one --source-rate-limit 0
answered "as they like" 192.0.2.10:8003 200

done_testing
