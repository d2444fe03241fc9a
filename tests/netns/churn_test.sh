#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 10,000 connections are held while backends come, go, drain, change weight, die and return, and lbd itself is killed:
# those that break are those of backends that died, all of them, and none ever moves.
#
# CHURN_SEED chooses another history, CHURN_SECONDS its length, CHURN_CONNS how many connections.
. "$(dirname "$0")/lib.sh"

SEED=${CHURN_SEED:-1} SECONDS_EACH=$((${CHURN_SECONDS:-40} / 2)) CONNS=${CHURN_CONNS:-10000}
BACKENDS=10 FIRST=8   # the last ones are added on the way
LEAST_SERVING=5       # what must be left for a backend to be taken away
EVERY_MS=1500         # each connection speaks that often; the learning window is longer
BATCHES=16            # so many groups of connections are opened on the way
FROM=(10.0.0.1 10.0.0.3 10.0.0.4 10.0.0.5) HOST=(client client client2 client2)
VIP=192.0.2.10
RANDOM=$SEED

lab_up $BACKENDS
lab_host client2 eth0 4 1500
ip -n client address add 10.0.0.3/24 dev eth0
ip -n client address add 10.0.0.6/24 dev eth0 # of those that come and go
ip -n client2 address add 10.0.0.5/24 dev eth0
lab_vip $VIP $BACKENDS
ip -n client2 route replace $VIP/32 via 10.0.0.2
nodes_attach $BACKENDS

# ---- the backends: what is true of each, and what was done to it ----
# b3.2 is the second server on b3. It lives until it is killed, cut off, disabled or removed: from then on none of its
# connections may be left, and until then none of them may break.
declare -a STATE LIFE # serving, draining, dead, absent; which server
declare -A DIED_MS NOTICED_MS
declare -A NR=([weight]=0 [drain]=0 [enable]=0 [add]=0 [killed]=0 [cut]=0 [disabled]=0 [removed]=0 [returned]=0 [lbd]=0)

