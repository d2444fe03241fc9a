#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The laboratories of `make bench`: usage lab.sh peers|control BENCH, as root. Builds a network of namespaces (see
# netlab.sh), starts what is to be measured and calls `BENCH --in-lab PART ...` in it, whose stdout is this script's.
# Leaves nothing behind, however it ends (see isolated.sh).
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
if [ -z "${SLUICE_ISOLATED-}" ]; then
	SLUICE_ISOLATED=1 exec "$ROOT/tools/isolated.sh" "$0" "$@"
fi
# shellcheck source=../netlab.sh
. "$ROOT/tools/netlab.sh"
RUN=/run/bench
PART=$1 BENCH_PROGRAM=$2
NGINX_STREAM=/usr/lib/nginx/modules/ngx_stream_module.so
mkdir -p $RUN

give_up() {
	echo "bench: $1" >&2
	[ ! -s $RUN/lbd.log ] || tail -n 5 $RUN/lbd.log >&2
	exit 1
}

have() {
	command -v "$1" >/dev/null
}

answers() { # URL [SOURCE]
	host client curl -sf --max-time 1 ${2:+--interface "$2"} "$1"
}

# A host for another load balancer. Unlike XDP's, its packets may leave their checksums and segments to the device.
peer_host() { # NAME NUMBER
	lab_host "$1" eth0 "$2" 1500
	host "$1" ethtool -K eth0 tx on >/dev/null 2>&1
	host "$1" sysctl -qw net.ipv4.tcp_tw_reuse=1
}

serving() { # SERVICE N
	[ "$(host lb "$ROOT/build/lbctl" --json service show "$1" |
		jq '[.backends[] | select(.status.serving and .status.next_hop)] | length')" = "$2" ]
}

sluice_start() { # b1..b3 for l2, b4..b6 with lbnode for ipip
	local i

	lab_vip 192.0.2.11 3
	ip -n client route replace 192.0.2.10/32 via 10.0.0.2
	for i in 4 5 6; do
		ip -n b$i address add 192.0.2.10/32 dev lo
		host b$i "$ROOT/build/lbnode" attach eth0 >/dev/null 2>&1 || give_up "lbnode does not attach"
	done
	cat >$RUN/lbd.yaml <<-END
		interfaces: [{name: lb0}]
		services:
		  - {name: ipip, vip: "192.0.2.10:80", check: {type: tcp},
		     backends: [{address: 10.0.0.14}, {address: 10.0.0.15}, {address: 10.0.0.16}]}
		  - {name: l2, vip: "192.0.2.11:80", forward: l2, check: {type: tcp},
		     backends: [{address: 10.0.0.11}, {address: 10.0.0.12}, {address: 10.0.0.13}]}
	END
	nsenter --net=/run/netns/lb -- "$ROOT/build/lbd" --config $RUN/lbd.yaml 2>$RUN/lbd.log &
	wait_for 30 serving ipip 3 && wait_for 30 serving l2 3 || give_up "lbd does not get to serving backends"
}

# What nft forwards has to come back through it: the servers reach the client's second address by it.
nft_start() {
	local i

	have nft || return
	peer_host nft 5
	host nft sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
	host nft nft -f - <<-END || return
		table ip lb {
			chain pre {
				type nat hook prerouting priority dstnat;
				ip daddr 192.0.2.20 tcp dport 80 dnat to jhash ip saddr . tcp sport mod 3 map {
					0 : 10.0.0.11, 1 : 10.0.0.12, 2 : 10.0.0.13 }
			}
		}
	END
	ip -n client address add 10.0.0.4/24 dev eth0
	ip -n client route replace 192.0.2.20/32 via 10.0.0.5
	for i in 1 2 3; do ip -n b$i route add 10.0.0.4/32 via 10.0.0.5; done
	wait_for 30 answers http://192.0.2.20/ 10.0.0.4 && NFT=192.0.2.20@10.0.0.4
}

haproxy_start() {
	have haproxy || return
	peer_host haproxy 6
	cat >$RUN/haproxy.cfg <<-END
		global
		    maxconn 8000
		defaults
		    mode tcp
		    timeout connect 5s
		    timeout client 1m
		    timeout server 1m
		listen web
		    bind 10.0.0.6:80
		    balance roundrobin
		    server b1 10.0.0.11:80 check
		    server b2 10.0.0.12:80 check
		    server b3 10.0.0.13:80 check
	END
	nsenter --net=/run/netns/haproxy -- haproxy -db -f $RUN/haproxy.cfg >$RUN/haproxy.log 2>&1 &
	wait_for 30 answers http://10.0.0.6/ && HAPROXY=10.0.0.6
}

