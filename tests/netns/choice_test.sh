#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who gets a new connection, where it is not the table alone that says so: clients that stay with their backend, and the
# policies round_robin, least_conn and random.
. "$(dirname "$0")/lib.sh"

lab_up 4
lab_vip 192.0.2.10 4
lab_vip 2001:db8::10 4
servers_start 4 80 81 82 83 84 85 86
nodes_attach 4
echo "learning_window: 2s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0

counts() { # REPORT: of b1 to b4
	echo "$(field b1 "$1") $(field b2 "$1") $(field b3 "$1") $(field b4 "$1")"
}

who() { # REPORT: the names that answered
	local i names=

	for i in 1 2 3 4; do
		[ "$(field b$i "$1")" = 0 ] || names+="${names:+ }b$i"
	done
	echo "$names"
}

# One server for each of the client's addresses, and at least two for all of them; leaves "ADDR=NAME..." in $HOMES.
homes() { # WHAT VIP OPTION...
	local addr split=0

	HOMES=
	for addr in $CLIENTS; do
		spread --to "$2" --count 40 --from "$addr" "${@:3}"
		[ "$(field ok "$REPORT")" = 40 ] || split=$((split + 1))
		[[ $(who "$REPORT") != *\ * ]] || split=$((split + 1))
		HOMES+="$addr=$(who "$REPORT") "
	done
	is "$1: each client's 40 connections are answered by one server" $split 0
	between "$1: clients have different ones" "$(tr ' ' '\n' <<<"$HOMES" | sed -n 's/.*=//p' | sort -u | wc -l)" 2 4
}

echo "# clients by the table"
CLIENTS=10.0.0.1
for i in {101..112}; do
	ip -n client address add 10.0.0.$i/24 dev eth0
	CLIENTS+=" 10.0.0.$i"
done
service_up table 192.0.2.10:80/tcp 3 --affinity source
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 300 --every 300
talk_read held
is "300 connections are open" "$(field alive "$ANSWER")" 300
is "at one server" "$(who "$ANSWER" | wc -w)" 1
homes "three backends" 192.0.2.10:80
ok "backend add b4" lbctl backend add table 10.0.0.14:80
wait_serving table 4
homes "four backends" 192.0.2.10:80
talk held ping
is "held connections stay" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "300 0"
talk held clear

echo "# clients that are remembered, whatever the policy says"
for family in 4 6; do
	FAMILY=$family
	vip=192.0.2.10:81
	[ $family = 4 ] || vip='[2001:db8::10]:81' CLIENTS='fd00::1 fd00::101 fd00::102 fd00::103'
	for addr in $CLIENTS; do
		[ $family = 4 ] || [ "$addr" = fd00::1 ] || ip -n client address add "$addr/64" dev eth0 nodad
	done
	service_up sticky$family $vip/tcp 3 --policy round_robin --affinity source:10m
	homes "sticky$family" $vip
	before=$HOMES
	ok "backend add b4" lbctl backend add sticky$family "$(backend_addr 4 81)"
	wait_serving sticky$family 4
	homes "sticky$family, four backends" $vip
	is "sticky$family: no client has another one" "$HOMES" "$before"
done
FAMILY=4
talk_start stay host client "$TRAFFIC" hold --to 192.0.2.10:81 --count 50 --every 300
talk_read stay
home=$(who "$ANSWER")
is "50 connections are open at one server" "$(field alive "$ANSWER") $(wc -w <<<"$home")" "50 1"
ok "it drains" lbctl backend drain sticky4 "$(backend_addr "${home#b}" 81)"
spread --to 192.0.2.10:81 --count 50 --from 10.0.0.1
is "new connections go to one other" "$(field ok "$REPORT") $(field "$home" "$REPORT") $(who "$REPORT" | wc -w)" "50 0 1"
talk stay ping
is "the old ones stay" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "50 0"
talk stay clear

echo "# prefixes"
CLIENTS=
service_up net 192.0.2.10:82/tcp 4 --policy round_robin --affinity source --affinity-ipv4-prefix 24
all=
for i in 101 102 103 104 105; do
	spread --to 192.0.2.10:82 --count 20 --from 10.0.0.$i
	all+="$(who "$REPORT") "
done
is "all addresses of a prefix have one server" "$(tr ' ' '\n' <<<"$all" | grep . | sort -u | wc -l)" 1

echo "# in turn"
service_up turn 192.0.2.10:83/tcp 3 --policy round_robin
ok "b1 has twice the weight" lbctl backend set turn 10.0.0.11:83 --weight 200
spread --to 192.0.2.10:83 --count 400 --parallel 32
is "400 connections, 2:1:1" "$(counts "$REPORT")" "200 100 100 0"
talk_start open host client "$TRAFFIC" hold --to 192.0.2.10:83 --count 200 --every 300
talk_read open
is "200 more" "$(counts "$ANSWER")" "100 50 50 0"
ok "b3 drains" lbctl backend drain turn 10.0.0.13:83
spread --to 192.0.2.10:83 --count 300
is "without b3" "$(field ok "$REPORT") $(field b3 "$REPORT")" "300 0"
between "two of three to b1" "$(field b1 "$REPORT")" 198 202
talk open ping
is "open ones stay" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "200 0"
talk open clear
service_up turn-udp 192.0.2.10:83/udp 3 --policy round_robin --check none
spread --udp --to 192.0.2.10:83 --count 300 --first-port 30000
between "UDP: a third" "$(field b2 "$REPORT")" 99 101
is "UDP: all answered" "$(field ok "$REPORT")" 300

echo "# least connections"
service_up least 192.0.2.10:84/tcp 3 --policy least_conn
ok "b1 drains" lbctl backend drain least 10.0.0.11:84
ok "b2 drains" lbctl backend drain least 10.0.0.12:84
talk_start first host client "$TRAFFIC" hold --to 192.0.2.10:84 --count 200 --first-port 20000 --every 300
talk_read first
is "200 connections to b3" "$(counts "$ANSWER")" "0 0 200 0"
ok "b1 is back" lbctl backend enable least 10.0.0.11:84
ok "b2 is back" lbctl backend enable least 10.0.0.12:84
wait_serving least 3
talk_start second host client "$TRAFFIC" hold --to 192.0.2.10:84 --count 300 --first-port 21000 --every 300
talk_read second
is "300 more" "$(field alive "$ANSWER")" 300
between "hardly one of them to b3, but where both picks are b3" "$(field b3 "$ANSWER")" 5 65
between "b1 and b2 share the others" $(($(field b1 "$ANSWER") - $(field b2 "$ANSWER"))) -20 20
talk first clear
talk second clear

echo "# least connections, by weight"
service_up heavy 192.0.2.10:86/tcp 2 --policy least_conn
ok "b2 bears three times as much" lbctl backend set heavy 10.0.0.12:86 --weight 300
talk_start third host client "$TRAFFIC" hold --to 192.0.2.10:86 --count 400 --first-port 22000 --every 300
talk_read third
is "400 connections" "$(field alive "$ANSWER")" 400
between "b1 has a quarter of them" "$(field b1 "$ANSWER")" 60 140
talk third clear

echo "# at random"
service_up random 192.0.2.10:85/tcp 3 --policy random
spread --to 192.0.2.10:85 --count 3000 --parallel 32
for i in 1 2 3; do
	between "b$i has a third" "$(field b$i "$REPORT")" 900 1100
done
done_testing
