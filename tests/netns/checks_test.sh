#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every type of health check against real servers: each is seen to find its backend up, down for the right reason, and up
# again. What a daemon that starts again makes of it, and what happens when it runs out of descriptors.
. "$(dirname "$0")/lib.sh"

lab_up 2
lbd_start
ok "attach" lbctl attach lb0
EVERY=(--check-interval 200ms --check-timeout 150ms --rise 2 --fall 2)

# service NAME BACKEND OPTION...: a service with a VIP of its own and one backend, of which checks are all that is seen.
nr_services=0
service() {
	local vip

	nr_services=$((nr_services + 1))
	vip=192.0.2.$nr_services:80/tcp
	[[ $2 != *:*:* ]] || vip=[2001:db8::$nr_services]:80/tcp
	ok "service $1" lbctl service add "$1" "$vip" --forward ipip "${EVERY[@]}" "${@:3}"
	lbctl backend add "$1" "$2" || bail "backend add $1 $2"
}
health() { service_json "$1" '.backends[0].status | "\(.health)/\(.reason)"'; }
has_health() { [[ "$(health "$1")" =~ ^($2)$ ]]; }
becomes() { # SERVICE HEALTH/REASON WHAT
	wait_for 15 has_health "$1" "$2" || { not_ok "$3: $1 is $2" "it is $(health "$1")"; return; }
	ok "$3: $1 is $2" true
}

# server I NAME COMMAND...: start it on host bI; server_end NAME
declare -A PID
server() {
	nsenter --net="/run/netns/b$1" -- "${@:3}" >>"$RUN/$2.log" 2>&1 &
	PID[$2]=$!
}
server_end() {
	kill -KILL "${PID[$1]}"
	wait "${PID[$1]}" 2>/dev/null
}

# ---- HTTP and HTTPS ----
# certificate NAME CN SAN [SIGNER]: NAME.pem and NAME.key; without a signer it is its own
certificate() {
	local sign=(-x509)

	[ -z "${4-}" ] || sign=(-x509 -CA "$RUN/$4.pem" -CAkey "$RUN/$4.key")
	openssl req "${sign[@]}" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$2" \
		-addext "subjectAltName=$3" -keyout "$RUN/$1.key" -out "$RUN/$1.pem" 2>>"$RUN/openssl.log" ||
		bail "certificate $1" "$(cat "$RUN/openssl.log")"
}
certificate ca Authority DNS:ca.example
certificate other-ca Stranger DNS:ca.example
certificate good www.example.org DNS:www.example.org,IP:10.0.0.11 ca
certificate wrong-name other.example DNS:other.example ca
certificate untrusted www.example.org DNS:www.example.org other-ca

