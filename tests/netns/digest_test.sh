#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The table is a function of the backends, weights, states and the hash key: the order of commands and the machine do
# not matter, and each of those inputs does.
. "$(dirname "$0")/lib.sh"

lab_up 6
lab_balancer lb2 3

weight() { echo $((100 * (1 + $1 % 3))); }
fill() { # BACKEND...
	local i

	ok "$LB: service add" lbctl service add web 192.0.2.10:80/tcp || exit 1
	for i in "$@"; do
		lbctl backend add web "$(backend_addr "$i" 80)" --weight "$(weight "$i")" || bail "$LB: backend add b$i"
	done
	wait_serving web $#
}
digest() { service_json web .status.table_digest; }

lbd_start
fill 1 2 3 4 5 6
first=$(digest)
slots=$(service_json web .status.table_slots)
matches "a digest is 16 hex digits" "$first" '^[0-9a-f]{16}$'

LB=lb2
lbd_start
fill 4 6 1 3 5 2
is "another order, another load balancer: the same table" "$(digest)" "$first"
is "and as large" "$(service_json web .status.table_slots)" "$slots"

ok "a backend is removed" lbctl backend del web 10.0.0.13:80
ok "the table is another" test "$(digest)" != "$first"
ok "it is added again" lbctl backend add web 10.0.0.13:80 --weight "$(weight 3)"
wait_serving web 6
is "the table is the first again" "$(digest)" "$first"

ok "a weight changes" lbctl backend set web 10.0.0.13:80 --weight 700
ok "so does the table" test "$(digest)" != "$first"
ok "and back" lbctl backend set web 10.0.0.13:80 --weight "$(weight 3)"
is "the table is the first again" "$(digest)" "$first"
ok "drain" lbctl backend drain web 10.0.0.11:80
ok "the table changes" test "$(digest)" != "$first"
ok "enable" lbctl backend enable web 10.0.0.11:80
is "the table is the first again" "$(digest)" "$first"

lbd_end
HASH_KEY=0123456789abcdef lbd_config </dev/null
rm -rf "$RUN/lb2/state"
lbd_start
lbctl service del web >/dev/null 2>&1
fill 1 2 3 4 5 6
ok "another hash key gives another table" test "$(digest)" != "$first"
done_testing
