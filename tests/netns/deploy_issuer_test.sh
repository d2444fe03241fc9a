#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/examples/issuer.yaml: issuers with sessions in their memory and verifiers with sessions in Redis, both behind one
# address, by address and port translation.
. "$(dirname "$0")/deploy/lib.sh"

VIP=192.0.2.10 ISSUER=192.0.2.10:9092 VERIFIER=192.0.2.10:9093
lab_up 5
ip -n client route add $VIP via 10.0.0.2
ip -n lb address add 10.0.0.3/24 dev lb0
for i in {101..112}; do ip -n client address add 10.0.0.$i/24 dev eth0; done
# The load balancer is the issuers' router: to the client, who is in their own network here, too.
for i in 1 2; do
	for client in 10.0.0.1 10.0.0.{101..112}; do ip -n b$i route replace "$client" via 10.0.0.2; done
done

mkdir -p "$RUN/redis"
nsenter --net=/run/netns/b5 -- redis-server --bind 10.0.0.15 --protected-mode no --save '' --dir "$RUN/redis" \
	>"$RUN/redis/log" 2>&1 &
app_spawn issuer1 b1 issuer.py issuer1 7002
app_spawn issuer2 b2 issuer.py issuer2 8002
app_spawn verifier1 b3 issuer.py verifier1 7003 10.0.0.15
app_spawn verifier2 b4 issuer.py verifier2 8003 10.0.0.15
for name in issuer1 issuer2 verifier1 verifier2; do app_ready $name; done
wait_for 10 host b3 redis-cli -h 10.0.0.15 ping || bail "Redis starts" "$(tail -n 5 "$RUN/redis/log")"

example issuer -e 's/interval: 1s, timeout: 500ms/interval: 300ms, timeout: 250ms/'
lbd_start
wait_serving issuer-api 2
wait_serving verifier-api 2

# ask FROM TO [PATH]: begin a session, or ask for one; leaves the status in $STATUS and the answer's parts in $INSTANCE,
# $SEEN (the client, as the instance sees it) and $ID
ask() {
	local out post=(-d '')

	[ -z "${3-}" ] || post=()
	out=$(host client curl -s --max-time 5 --interface "$1" -w '\n%{http_code}' "${post[@]}" "http://$2/sessions${3-}")
	STATUS=$(tail -n 1 <<<"$out")
	read -r INSTANCE SEEN ID < <(head -n 1 <<<"$out" | jq -r '"\(.instance) \(.client) \(.id)"' 2>/dev/null)
}
# ask_often FROM TO ID N: leaves "STATUS INSTANCE:HOW-OFTEN..." in $BY
ask_often() {
	local n

	BY=$(for ((n = 0; n < $4; n++)); do
		ask "$1" "$2" "/$3"
		echo "$STATUS:$INSTANCE"
	done | sort | uniq -c | awk '{ print $2 ":" $1 }' | xargs)
}

echo "# sessions in an instance's memory"
ask 10.0.0.101 $ISSUER
is "a session begins" "$STATUS" 201
is "the issuer sees the client" "$SEEN" 10.0.0.101
home=$INSTANCE id=$ID
ask_often 10.0.0.101 $ISSUER "$id" 20
is "its client finds it, 20 connections later" "$BY" "200:$home:20"
declare -A HOME_OF
for i in {101..112}; do
	ask 10.0.0.$i $ISSUER
	HOME_OF[$i]=$INSTANCE
done
is "the next twelve clients are shared in turn" \
	"$(printf '%s\n' "${HOME_OF[@]}" | sort | uniq -c | awk '{ print $2 }' | xargs)" "issuer1 issuer2"
between "half of them have issuer1" "$(printf '%s\n' "${HOME_OF[@]}" | grep -c issuer1)" 5 7
for i in {102..112}; do [ "${HOME_OF[$i]}" = "$home" ] || other=10.0.0.$i; done
ask "$other" $ISSUER "/$id"
is "a client of the other instance does not find the session" "$STATUS" 404

echo "# sessions in Redis"
ask 10.0.0.101 $VERIFIER
is "a session begins" "$STATUS" 201
is "the verifier sees the load balancer" "$SEEN" 10.0.0.3
vid=$ID
ask_often 10.0.0.101 $VERIFIER "$vid" 20
is "its client finds it, at both instances in turn" "$BY" "200:verifier1:10 200:verifier2:10"
ask_often "$other" $VERIFIER "$vid" 20
is "and so does every other client" "$BY" "200:verifier1:10 200:verifier2:10"

echo "# an instance of each is lost"
app_end verifier1 KILL
app_end "$home" KILL
wait_serving verifier-api 1
wait_serving issuer-api 1
ask_often 10.0.0.101 $VERIFIER "$vid" 10
is "the session in Redis lives on" "$BY" "200:verifier2:10"
ask 10.0.0.101 $ISSUER "/$id"
is "the one in the lost instance's memory does not" "$STATUS" 404
ask 10.0.0.101 $ISSUER
id=$ID home=$INSTANCE
is "its client begins another one" "$STATUS" 201
ask_often 10.0.0.101 $ISSUER "$id" 10
is "and finds it" "$BY" "200:$home:10"
app_start verifier1 b3 issuer.py verifier1 7003 10.0.0.15
wait_serving verifier-api 2
ask_often "$other" $VERIFIER "$vid" 20
is "the verifier is back, and knows the session" "$BY" "200:verifier1:10 200:verifier2:10"
done_testing
