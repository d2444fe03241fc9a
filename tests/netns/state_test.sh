#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lbd is killed at any moment while it writes: what it answered to is there, what it did not is there whole or not at
# all, and the maps are what the state says, without ghosts.
. "$(dirname "$0")/lib.sh"

ROUNDS=${STATE_ROUNDS:-15}
lab_up 2
lab_vip 192.0.2.10 2
lbd_start
ok "attach" lbctl attach lb0

# Change number N: both services get the weight N everywhere, and b(N % 40) comes or goes.
write_config() { # N
	local i

	echo "interfaces: [{name: lb0}]"
	echo "hash_key: $HASH_KEY"
	echo "services:"
	for i in 1 2; do
		echo "  - {name: s$i, vip: 192.0.2.1$i:80, backends: ["
		for ((b = 1; b <= 40; b++)); do
			[ $((b % 40)) = $(($1 % 40)) ] || echo "      {address: 10.1.$i.$b, weight: $1},"
		done
		echo "    ]}"
	done
}

# Changes one after another until lbd is gone; the last one that was answered is in acked.
writer() { # FROM
	local n

	for ((n = $1; ; n++)); do
		write_config $n >"$RUN/new.yaml"
		lbctl apply -f "$RUN/new.yaml" >/dev/null 2>&1 || return
		echo $n >"$RUN/acked"
	done
}
weights() { lbctl --json service list | jq -c '[.services[].backends[].weight] | unique'; }
shape() { lbctl --json service list | jq -c '[.services[] | [.backends[].address | split(".")[3] | tonumber] | sort]'; }
expected_shape() { jq -cn --argjson n $(($1 % 40)) '[range(1; 41) | select(. % 40 != $n)] | [., .]'; }

# lbd is killed at some moment of many changes.
one_round() {
	local writer next acked got

	next=$((acked_before + 1))
	writer $next &
	writer=$!
	sleep "0.$(printf '%03d' $((60 + RANDOM % 500)))"
	lbd_end KILL
	wait $writer
	jq -e . "$RUN/lb/state/state.json" >/dev/null || { echo "the state file is cut"; return 1; }
	acked=$(cat "$RUN/acked")
	lbd_start
	got=$(weights)
	case $got in
	"[$acked]") kept_old=$((kept_old + 1)) ;;
	"[$((acked + 1))]") kept_new=$((kept_new + 1)) ;;
	*) echo "weights $got after $acked was answered"; return 1 ;;
	esac
	got=${got#[} got=${got%]}
	[ "$(shape)" = "$(expected_shape "$got")" ] || { echo "backends $(shape) at $got"; return 1; }
	[ "$(lbctl --json status --verify | jq .verify.repaired)" = 0 ] || { echo "the maps are not the state"; return 1; }
	acked_before=$got
}

kept_old=0 kept_new=0 acked_before=1
write_config 1 >"$RUN/new.yaml"
ok "the first configuration" lbctl apply -f "$RUN/new.yaml"
echo 1 >"$RUN/acked"
for ((r = 1; r <= ROUNDS; r++)); do
	one_round >"$RUN/why" || bail "round $r: what was answered is there, and nothing by half" "$(cat "$RUN/why")"
done
ok "killed $ROUNDS times: what was answered is there, and nothing by half" true
echo "# $acked_before changes; the last one was not answered, and not there, $kept_old times, there $kept_new times"
ok "changes were made meanwhile" test "$acked_before" -gt "$ROUNDS"
leftovers() { find "$RUN/lb/state" -name 'state.json.new' | wc -l; }
ok "one more change" lbctl backend del s1 10.1.1.20
is "no file is left over" "$(leftovers)" 0
ok "service del s1" lbctl service del s1
ok "service del s2" lbctl service del s2
lbd_end KILL
lbd_start
is "nobody is left" "$(lbctl --json status | jq -c '[.services.total, .backends.total]')" "[0,0]"
is "in the maps, neither" "$(lbctl --json status --verify | jq -c '.verify | [.services, .backends, .vips, .repaired]')" "[0,0,0,0]"

echo "# a disk that takes nothing more"
ok "a service" lbctl service add s3 192.0.2.13:80
lbd_end KILL
mount --bind "$RUN/lb/state" "$RUN/lb/state"
mount -o remount,bind,ro "$RUN/lb/state"
lbd_start
is "lbd starts with what it has" "$(lbctl --json service list | jq -r '.services[].name')" s3
ok "and says so" grep -q 'level=error msg="cannot save; changes will be refused" error=.*/state.json: .*Read-only' "$RUN/lb/log"
matches "a change is refused" "$(lbctl service del s3 2>&1)" 'state.json: cannot save the state: Read-only file system$'
is "and not made" "$(lbctl --json service list | jq -r '.services[].name')" s3
lbd_end KILL
echo "# edited" >>"$RUN/lb/lbd.yaml"
echo "services: [{name: s4, vip: 192.0.2.14:80}]" >>"$RUN/lb/lbd.yaml"
lbd_spawn
wait "${LBD_PID[lb]}"
is "with another file it does not start" $? 1
matches "and says why" "$(tail -n 1 "$RUN/lb/log")" '^lbd: .*/state.json: cannot save the state: Read-only file system$'
umount "$RUN/lb/state"
lbd_start
is "when there is room it does" "$(lbctl --json service list | jq -r '.services[].name')" s4
done_testing