web() { # CERTIFICATE [STATUS]: on b1, 8080 in the clear, 8443 with the certificate
	local dir=$RUN/nginx

	nginx_conf "$dir" <<-END
		server {
			listen 8080;
			listen [::]:8080;
			location /health { return ${2:-200} fine; }
			location /moved { return 301 http://10.0.0.99/; }
			location /big { root $dir; }
			location /picky {
				if (\$request_method != OPTIONS) { return 405; }
				if (\$http_x_probe != "a: b") { return 403; }
				if (\$http_host != "app.example:81") { return 421; }
				return 204;
			}
		}
		server {
			listen 8443 ssl;
			ssl_certificate $RUN/$1.pem; ssl_certificate_key $RUN/$1.key;
			location / { return 200 "name=\$ssl_server_name host=\$http_host"; }
		}
	END
	server 1 nginx nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/log"
}
web_again() { # CERTIFICATE [STATUS]
	server_end nginx
	web "$@"
}
web good
head -c 1000000 /dev/zero | tr '\0' x >"$RUN/nginx/big"
AT=10.0.0.11:80
HTTPS=(--check-port 8443 --check-ca-file "$RUN/ca.pem")
service http $AT --check http:/health --check-port 8080
service http6 '[fd00::11]:80' --check http:/health --check-port 8080
service picky $AT --check http:/picky --check-port 8080 --check-method OPTIONS --check-header 'X-Probe: a: b' \
	--check-host app.example:81 --expect-status 200,204-206
service moved $AT --check http:/moved --check-port 8080 --expect-status 200-299,301
service big $AT --check http:/big --check-port 8080 --expect-body xxx
service https $AT --check https:/ "${HTTPS[@]}" --check-host www.example.org:81 \
	--expect-body 'name=www.example.org host=www.example.org:81'
service https-name $AT --check https:/ "${HTTPS[@]}" --check-server-name www.example.org --expect-body name=www.example.org
service https-address $AT --check https:/ "${HTTPS[@]}"
service https-system $AT --check https:/ --check-port 8443 --check-server-name www.example.org
service https-any $AT --check https:/ --check-port 8443 --check-verify false
for name in http http6 picky moved big https https-name https-address https-any; do
	becomes $name up/ok "a server that is well"
done
becomes https-system down/tls "an authority that the system does not know"
ok "a method that is not the server's" lbctl service set picky --check-method GET
becomes picky down/status "another method"
ok "the method again" lbctl service set picky --check-method OPTIONS
becomes picky up/ok "the method again"
ok "no header" lbctl service set picky --check-header none
becomes picky down/status "without the header"
ok "a redirect is not followed" lbctl service set moved --expect-status 200-299
becomes moved down/status "a redirect"

echo "# certificates"
web_again wrong-name 503
becomes http down/status "status 503"
for name in https https-name https-address; do becomes $name down/tls "a certificate for another name"; done
becomes https-any up/ok "an unverified certificate"
ok "the certificate's own name" lbctl service set https-name --check-server-name other.example --expect-body name=other.example
becomes https-name up/ok "the certificate's own name"
web_again untrusted
becomes https down/tls "an authority that is not trusted"
becomes http up/ok "status 200 again"
cp "$RUN/ca.pem" "$RUN/ca.saved"
cp "$RUN/other-ca.pem" "$RUN/ca.pem"
becomes https up/ok "the file of authorities has changed"
cp "$RUN/ca.saved" "$RUN/ca.pem"
becomes https down/tls "and has changed back"
web_again good
# What is lbd's own trouble leaves the health as it is: it must not be down for checks that a busy machine was too slow for.
ok "a backend that is patient" lbctl service set https --fall 1000
becomes https up/ok "the right certificate again"
ok "a file that is not there" lbctl service set https --check-ca-file /nowhere/ca.pem
becomes https up/internal "lbd's own trouble is not the backend's"
ok "it is in the log" grep -q 'cannot read the certificates.*/nowhere/ca.pem' "$RUN/$LB/log"
ok "the file that is there" lbctl service set https --check-ca-file "$RUN/ca.pem"
becomes https up/ok "the file that is there"
ok "TLS where there is none" lbctl service set https --check-port 8080 --fall 2
becomes https down/tls "a server without TLS"
server_end nginx
for name in http http6 https-any; do becomes $name down/refused "a killed server"; done
web good
for name in http http6 https-any; do becomes $name up/ok "back again"; done
between "lb_check_total says why" \
	"$(metric 'lb_check_total{service="https",backend="10.0.0.11:80",result="failure",reason="tls"}')" 6 1000

echo "# answers that never get to their end"
# broken NAME PORT COMMAND: a server that answers with what COMMAND writes, and closes
broken() {
	echo "read -r line; $3" >"$RUN/$1.sh"
	server 1 "$1" socat "TCP4-LISTEN:$2,fork,reuseaddr" EXEC:"sh $RUN/$1.sh"
	service "$1" $AT --check http:/ --check-port "$2"
}
broken cut-headers 8091 "printf 'HTTP/1.1 200 OK\\r\\nContent-Le'"
broken cut-body 8092 "printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nfine'"
broken early-only 8093 "printf 'HTTP/1.1 103 Early Hints\\r\\n\\r\\n'"
broken long-header 8094 "printf 'HTTP/1.1 200 OK\\r\\nX-Fine: '; yes | tr -d '\\n'"
broken long-status 8095 "printf 'HTTP/1.1 200 '; yes | tr -d '\\n'"
for name in cut-headers cut-body early-only; do becomes $name down/reset "closed in the middle"; done
for name in long-header long-status; do becomes $name down/protocol "a line without an end"; done
for name in cut-headers cut-body early-only long-header long-status; do
	lbctl service del $name || bail "service del $name"
	server_end $name
done

# ---- gRPC ----
echo "# gRPC"
grpc_start() { # NAME PORT [CERT KEY]
	talk_start "$1" nsenter --net=/run/netns/b1 -- /usr/bin/python3 "$ROOT/tests/netns/grpc_server.py" "${@:2}"
	talk_read "$1"
	is "$1 starts" "$ANSWER" ready
}
grpc_start plain 50051
grpc_start secure 50052 "$RUN/good.pem" "$RUN/good.key"
service grpc $AT --check grpc --check-port 50051
service grpc-users $AT --check grpc:example.v1.Users --check-port 50051
service grpc-tls $AT --check grpc --check-port 50052 --check-tls true --check-ca-file "$RUN/ca.pem" \
	--check-server-name www.example.org
service grpc-not $AT --check grpc --check-port 8080
becomes grpc up/ok "SERVING"
becomes grpc-tls up/ok "SERVING over TLS"
becomes grpc-users down/status "a service that the server does not know"
becomes grpc-not 'down/(protocol|reset)' "a server that speaks HTTP/1.1"
talk plain "example.v1.Users 1"
becomes grpc-users up/ok "SERVING"
talk plain "example.v1.Users 2"
becomes grpc-users down/not_serving "NOT_SERVING"
becomes grpc up/ok "the server as a whole"
talk plain "example.v1.Users 1"
becomes grpc-users up/ok "SERVING again"
talk plain "- 0"
becomes grpc down/not_serving "UNKNOWN"
ok "another name" lbctl service set grpc-tls --check-server-name other.example
becomes grpc-tls down/tls "a certificate for another name"
ok "the right name" lbctl service set grpc-tls --check-server-name www.example.org
becomes grpc-tls up/ok "the right name"

# ---- ping ----
echo "# ping"
for range in "1 0" "0 0"; do
	host lb sysctl -qw net.ipv4.ping_group_range="$range"
	service "ping4-${range% *}" 10.0.0.12 --check ping
	service "ping6-${range% *}" fd00::12 --check ping
done
for name in ping4-0 ping6-0 ping4-1 ping6-1; do becomes $name up/ok "an address that is there"; done
ip -n b2 address del 10.0.0.12/24 dev eth0
ip -n b2 address del fd00::12/64 dev eth0
for name in ping4-0 ping6-0 ping4-1 ping6-1; do becomes $name 'down/(timeout|unreachable)' "an address that is gone"; done
ip -n b2 address add 10.0.0.12/24 dev eth0
ip -n b2 address add fd00::12/64 dev eth0 nodad
for name in ping4-0 ping6-0 ping4-1 ping6-1; do becomes $name up/ok "back again"; done

# ---- UDP ----
echo "# UDP"
host b1 sysctl -qw net.ipv4.icmp_ratelimit=0 # one ICMP error a second for all of these checks would be too few
server 1 echo socat -T 5 UDP4-RECVFROM:7000,fork EXEC:cat
server 1 sink socat -u UDP4-RECV:7001 OPEN:/dev/null
service udp-silent $AT --check udp --check-port 7001
service udp-echo $AT --check udp --check-port 7000 --check-send 'a\x01b\r\n' --check-expect '\x01b\r'
service udp-other $AT --check udp --check-port 7000 --check-send 'ab' --check-expect 'ba'
service udp-sink $AT --check udp --check-port 7001 --check-send 'ab' --check-expect 'ab'
service udp-closed $AT --check udp --check-port 7002
becomes udp-silent up/ok "silence where nothing is expected"
becomes udp-echo up/ok "the expected answer"
becomes udp-other down/body "another answer"
becomes udp-sink down/timeout "no answer"
becomes udp-closed down/refused "a closed port"
server_end sink
becomes udp-silent down/refused "the port is closed"
server 1 sink socat -u UDP4-RECV:7001 OPEN:/dev/null
becomes udp-silent up/ok "and open again"
server_end echo
becomes udp-echo down/refused "the server is killed"

# ---- DNS ----
echo "# DNS"
dns() {
	server 2 dns dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --port=5353 \
		--no-resolv --no-hosts --address=/example.org/10.1.1.1 --address=/example.org/fd00::1
}
dns
service dns 10.0.0.12:80 --check dns:www.example.org --check-port 5353
service dns6 '[fd00::12]:80' --check dns:Example.ORG. --check-record AAAA --check-port 5353
service dns-unknown 10.0.0.12:80 --check dns:example.com --check-port 5353
service dns-not $AT --check dns:example.org --check-port 7003
server 1 babble socat -T 5 UDP4-RECVFROM:7003,fork EXEC:cat
becomes dns up/ok "a name that it knows"
becomes dns6 up/ok "a name that it knows"
becomes dns-unknown down/status "a name that it refuses"
becomes dns-not down/timeout "a question is no answer"
server_end dns
becomes dns down/refused "a killed server"
dns
becomes dns up/ok "back again"

# ---- exec ----
echo "# exec"
mkdir -p "$RUN/exec"
cat >"$RUN/exec/check" <<-'END'
	#!/bin/sh
	# check DIRECTORY "two words"
	env | sort >"$1/env.new" && mv "$1/env.new" "$1/env"
	echo "$2" >"$1/arg"
	ls -l /proc/self/fd | grep -c -- "->" >"$1/fds.new" && mv "$1/fds.new" "$1/fds"
	case $(cat "$1/mode") in
	fail) exit 3 ;;
	say)
		printf '\n  the "primary" is \tgone \001\r\nand more\n' >&2
		exit 4
		;;
	signal)
		printf '%0300d' 7
		kill -9 $$
		;;
	much)
		yes | head -c 1000000
		echo done >"$1/much"
		;;
	stuck)
		echo "asking the server"
		sleep 31417
		;;
	hang) sleep 31415 & sleep 31415 ;;
	leave) sleep 31416 & exit 0 ;;
	esac
