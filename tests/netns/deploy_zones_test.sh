#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/examples/two-zones.yaml: a load balancer in each of two zones behind a router that spreads over both (ECMP), as
# BIRD tells it by BGP, and BFD when one is gone. One balancer dies, and no connection breaks; a zone dies, and its
# backends leave.
#
#   client 203.0.113.10 -- front -- lb-a, and lb-b, each with lb0 towards the front, and pool0 in its zone's network
#                                -- zone a, 10.1.1.0/24: web-a1 .11, web-a2 .12, api-a1 .21
#                                -- zone b, 10.2.1.0/24: web-b1 .11, web-b2 .12, api-b1 .21
. "$(dirname "$0")/deploy/lib.sh"

VIP=192.0.2.10 API=10.9.0.10
lab_namespace switch
lab_namespace front
lab_namespace client
host front sysctl -qw net.ipv4.ip_forward=1 net.ipv4.fib_multipath_hash_policy=1

# wire A IFACE-A ADDR-A B IFACE-B ADDR-B MTU: a cable between two hosts; an address of "-" makes it a bridge's port
wire() {
	ip -n "$1" link add "$2" mtu "$7" type veth peer name "$5" netns "$4"
	ip -n "$4" link set "$5" mtu "$7"
	host "$1" ethtool -K "$2" tx off gro on >/dev/null # gro on: what XDP redirects to the other end arrives
	host "$4" ethtool -K "$5" tx off gro on >/dev/null
	[ "$3" = - ] || ip -n "$1" address add "$3" dev "$2"
	[ "$6" = - ] && ip -n "$4" link set "$5" master "br-${5%%-*}" || ip -n "$4" address add "$6" dev "$5"
	ip -n "$1" link set "$2" up
	ip -n "$4" link set "$5" up
}
wire client eth0 203.0.113.10/24 front client0 203.0.113.1/24 1500
ip -n client route add default via 203.0.113.1
HOSTS=()
zone() { # LETTER NUMBER
	local z=$1 n=10.$2 name

	ip -n switch link add "br-$z" type bridge stp_state 0 mcast_snooping 0
	ip -n switch link set "br-$z" mtu 1600 up
	wire front "net-$z" "$n.1.1/24" switch "$z-front" - 1600
	lab_namespace "lb-$z"
	ip -n switch link add "br-pub$z" type bridge stp_state 0 mcast_snooping 0
	ip -n switch link set "br-pub$z" up
	wire front "pub-$z" "$n.0.1/24" switch "pub$z-front" - 1500
	wire "lb-$z" lb0 "$n.0.2/24" switch "pub$z-lb" - 1500
	wire "lb-$z" pool0 "$n.1.2/24" switch "$z-lb" - 1600
	ip -n "lb-$z" route add default via "$n.1.1"
	for name in web-$z:1:11 web-$z:2:12 api-$z:1:21; do
		IFS=: read -r name i last <<<"$name"
		lab_namespace "$name$i"
		wire "$name$i" eth0 "$n.1.$last/24" switch "$z-$name$i" - 1600
		ip -n "$name$i" route add default via "$n.1.1" mtu 1500 advmss 1460
		HOSTS+=("$name$i")
	done
}
zone a 1
zone b 2
for ns in front lb-a lb-b "${HOSTS[@]}"; do host "$ns" sysctl -qw net.ipv4.conf.all.rp_filter=0; done

server() { # NAME: nginx, which says who it is; a web server's /api is what the api service says
	local dir=$RUN/$1 port=80 vip=$VIP api=

	[[ $1 = web-* ]] || port=8080 vip=$API
	[[ $1 = api-* ]] || api="location /api { proxy_pass http://$API:8080/; proxy_connect_timeout 5s; }"
	ip -n "$1" address add $vip/32 dev lo
	host "$1" "$BUILD/lbnode" attach eth0 2>>"$RUN/lbnode.log" || bail "lbnode attaches on $1"
	nginx_conf "$dir" <<-END
		server { listen $port backlog=4096; location / { return 200 "$1\n"; } $api }
	END
	nginx_run "$1" "$dir"
	APP_PID[$1]=$!
}
for ns in "${HOSTS[@]}"; do server "$ns"; done

