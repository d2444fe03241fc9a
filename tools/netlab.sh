# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2317
# A small network of namespaces for the demo and the namespace tests; sourced by scripts that run under isolated.sh,
# with $ROOT set to the top of the tree.
#
#   client   10.0.0.1    fd00::1        one switch (a bridge) connects all; each host's interface is eth0, but lb0 on
#   lb       10.0.0.2    fd00::2        a load balancer; the last byte of each MAC address is that of the address
#   b1..bN   10.0.0.11.. fd00::11..

# host NAME COMMAND [ARG...]: run a command on a host. Only the network is another: `ip netns exec` would also mount
# another /sys and hide what is pinned in it.
host() {
	nsenter --net="/run/netns/$1" -- "${@:2}"
}

# Loop-back up, no waiting for duplicate addresses, no autoconfiguration, and the settings that a host with a VIP on its
# loop-back needs: it must not answer ARP for the VIP, nor ask with the VIP for its own address.
lab_namespace() {
	ip netns add "$1"
	host "$1" sysctl -qw net.ipv6.conf.{all,default}.accept_dad=0 net.ipv6.conf.{all,default}.accept_ra=0 \
		net.ipv6.conf.{all,default}.router_solicitations=0 net.ipv4.conf.all.arp_ignore=1 \
		net.ipv4.conf.all.arp_announce=2 net.ipv4.conf.{all,default}.accept_redirects=0 \
		net.ipv4.ip_local_port_range="1024 65000"
	ip -n "$1" link set lo up
}

# lab_host NAME IFACE NUMBER MTU: a host 10.0.0.NUMBER on the switch. Senders must finish their checksums, for there is
# no device to do it.
lab_host() {
	lab_namespace "$1"
	lab_wire "$@"
}

# lab_wire NAME IFACE NUMBER MTU: the interface of a host that is there.
lab_wire() {
	local name=$1 iface=$2 number=$3 mtu=$4

	ip -n switch link add "$name" type veth peer name "$iface" netns "$name"
	host switch ethtool -K "$name" tx off >/dev/null
	host "$name" ethtool -K "$iface" tx off >/dev/null
	ip -n switch link set "$name" mtu "$mtu" master br0 up
	ip -n "$name" -batch - <<-END
		link set $iface address 02:00:00:00:00:$(printf %02x "$number") mtu $mtu up
		address add 10.0.0.$number/24 dev $iface
		address add fd00::$number/64 dev $iface nodad
	END
	[ "$mtu" -le 1500 ] || ip -n "$name" -batch - <<-END
		route add 10.0.0.1 dev $iface mtu 1500
		route add fd00::1 dev $iface mtu 1500
	END
}

# lab_balancer NAME NUMBER: a host with the interface lb0. What XDP sends back into a veth interface arrives only where
# the far end has an XDP program, too: see xdp_pass.c.
lab_balancer() {
	lab_host "$1" lb0 "$2" 1600
	host switch "$ROOT/build/tools/xdp_pass" "$1"
}

# lab_up N: the switch, the client, the load balancer and N backends. The hosts that carry tunnelled packets have a
# larger MTU than the client, so that its full-sized packets fit with their outer header.
lab_up() {
	local i

	lab_namespace switch
	ip -n switch link add br0 type bridge stp_state 0 mcast_snooping 0
	ip -n switch link set br0 mtu 1600 up
	lab_host client eth0 1 1500
	lab_balancer lb 2
	for ((i = 1; i <= $1; i++)); do
		lab_host "b$i" eth0 $((10 + i)) 1600
	done
}

# lab_vip VIP N [LB]: the client reaches VIP through the load balancer; backends b1..bN have it on their loop-back.
lab_vip() {
	local i via=10.0.0.${3:-2} length=32

	if [[ $1 == *:* ]]; then
		via=fd00::${3:-2} length=128
	fi
	ip -n client route replace "$1/$length" via "$via"
	for ((i = 1; i <= $2; i++)); do
		ip -n "b$i" address add "$1/$length" dev lo nodad 2>/dev/null || ip -n "b$i" address add "$1/$length" dev lo
	done
}