END
chmod +x "$RUN/exec/check"
echo fail >"$RUN/exec/mode"
service exec $AT --check "exec:$RUN/exec/check" --check-arg "$RUN/exec" --check-arg 'two words' --check-timeout 200ms
becomes exec down/exit "a program that fails"
echo ok >"$RUN/exec/mode"
becomes exec up/ok "a program that succeeds"
is "its environment" "$(grep -E '^(LBD_|PATH)' "$RUN/exec/env" | sort | tr '\n' ' ')" "LBD_BACKEND_ADDRESS=10.0.0.11 \
LBD_BACKEND_PORT=80 LBD_CHECK_TIMEOUT_MS=200 LBD_SERVICE=exec LBD_VIP=192.0.2.$nr_services:80/tcp \
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
is "its arguments" "$(cat "$RUN/exec/arg")" "two words"
is "its descriptors: three, and ls's own" "$(cat "$RUN/exec/fds")" 4
detail() { service_json exec '.backends[0].status.detail'; }
detail_is() { [ "$(detail)" = "$1" ]; }
host lb curl -sN --unix-socket "$RUN/lb/lbd.sock" http://lbd/v1/events >"$RUN/exec/events" &
events=$!
ok "with time enough" lbctl service set exec --check-interval 1s --check-timeout 1s
echo fail >"$RUN/exec/mode"
ok "a program that says nothing" wait_for 5 detail_is "status 3"
becomes exec down/exit "it fails"
echo much >"$RUN/exec/mode"
becomes exec up/ok "a program that writes a lot"
ok "is read to its end" test -s "$RUN/exec/much"
is "its first line is kept" "$(detail)" y
echo say >"$RUN/exec/mode"
becomes exec down/exit "a program that says why"
is "is shown" "$(detail)" 'status 4: the "primary" is  gone'
ok "by service show, too" grep -qF '10.0.0.11:80 exit: status 4: the "primary" is  gone' <<<"$(lbctl service show exec)"
ok "and in the log" grep -qF 'from=up to=down reason=exit detail="status 4: the \"primary\" is  gone"' "$RUN/lb/log"
told() { jq -r 'select(.type == "health") | .detail' "$RUN/exec/events" | grep -qxF "$1"; }
ok "and in the event" wait_for 5 told 'status 4: the "primary" is  gone'
echo signal >"$RUN/exec/mode"
ok "a signal, and a line that is too long" wait_for 5 detail_is "signal 9: $(printf '%0200d' 0)"
echo ok >"$RUN/exec/mode"
becomes exec up/ok "a program that succeeds"
ok "and says nothing" wait_for 5 detail_is ""
echo stuck >"$RUN/exec/mode"
becomes exec down/timeout "a program that is stuck"
is "what it said until then" "$(detail)" "asking the server"
kill $events
ok "with little time" lbctl service set exec --check-interval 200ms --check-timeout 200ms
echo ok >"$RUN/exec/mode"
becomes exec up/ok "a program that succeeds"
echo hang >"$RUN/exec/mode"
becomes exec down/timeout "a program that hangs"
hanging() { [ "$(pgrep -fc "sleep $1")" -gt 0 ]; }
none_left() { ! hanging "$1"; }
ok "it hangs, with its child" wait_for 5 hanging 31415
echo ok >"$RUN/exec/mode"
becomes exec up/ok "a program that succeeds again"
ok "none of what hung is left" wait_for 5 none_left 31415
echo leave >"$RUN/exec/mode"
ran() { [ "$(metric 'lb_check_total{service="exec",backend="10.0.0.11:80",result="success",reason="ok"}')" -gt "$1" ]; }
ok "programs that leave children" wait_for 10 ran "$(($(metric 'lb_check_total{service="exec",backend="10.0.0.11:80",result="success",reason="ok"}') + 3))"
echo hang >"$RUN/exec/mode"
ok "it hangs" wait_for 5 hanging 31415
ok "a check that ends while its program runs" lbctl service set exec --check none
ok "ends it" wait_for 5 none_left 31415
ok "and none was left behind" wait_for 5 none_left 31416
ok "a program that is not there" lbctl service set exec --check exec:/nowhere/check
reason_is() { [ "$(service_json "$1" '.backends[0].status.reason')" = "$2" ]; }
ok "is lbd's own trouble" wait_for 10 reason_is exec internal
ok "and is in the log" grep -q 'cannot run a check program.*/nowhere/check' "$RUN/$LB/log"
zombies() { ps -o stat= --ppid "${LBD_PID[$LB]}" | grep -c Z; }
is "no zombies" "$(zombies)" 0

