#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Attaching: native, generic, again, beside another program, to what does not exist, with an MTU too large for XDP.
. "$(dirname "$0")/lib.sh"

lab_up_web 2
lbd_start
service_up web 192.0.2.10:80/tcp 2
iface() { lbctl --json status | jq -r ".interfaces[] | select(.name == \"$1\") | .$2"; }
programs() { ip -n lb -d link show dev lb0 | grep -c 'prog/xdp\|xdpgeneric'; }
serves() { # WHAT
	spread --to 192.0.2.10:80 --count 200 --first-port 10000
	is "$1: connections answered" "$(field ok "$REPORT")" 200
}

spread --to 192.0.2.10:80 --count 3 --timeout 300
is "not attached: nobody answers" "$(field ok "$REPORT")" 0

ok "attach lb0" lbctl attach lb0
is "auto is native here" "$(iface lb0 mode)" native
serves "native"
out=$(lbctl attach lb0 2>&1)
is "attach again: exit status" $? 1
matches "attach again: says why" "$out" 'lb0 is attached already'
is "one program is there" "$(programs)" 1
serves "attached twice"
ok "detach" lbctl detach lb0
is "no program is left" "$(programs)" 0
spread --to 192.0.2.10:80 --count 3 --timeout 300
is "detached: nobody answers" "$(field ok "$REPORT")" 0

ok "attach --mode generic" lbctl attach lb0 --mode generic
is "it is generic" "$(iface lb0 mode)" generic
serves "generic"
ok "detach" lbctl detach lb0
ok "attach --mode native" lbctl attach lb0 --mode native
serves "native again"

echo "# an interface whose MTU is too large"
ip -n lb link add big0 type veth peer name big1
ip -n lb link set big0 mtu 9000 up
ip -n lb link set big1 mtu 9000 up
out=$(lbctl attach big0 --mode native 2>&1)
is "native: exit status" $? 1
matches "native: the message names MTU and interface" "$out" 'big0.*MTU|MTU.*big0'
out=$(lbctl attach big0 2>&1)
is "auto: exit status" $? 0
matches "auto: warns" "$out" 'MTU|generic'
is "auto: generic" "$(iface big0 mode)" generic
ok "detach" lbctl detach big0

echo "# an interface that has another's program"
echo 'int pass(void *ctx) __attribute__((section("xdp"))); int pass(void *ctx) { return 2; }' |
	"${CLANG:-clang}" -target bpf -O2 -x c -c - -o "$RUN/foreign.o" || bail "a foreign program is made"
ip -n lb link add other0 type veth peer name other1
ip -n lb link set other0 up
ip -n lb link set other1 up
ok "the foreign program is attached" ip -n lb link set dev other0 xdpdrv obj "$RUN/foreign.o" sec xdp
out=$(lbctl attach other0 2>&1)
is "attach: exit status" $? 1
matches "attach: the message says so" "$out" 'other0.*program|program.*other0'
ok "the foreign program is still there" bash -c 'ip -n lb link show dev other0 | grep -q xdp'
is "status does not list it" "$(iface other0 name)" ""
out=$(lbctl detach other0 2>&1)
is "detach of what is not ours: exit status" $? 1
ok "the foreign program is still there" bash -c 'ip -n lb link show dev other0 | grep -q xdp'
serves "after all that"

echo "# an interface that goes away and comes back"
gone() { [ "$(iface two0 attached)" != true ]; }
back() { [ "$(iface two0 attached)" = true ]; }
ip -n lb link add two0 type veth peer name two1
ip -n lb link set two0 up
ok "attach" lbctl attach two0
ip -n lb link del two0
ok "status sees that it is gone" wait_for 5 gone
ip -n lb link add two0 type veth peer name two1
ip -n lb link set two0 up
ok "it is attached again when it is back" wait_for 10 back
serves "after that"

echo "# an interface that is renamed"
xdp_on() { ip -n lb -d link show dev "$1" | grep -c 'prog/xdp\|xdpgeneric'; }
rename() { ip -n lb link set "$1" down && ip -n lb link set "$1" name "$2" && ip -n lb link set "$2" up; }
note_says() { [[ "$(iface "$1" note)" =~ $2 ]]; }
ok "rename" rename two0 was0
ok "status says so" wait_for 5 note_says two0 'it is called was0 now: name it two0 again, or attach was0 and detach two0'
is "it is attached still" "$(iface two0 attached) $(xdp_on was0)" "true 1"
ok "attach it by its name" lbctl attach was0
ok "detach the former name" lbctl detach two0
is "the program stays" "$(iface was0 attached) $(xdp_on was0)" "true 1"
ok "rename again" rename was0 is0
ok "status says so" wait_for 5 note_says was0 'called is0 now'
ok "detach" lbctl detach was0
is "no program is left" "$(xdp_on is0)" 0
ok "attach" lbctl attach is0
ok "rename" rename is0 old0
ok "status says so" wait_for 5 note_says is0 'called old0 now'
ip -n lb link add is0 type veth peer name is1
ip -n lb link set is0 up
on_the_new() { [ "$(xdp_on is0) $(xdp_on old0)" = "1 0" ] && [ "$(iface is0 note)" = "$(iface lb0 note)" ]; }
ok "another interface gets its name, and the program" wait_for 5 on_the_new
ok "detach" lbctl detach is0
serves "after all renaming"

echo "# a detaching that the kernel refuses"
nsenter --net=/run/netns/lb -- strace -qq -f -p "${LBD_PID[lb]}" -e trace=bpf -e inject=bpf:error=EMFILE -o "$RUN/strace" &
tracer=$!
ok "strace holds lbd" wait_for 10 grep -q '^TracerPid:	[1-9]' "/proc/${LBD_PID[lb]}/status"
ok "detach" lbctl detach lb0
ok "lbd says that it cannot" grep -q 'level=error msg="cannot detach; trying again" interface=lb0' "$RUN/lb/log"
is "the program is there" "$(xdp_on lb0)" 1
kill $tracer
wait $tracer 2>/dev/null
detached() { [ "$(xdp_on lb0)" = 0 ]; }
ok "and goes when it can" wait_for 5 detached
done_testing