now_ms() {
	echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

server_begins() { # I
	LIFE[$1]=$((${LIFE[$1]:-0} + 1))
	nsenter --net="/run/netns/b$1" -- "$TRAFFIC" serve --name "b$1.${LIFE[$1]}" --port=80 >"$RUN/b$1.ready" &
	SERVER_PID[$1]=$!
	wait_for 5 grep -q ready "$RUN/b$1.ready" || bail "server on b$1 starts"
}

addr() { # I
	echo "10.0.0.$((10 + $1)):80"
}

status_of() { # I JQ-FILTER
	service_json web ".backends[] | select(.address == \"$(addr "$1")\") | $2"
}

is_down() { # I
	[ "$(status_of "$1" .status.health)" = down ]
}

serves() { # I
	[ "$(status_of "$1" '.status.serving and .status.next_hop != null')" = true ]
}

pick() { # STATE: leaves one of the backends in that state in $B; false: there is none
	local i all=()

	for ((i = 1; i <= BACKENDS; i++)); do
		[ "${STATE[i]}" != "$1" ] || all+=("$i")
	done
	[ ${#all[@]} -gt 0 ] && B=${all[RANDOM % ${#all[@]}]}
}

nr_serving() {
	local i n=0

	for ((i = 1; i <= BACKENDS; i++)); do
		[ "${STATE[i]}" != serving ] || n=$((n + 1))
	done
	echo $n
}

must() { # COMMAND...: of lbctl
	local out

	out=$(lbctl "$@" 2>&1) || bail "lbctl $*" "$out"
}

# ---- what may happen ----
reweight() {
	local weights=(1 25 50 100 100 200 400)

	pick serving || return
	must backend set web "$(addr "$B")" --weight "${weights[RANDOM % ${#weights[@]}]}"
	NR[weight]=$((NR[weight] + 1))
}

drain() {
	pick serving && [ "$(nr_serving)" -gt $LEAST_SERVING ] || return
	must backend drain web "$(addr "$B")"
	STATE[B]=draining
	NR[drain]=$((NR[drain] + 1))
}

enable() {
	pick draining || return
	must backend enable web "$(addr "$B")"
	STATE[B]=serving
	NR[enable]=$((NR[enable] + 1))
}

add() {
	pick absent || return
	must backend add web "$(addr "$B")" --weight 100
	wait_for 5 serves "$B" || bail "b$B serves" "$(lbctl service show web)"
	STATE[B]=serving
	NR[add]=$((NR[add] + 1))
}

# A backend ends, in one of four ways. Two of them have to be noticed by its check, while something else happens.
end() { # STATE [lbd]: one in that state; lbd: which is not running and is started when it has happened
	local ways=(killed killed cut disabled removed) way life b

	pick "$1" && [ "$(nr_serving)" -gt $LEAST_SERVING ] || return
	b=$B
	way=${ways[RANDOM % ${#ways[@]}]} life=b$b.${LIFE[b]}
	[ "${2-}" != lbd ] || way=killed
	DIED_MS[$life]=$(now_ms)
	STATE[b]=dead
	case $way in
	killed) server_kill "$b" ;;
	cut) ip -n "b$b" link set eth0 down ;;
	disabled) must backend disable web "$(addr "$b")" ;;
	removed) must backend del web "$(addr "$b")" ;;
	esac
	if [ "${2-}" = lbd ]; then
		lbd_start
	elif [ $way = killed ] || [ $way = cut ]; then
		reweight
	fi
	[ $way != killed ] && [ $way != cut ] || wait_for 10 is_down "$b" || bail "b$b is found dead" "$(lbctl service show web)"
	NOTICED_MS[$life]=$(now_ms)
	HOW[b]=$way
	NR[$way]=$((NR[$way] + 1))
}
declare -a HOW

# It comes back as another server; sometimes as another backend with the same address.
return_one() {
	local addr

	pick dead || return
	addr=$(addr "$B")
	[ "${HOW[B]}" = killed ] || server_kill "$B"
	server_begins "$B"
	[ "${HOW[B]}" != cut ] || ip -n "b$B" link set eth0 up
	[ "${HOW[B]}" = removed ] || must backend enable web "$addr"
	if [ "${HOW[B]}" = removed ]; then
		must backend add web "$addr" --weight 50
	elif [ $((RANDOM % 2)) = 0 ]; then
		must backend del web "$addr"
		must backend add web "$addr" --weight 100
	fi
	wait_for 10 serves "$B" || bail "b$B is found alive" "$(lbctl service show web)"
	STATE[B]=serving
	NR[returned]=$((NR[returned] + 1))
}

# Without lbd the dataplane goes on as it is. Every other time a backend dies meanwhile.
kill_lbd() {
	lbd_end KILL
	NR[lbd]=$((NR[lbd] + 1))
	open_batch
	if [ $((RANDOM % 2)) = 0 ] && [ "$(nr_serving)" -gt $LEAST_SERVING ]; then
		end serving lbd
	else
		lbd_start
	fi
}

step() { # WITH-LBD
	local r=$((RANDOM % 100))

	if [ $r -lt 30 ]; then
		reweight
	elif [ $r -lt 46 ]; then
		drain
	elif [ $r -lt 62 ]; then
		enable
	elif [ $r -lt 69 ]; then
		add
	elif [ $r -lt 77 ]; then
		if [ $((RANDOM % 3)) = 0 ]; then end draining; else end serving; fi
	elif [ $r -lt 92 ]; then
		return_one
	elif [ "$1" = yes ]; then
		kill_lbd
	fi
}

# ---- the connections ----
nr_groups=0 opened=0
hold() { # N: open N connections more, from the next of the clients' addresses
	local way=$((nr_groups % 4)) name=hold$nr_groups

	talk_start "$name" host "${HOST[way]}" "$TRAFFIC" hold --to $VIP:80 --count "$1" --from "${FROM[way]}" \
		--first-port $((10000 + 2500 * (nr_groups / 4))) --every $EVERY_MS --timeout 3000 --parallel 512
	talk_read "$name"
	opened=$((opened + $1))
	nr_groups=$((nr_groups + 1))
}

open_batch() {
	[ $opened -ge "$CONNS" ] || hold $((CONNS / 5 / BATCHES))
}

# list NAME: what a client has to say of each of its connections
list() {
	echo list >&"${TALK_IN[$1]}"
	while talk_read "$1" && [ "$ANSWER" != . ]; do
		echo "$ANSWER"
	done
}

lives() {
	local life

	for life in "${!DIED_MS[@]}"; do
		echo "died $life ${DIED_MS[$life]} ${NOTICED_MS[$life]}"
	done
}

# judge: of lives and connections, how many were as they should and how many not. A connection that failed before anyone
# answered may have met a backend that was dead and not known to be; it began then, or was under way.
judge() {
	awk -v under_way=300 '
		$1 == "died" { died[$2] = $3; noticed[$2] = $4; next }
		$3 == "ok" && $2 in died { n["survived"]++; next }
		$3 == "ok" { n["alive"]++; next }
		$2 in died && $5 >= died[$2] { n["ended"]++; next }
		$2 != "-" { n["broke"]++; print "# broke:", $0 >"/dev/stderr"; next }
		{
			for (l in died)
				if ($4 >= died[l] - under_way && $4 <= noticed[l] + 50) {
					n["met_a_dead"]++
					next
				}
			n["failed"]++
			print "# failed:", $0 >"/dev/stderr"
		}
		END { for (k in n) printf "%s=%d ", k, n[k] }'
}

verdict() { # WHAT
	local i moved=0 got refused

	for ((i = 0; i < nr_groups; i++)); do
		talk hold$i ping
		moved=$((moved + $(field moved "$ANSWER")))
	done
	got=$({ lives; for ((i = 0; i < nr_groups; i++)); do list hold$i; done; } | judge)
	refused=$({ lives; list load; } | judge)
	talk load report
	load=$ANSWER
	echo "# $1: held: $got moved=$moved; new: ok=$(field ok "$load") $refused"
	echo "# so far: $(for what in "${!NR[@]}"; do printf '%s %d, ' "$what" "${NR[$what]}"; done)slots $(service_json web '.status.slots | tostring')"
	is "$1: connections of live backends that broke" "$(field broke "$got")" 0
	is "$1: connections that another backend answered" $moved 0
	is "$1: connections that outlived their backend" "$(field survived "$got")" 0
	is "$1: none is missing" $(($(field alive "$got") + $(field ended "$got") + $(field broke "$got") + \
		$(field survived "$got") + $(field met_a_dead "$got") + $(field failed "$got"))) $opened
	is "$1: held connections that failed to open, but to a backend just dead" "$(field failed "$got")" 0
	is "$1: new connections that failed, but to a backend just dead" "$(field failed "$refused")" 0
	ok "$1: some are alive" test "$(field alive "$got")" -ge $((CONNS / 10))
}

for ((i = 1; i <= BACKENDS; i++)); do
	STATE[i]=absent
	server_begins $i
done
echo "learning_window: 4s" | lbd_config
lbd_start
ok "attach" lbctl attach lb0
service_up web $VIP:80/tcp $FIRST --check tcp --check-interval 300ms --check-timeout 300ms --fall 3 --rise 2
for ((i = 1; i <= FIRST; i++)); do
	STATE[i]=serving
done
for ((i = 0; i < 4; i++)); do
	hold $((CONNS / 5))
done
talk_start load host client "$TRAFFIC" load --to $VIP:80 --rate 300 --from 10.0.0.6 --timeout 4000
ok "four fifths of the connections are open" test $opened = $((CONNS / 5 * 4))

more_answers() { # THAN
	talk load report
	[ "$(field ok "$ANSWER")" -ge "$1" ]
}
pace() { # N: until so many more new connections have been made
	talk load report
	wait_for 10 more_answers $(($(field ok "$ANSWER") + $1)) || bail "connections are made" "$ANSWER"
}

# churn WHAT WITH-LBD
churn() {
	local until=$(($(now_ms) + SECONDS_EACH * 1000)) sample

	while [ "$(now_ms)" -lt $until ]; do
		step "$2"
		open_batch
		pace 75
		sample=$(service_json web '.status.slots | "\(.stable) \(.moving) \(.settling)"')
		read -r stable moving settling <<<"$sample"
		[ "$moving" = 0 ] || saw_moving=$((saw_moving + 1))
		[ "$settling" = 0 ] || saw_settling=$((saw_settling + 1))
		[ "$stable" -le "$most_stable" ] || most_stable=$stable
		nr_steps=$((nr_steps + 1))
	done
	verdict "$1"
}
saw_moving=0 saw_settling=0 most_stable=0 nr_steps=0

echo "# history $SEED, $SECONDS_EACH s"
churn "backends come and go" no
echo "# the history goes on for $SECONDS_EACH s; lbd is killed at times"
[ ${NR[lbd]} -gt 0 ] || kill_lbd
churn "lbd is killed, too" yes
while [ $opened -lt "$CONNS" ]; do
	open_batch
done
echo "# $nr_steps steps; slots were moving after $saw_moving of them, settling after $saw_settling"
ok "learning windows ended on the way" test $saw_settling -gt 0
is "connections opened" $opened "$CONNS"
ok "lbd was killed" test "${NR[lbd]}" -gt 0
for what in weight drain enable add returned; do
	ok "it happened: $what" test "${NR[$what]}" -gt 0
done
ok "backends died" test ${#DIED_MS[@]} -gt 1
done_testing