nginx_start() {
	have nginx && [ -e $NGINX_STREAM ] || return
	peer_host nginx 7
	mkdir -p $RUN/stream
	cat >$RUN/stream/nginx.conf <<-END
		load_module $NGINX_STREAM;
		daemon off; pid $RUN/stream/pid; worker_processes auto;
		events { worker_connections 8192; }
		stream {
			upstream web { server 10.0.0.11:80; server 10.0.0.12:80; server 10.0.0.13:80; }
			server { listen 80 reuseport backlog=4096; proxy_pass web; }
		}
	END
	nsenter --net=/run/netns/nginx -- nginx -p $RUN/stream -c $RUN/stream/nginx.conf -e $RUN/stream/error.log &
	wait_for 30 answers http://10.0.0.7/ && NGINX=10.0.0.7
}

# IPVS by its Maglev, to the same servers: by MAC rewriting, and through tunnels, whose header lbnode takes off.
ipvs_start() {
	local vip i

	have ipvsadm || return
	peer_host ipvs 8
	host ipvs ipvsadm -R 2>$RUN/ipvs.log <<-END || return
		-A -t 192.0.2.21:80 -s mh -b mh-port
		-a -t 192.0.2.21:80 -r 10.0.0.11:80 -g
		-a -t 192.0.2.21:80 -r 10.0.0.12:80 -g
		-a -t 192.0.2.21:80 -r 10.0.0.13:80 -g
		-A -t 192.0.2.22:80 -s mh -b mh-port
		-a -t 192.0.2.22:80 -r 10.0.0.14:80 -i
		-a -t 192.0.2.22:80 -r 10.0.0.15:80 -i
		-a -t 192.0.2.22:80 -r 10.0.0.16:80 -i
	END
	for vip in 192.0.2.21 192.0.2.22; do
		ip -n ipvs address add $vip/32 dev lo
		ip -n client route replace $vip/32 via 10.0.0.8
	done
	for i in 1 2 3; do
		ip -n b$i address add 192.0.2.21/32 dev lo
		ip -n b$((i + 3)) address add 192.0.2.22/32 dev lo
	done
	wait_for 30 answers http://192.0.2.21/ && IPVS_DR=192.0.2.21
	wait_for 30 answers http://192.0.2.22/ && IPVS_TUN=192.0.2.22
}

for program in build/lbd build/lbctl build/lbnode build/tools/xdp_pass; do
	[ -x "$ROOT/$program" ] || give_up "$program is not there: run make first"
done
ulimit -n "$(ulimit -Hn)"
NFT='' IPVS_DR='' IPVS_TUN='' HAPROXY='' NGINX=''
case $PART in
peers)
	have nginx || give_up "nginx, which is the web server, is not installed"
	lab_up 6
	host client sysctl -qw net.ipv4.tcp_tw_reuse=1
	for i in 1 2 3 4 5 6; do
		lab_web $i b$(((i - 1) % 3 + 1))
		wait_for 30 answers "http://10.0.0.$((10 + i))/" || give_up "the web server on b$i does not start"
	done
	sluice_start
	nft_start
	ipvs_start
	haproxy_start
	nginx_start
	host client "$BENCH_PROGRAM" --in-lab peers direct=10.0.0.11,10.0.0.12,10.0.0.13 sluice-l2=192.0.2.11 \
		sluice-ipip=192.0.2.10 "ipvs-dr=$IPVS_DR" "ipvs-tun=$IPVS_TUN" "nft=$NFT" \
		"haproxy=$HAPROXY" "nginx-stream=$NGINX"
	;;
control)
	lab_up 2
	ip -n lb route add 10.1.0.0/16 via 10.0.0.11
	ip -n b1 route add local 10.1.0.0/16 dev lo
	lab_vip 192.0.2.30 2
	host lb "$BENCH_PROGRAM" --in-lab control "$ROOT/build/lbd" $RUN
	;;
*)
	give_up "no laboratory is called '$PART'"
	;;
esac