# ---- BIRD: docs/examples/bird.conf with BFD on the balancers, all paths of equal length (ECMP) on the front ----
BFD='protocol bfd { interface "*" { interval 200 ms; multiplier 5; }; }'
SOON='bfd on; connect delay time 1; error wait time 1, 2;' # and back without much waiting
bird_start() { # HOST
	host "$1" bird -c "$RUN/$1/bird.conf" -s "$RUN/$1/bird.ctl" -P "$RUN/$1/bird.pid" || bail "bird on $1 starts"
}
mkdir -p "$RUN"/{front,lb-a,lb-b}
for z in a:1 b:2; do
	n=10.${z#*:}.0
	sed -e "s/10\.0\.0\.2\b/$n.2/; s/10\.0\.0\.1\b/$n.1/; s/hold time 9;/hold time 9; $SOON/" \
		-e '/^protocol bgp router6/,/^}/d' "$ROOT/docs/examples/bird.conf" >"$RUN/lb-${z%:*}/bird.conf"
	echo "$BFD" >>"$RUN/lb-${z%:*}/bird.conf"
	echo "protocol bgp lb_${z%:*} { local $n.1 as 65000; neighbor $n.2 as 65001; $SOON
		ipv4 { import all; export none; }; }"
done >"$RUN/front/peers"
cat - "$RUN/front/peers" >"$RUN/front/bird.conf" <<-END
	router id 203.0.113.1;
	protocol device { }
	protocol direct { ipv4; }
	protocol kernel { merge paths on; ipv4 { import none; export where source = RTS_BGP; }; }
	$BFD
END
for ns in front lb-a lb-b; do bird_start $ns; done
front_uses() { # "ADDR...": the load balancers that the front spreads over
	[ "$(ip -n front route show $VIP proto bird | grep -o 'via [^ ]*' | sort | cut -d ' ' -f 2 | xargs)" = "$1" ]
}
A=10.1.0.2 B=10.2.0.2

balancer_spawn() { # ZONE DELAY
	LB=lb-$1
	example two-zones -e 's/^learning_window: .*/learning_window: 2s/' -e "s/delay: 30s/delay: $2/"
	lbd_start --detach-on-exit
}
balancer_ready() { # ZONE [SECONDS]: within so many
	LB=lb-$1
	wait_serving web 4
	wait_serving api 2
	ok "lb-$1: its tables are settled" wait_for "${2:-10}" settled
}
settled() { [ "$(service_json web '.status.slots.moving + .status.slots.settling')" = 0 ]; }
ports() { # up|down PORT...: ports of the switch
	local port

	for port in "${@:2}"; do ip -n switch link set "$port" "$1"; done
}
pool_a() { # the ports of zone a's network
	ip -n switch -o link show master br-a | sed 's/^[0-9]*: \([^@]*\)@.*/\1/'
}
conns() { # ZONE: connections that its balancer has seen
	LB=lb-$1 metric "lb_service_connections_total{service=\"web\",vip=\"$VIP:80/tcp\"}"
}
digest() { # ZONE
	LB=lb-$1 service_json web .status.table_digest
}
by() { # REGEX: how many of the answers in $REPORT are of servers whose names match
	tr ' ' '\n' <<<"$REPORT" | awk -F= -v re="^$1\$" '$1 ~ re { n += $2 } END { print n + 0 }'
}
answered_since() {
	talk load report
	[ "$(field since_mark_ok "$ANSWER")" -ge "$1" ]
}
held() { # alive and moved ones of all kept connections
	talk held ping
	field alive "$ANSWER"
	field moved "$ANSWER"
}