# ---- lbd starts again ----
echo "# a restart"
lbctl export >"$RUN/export.yaml"
ok "what is exported changes nothing" lbctl diff -f "$RUN/export.yaml"
for name in $(lbctl --json service list | jq -r '.services[].name'); do lbctl service del "$name"; done
SLOW=(--check-interval 5s --check-timeout 4s --rise 2 --fall 2 --check-fast-interval 100ms --check-port 8080)
for fate in terminate keep; do
	service "up-$fate" $AT --check tcp "${SLOW[@]}" --on-down $fate
	service "down-$fate" 10.0.0.12:80 --check tcp "${SLOW[@]}" --on-down $fate
done
for fate in terminate keep; do
	becomes up-$fate up/ok "before"
	becomes down-$fate down/refused "before"
done
# Now no check can end for four seconds.
for i in 1 2; do
	ip -n lb neighbour replace "10.0.0.1$i" lladdr "02:00:00:00:00:0$(printf %x $((10 + i)))" dev lb0 nud permanent
	ip -n switch link set "b$i" down
done
lbd_end KILL
lbd_start
for fate in terminate keep; do
	is "starts from what was: up-$fate" "$(health up-$fate)" up/
	is "starts from what was: down-$fate" "$(health down-$fate)" down/
done
ip -n switch link set b1 up
ip -n switch link set b2 up
server 2 late socat TCP4-LISTEN:8080,fork,reuseaddr /dev/null
for fate in terminate keep; do
	becomes up-$fate up/ok "and goes on"
	becomes down-$fate up/ok "and finds it up"