# Writes DIR/nginx.conf: one process that keeps to DIR; stdin is what its http block has in it besides.
nginx_conf() { # DIR
	mkdir -p "$1"
	{
		cat <<-END
			daemon off; master_process off; pid $1/pid;
			events { worker_connections 8192; }
			http {
				access_log off; default_type text/plain; keepalive_requests 100000000;
				client_body_temp_path $1/body; proxy_temp_path $1/proxy; fastcgi_temp_path $1/fastcgi;
				uwsgi_temp_path $1/uwsgi; scgi_temp_path $1/scgi;
		END
		cat
		echo '}'
	} >"$1/nginx.conf"
}

# nginx_run HOST DIR: nginx with DIR/nginx.conf, in the background ($!), its log in DIR/log.
nginx_run() {
	nsenter --net="/run/netns/$1" -- nginx -p "$2" -c "$2/nginx.conf" -e "$2/log" &
}

# lab_web I ANSWER [STATUS BODY]: nginx on host bI, which answers with ANSWER, and with STATUS and BODY to /health; its
# process in ${WEB_PID[I]}, its files under $RUN.
declare -A WEB_PID
lab_web() {
	nginx_conf "$RUN/web$1" <<-END
		server {
			listen 80 backlog=4096;
			listen [::]:80 backlog=4096;
			location / { return 200 "$2\n"; }
			location /health { return ${3:-200} "${4:-fine}\n"; }
		}
	END
	nginx_run "b$1" "$RUN/web$1"
	WEB_PID[$1]=$!
}

# busy N: what N, a time that something may take, is on this machine now: as many times more as there are processes for
# each CPU, up to four times.
busy() {
	local load

	read -r load _ </proc/loadavg
	load=$((10#${load/./} / $(nproc))) # in hundredths
	echo $(($1 * (load < 100 ? 100 : load < 400 ? load : 400) / 100))
}

# wait_for SECONDS COMMAND...: run it again and again until it succeeds; fails when the time is up, longer on a busy
# machine.
wait_for() {
	local start=${EPOCHREALTIME/[.,]/} us=$(($1 * 1000000)) passed

	until "${@:2}" >/dev/null 2>&1; do
		passed=$((${EPOCHREALTIME/[.,]/} - start))
		[ $passed -lt $us ] || [ $passed -lt "$(busy $us)" ] || return 1
		sleep 0.02
	done
}

# field KEY LINE: the value of KEY in a line of key=value; 0 when it is not there.
field() {
	local pair

	for pair in $2; do
		[[ $pair != "$1="* ]] || { echo "${pair#*=}"; return; }
	done
	echo 0
}

# talk_start NAME COMMAND...: start a program that reads commands and answers each with a line; talk NAME COMMAND sends
# one and leaves the answer in $ANSWER. None is waited for once the program has ended, or one of $TALK_NEEDS, processes
# whose end leaves it without an answer, too.
declare -A TALK_IN TALK_OUT TALK_PID
TALK_NEEDS=()
talk_start() {
	local in out dir=${RUN:-/run}

	mkfifo "$dir/$1.in" "$dir/$1.out"
	exec {in}<>"$dir/$1.in" {out}<>"$dir/$1.out"
	TALK_IN[$1]=$in TALK_OUT[$1]=$out
	"${@:2}" <"$dir/$1.in" >"$dir/$1.out" {in}<&- {out}<&- &
	TALK_PID[$1]=$!
}
talk_read() { # NAME
	local pid part out=${TALK_OUT[$1]} deadline=$((SECONDS + 60)) why="gave no answer"

	ANSWER=
	until IFS= read -r -t 0.5 part <&"$out"; do
		ANSWER+=$part # what it had of a line when the time was up
		for pid in "${TALK_PID[$1]}" "${TALK_NEEDS[@]}"; do
			kill -0 "$pid" 2>/dev/null || deadline=0 why="gave no answer, process $pid has ended"
		done
		if [ $SECONDS -ge $deadline ]; then
			# it may have said it just before its end
			IFS= read -r -t 0.1 part <&"$out" && break
			ANSWER="$1 $why"
			return
		fi
	done
	ANSWER+=$part
}
talk() {
	echo "$2" >&"${TALK_IN[$1]}"
	talk_read "$1"
}