balancer_spawn a 0s # nobody has an open connection yet
balancer_spawn b 0s
ok "the front spreads over both" wait_for 20 front_uses "$A $B"
LB=lb-a wait_serving web 4
LB=lb-b wait_serving web 4
spread --to $VIP:80 --http / --count 2000
is "2000 connections are answered" "$(field ok "$REPORT")" 2000
for ns in web-a1 web-a2 web-b1 web-b2; do between "a quarter by $ns" "$(by $ns)" 380 620; done
between "lb-a had its share of them" "$(conns a)" 700 1300
is "and lb-b the rest" "$(($(conns a) + $(conns b)))" 2000
spread --to $VIP:80 --http /api --count 400
is "the public pool gets answers of the backend pool" "$(by 'api-[ab]1')" 400
between "from both zones" "$(by api-a1)" 120 280
spread --to $API:8080 --http / --count 5 --timeout 300
is "a client does not" "$(field ok "$REPORT")" 0
balancer_ready a 20
balancer_ready b 20
is "both have the same table" "$(digest a)" "$(digest b)"

talk_start held host client "$TRAFFIC" hold --to $VIP:80 --http / --count 600 --first-port 20000
talk_read held
is "600 connections are open" "$(field alive "$ANSWER")" 600
REPORT=$ANSWER
nr_b=$(by 'web-b[12]')
talk_start load host client "$TRAFFIC" load --to $VIP:80 --http /api --rate 200 --timeout "$(busy 800)"

echo "# a balancer dies"
LB=lb-a
talk load mark
ports down puba-lb a-lb
ok "the front uses the other one" wait_for 5 front_uses $B
lbd_end TERM # with --detach-on-exit: nothing of it is left
is "all 600 connections are alive and where they were" "$(held | xargs)" "600 0"
talk load mark
ok "400 further answers" wait_for 15 answered_since 400
talk load report
is "none failed" "$(field since_mark_failed "$ANSWER")" 0

echo "# it comes back"
ports up puba-lb a-lb
talk load mark
balancer_spawn a 8s
ok "the front uses both" wait_for 30 front_uses "$A $B"
balancer_ready a
is "both have the same table" "$(digest a)" "$(digest b)"
before=$(conns a)
is "all 600 connections are alive and where they were" "$(held | xargs)" "600 0"
spread --to $VIP:80 --http / --count 1000
is "1000 connections are answered" "$(field ok "$REPORT")" 1000
ok "lb-a had some of them" test "$(conns a)" -gt $((before + 300))
talk load report
is "none failed" "$(field since_mark_failed "$ANSWER")" 0

echo "# a zone dies"
ZONE_A=$(pool_a)
ports down puba-lb $ZONE_A
ok "the front uses the other one" wait_for 5 front_uses $B
LB=lb-a lbd_end TERM
LB=lb-b
wait_serving web 2
wait_serving api 1
talk load mark
spread --to $VIP:80 --http / --count 1000
is "the other zone answers all" "$(by 'web-b[12]')" 1000
ok "400 further answers, with what the backend pool says" wait_for 15 answered_since 400
talk load report
is "none failed" "$(field since_mark_failed "$ANSWER")" 0
is "the connections to its backends have stayed" "$(held | xargs)" "$nr_b 0"

echo "# the zone comes back"
ports up puba-lb $ZONE_A
wait_serving web 4
wait_serving api 2
is "its backends are back, the connections have stayed" "$(held | xargs)" "$nr_b 0"
talk load mark
balancer_spawn a 8s
ok "the front uses both" wait_for 30 front_uses "$A $B"
balancer_ready a
is "both have the same table" "$(digest a)" "$(digest b)"
is "the connections stay with both balancers" "$(held | xargs)" "$nr_b 0"
spread --to $VIP:80 --http / --count 1000
is "1000 connections are answered" "$(field ok "$REPORT")" 1000
for ns in web-a1 web-a2 web-b1 web-b2; do between "a quarter by $ns" "$(by $ns)" 180 320; done
talk load report
is "none failed" "$(field since_mark_failed "$ANSWER")" 0
done_testing