done
ok "nobody was thought to be down meanwhile" bash -c "! grep 'msg=\"health\" service=up-' '$RUN/$LB/log' | grep -q to=down"

# ---- descriptors ----
echo "# too few descriptors"
service exec $AT --check "exec:$RUN/exec/check" --check-arg "$RUN/exec" --check-interval 5s --check-timeout 5s
ok "a program hangs" wait_for 5 hanging 31415
lbd_end
ok "and ends with lbd" wait_for 5 none_left 31415
ulimit -n 160
lbd_start
ok "service many" lbctl service add many 192.0.2.200:80 --check tcp --check-interval 2s --check-timeout 2s
{
	echo '{"backends": ['
	for i in {1..300}; do echo "{\"address\": \"10.9.$((i / 200)).$((i % 200 + 1))\"},"; done
	echo '{"address": "10.0.0.11"}]}'
} >"$RUN/many.json"
ip -n lb route add 10.9.0.0/16 via 10.0.0.99
ip -n lb neighbour add 10.0.0.99 lladdr 02:00:00:00:00:99 dev lb0
ok "300 backends that do not answer" host lb curl -sf --unix-socket "$RUN/$LB/lbd.sock" -X PATCH --data-binary @"$RUN/many.json" \
	http://lbd/v1/services/many -o /dev/null
ok "the log says that descriptors ran out" wait_for 10 grep -q 'no descriptors are left for health checks.*limit=' "$RUN/$LB/log"
ok "the API has some left" lbctl service add last 192.0.2.201:80
ok "and so has the state" grep -q '"last"' "$RUN/$LB/state/state.json"
done_testing
