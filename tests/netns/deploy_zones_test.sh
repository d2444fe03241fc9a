#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/examples/two-zones.yaml: a load balancer in each of two zones behind a router that spreads over both (ECMP). One
# balancer dies, and no connection breaks; a zone dies, and its backends leave.
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
	wire "lb-$z" lb0 "$n.0.2/24" front "lb-$z" "$n.0.1/24" 1500
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

	mkdir -p "$dir"
	[[ $1 = web-* ]] || port=8080 vip=$API
	[[ $1 = api-* ]] || api="location /api { proxy_pass http://$API:8080/; proxy_connect_timeout 5s; }"
	ip -n "$1" address add $vip/32 dev lo
	host "$1" "$BUILD/lbnode" attach eth0 2>>"$RUN/lbnode.log" || bail "lbnode attaches on $1"
	cat >"$dir/nginx.conf" <<-END
		daemon off; master_process off; pid $dir/pid;
		events { worker_connections 4096; }
		http {
			access_log off; default_type text/plain; keepalive_requests 1000000;
			client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
			uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
			server { listen $port backlog=4096; location / { return 200 "$1\n"; } $api }
		}
	END
	nsenter --net="/run/netns/$1" -- nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/log" &
	APP_PID[$1]=$!
}
for ns in "${HOSTS[@]}"; do server "$ns"; done

balancer_start() { # ZONE
	LB=lb-$1
	example two-zones -e 's/^learning_window: .*/learning_window: 2s/'
	lbd_start --detach-on-exit
	wait_serving web 4
	wait_serving api 2
	ok "lb-$1: its tables are settled" wait_for 20 settled
}
settled() { [ "$(service_json web '.status.slots.moving + .status.slots.settling')" = 0 ]; }
front_uses() { # ZONE...: what a routing protocol would do
	local z hops=()

	for z in "$@"; do hops+=(nexthop dev "lb-$z" via "10.$([ "$z" = a ] && echo 1 || echo 2).0.2"); done
	ip -n front route replace $VIP "${hops[@]}"
	ip -n front route replace $API "${hops[@]}"
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

balancer_start a
balancer_start b
front_uses a b
is "both have the same table" "$(digest a)" "$(digest b)"
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

talk_start held host client "$TRAFFIC" hold --to $VIP:80 --http / --count 600 --first-port 20000
talk_read held
is "600 connections are open" "$(field alive "$ANSWER")" 600
REPORT=$ANSWER
nr_b=$(by 'web-b[12]')
talk_start load host client "$TRAFFIC" load --to $VIP:80 --http /api --rate 200 --timeout 800

echo "# a balancer dies"
LB=lb-a
talk load mark
lbd_end TERM # with --detach-on-exit: its host balances no longer, and nothing of it is left
ip -n lb-a link set lb0 down
front_uses b
is "all 600 connections are alive and where they were" "$(held | xargs)" "600 0"
talk load mark
ok "400 further answers" wait_for 15 answered_since 400
talk load report
is "none failed" "$(field since_mark_failed "$ANSWER")" 0

echo "# it comes back"
ip -n lb-a link set lb0 up
balancer_start a
is "both have the same table" "$(digest a)" "$(digest b)"
before=$(conns a)
talk load mark
front_uses a b
is "all 600 connections are alive and where they were" "$(held | xargs)" "600 0"
spread --to $VIP:80 --http / --count 1000
is "1000 connections are answered" "$(field ok "$REPORT")" 1000
ok "lb-a had some of them" test "$(conns a)" -gt $((before + 300))
talk load report
is "none failed" "$(field since_mark_failed "$ANSWER")" 0

echo "# a zone dies"
talk load mark
LB=lb-a
lbd_end TERM
for port in $(ip -n switch -o link show master br-a | sed 's/^[0-9]*: \([^@]*\)@.*/\1/'); do
	ip -n switch link set "$port" down
done
ip -n lb-a link set lb0 down
front_uses b
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
for port in $(ip -n switch -o link show master br-a | sed 's/^[0-9]*: \([^@]*\)@.*/\1/'); do
	ip -n switch link set "$port" up
done
ip -n lb-a link set lb0 up
ip -n lb-a route replace default via 10.1.1.1
wait_serving web 4
wait_serving api 2
is "its backends are back, the connections have stayed" "$(held | xargs)" "$nr_b 0"
balancer_start a
LB=lb-b # alone knows which connections are not where the table says, until its window is over
ok "lb-b: its learning window is over" wait_for 15 window_over web
is "both have the same table" "$(digest a)" "$(digest b)"
talk load mark
front_uses a b
is "the connections stay with both balancers" "$(held | xargs)" "$nr_b 0"
spread --to $VIP:80 --http / --count 1000
is "1000 connections are answered" "$(field ok "$REPORT")" 1000
for ns in web-a1 web-a2 web-b1 web-b2; do between "a quarter by $ns" "$(by $ns)" 180 320; done
talk load report
is "none failed" "$(field since_mark_failed "$ANSWER")" 0
done_testing
