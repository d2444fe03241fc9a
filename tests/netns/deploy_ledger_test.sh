#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/examples/ledger.yaml: JSON APIs that are all active, a participant with a standby, sequencers with long streams, one
# of which comes at run time, and PostgreSQL, whose replica is promoted.
. "$(dirname "$0")/deploy/lib.sh"

JSON=192.0.2.31 PARTICIPANT=192.0.2.32 SEQUENCER=192.0.2.33 DATABASE=192.0.2.34
lab_up 9
ip -n client route add 192.0.2.0/24 via 10.0.0.2
nodes_attach 9
declare -A VIP_OF=([1]=$JSON [2]=$JSON [3]=$PARTICIPANT [4]=$PARTICIPANT [5]=$SEQUENCER [6]=$SEQUENCER [7]=$SEQUENCER
	[8]=$DATABASE [9]=$DATABASE)
for i in "${!VIP_OF[@]}"; do
	ip -n b$i address add "${VIP_OF[$i]}/32" dev lo
	ip -n b$i route add 192.0.2.0/24 via 10.0.0.2 # the other services
done

# ---- PostgreSQL: db1 is b8, db2 is b9 ----
PGBIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
AS_POSTGRES="setpriv --reuid=postgres --regid=postgres --clear-groups --inh-caps=-all --"
mkdir -m 755 "$RUN/pg" && chown postgres "$RUN/pg"
db_start() { # I: what is in its directory
	mkdir -p "$RUN/db$1"
	nsenter --net="/run/netns/b$((7 + $1))" -- $AS_POSTGRES "$PGBIN/postgres" -D "$RUN/pg/db$1" -c fsync=off \
		-c listen_addresses='*' -c unix_socket_directories= -c shared_buffers=16MB -c max_connections=40 \
		-c cluster_name=db$1 -c wal_retrieve_retry_interval=200ms >>"$RUN/db$1/log" 2>&1 &
	APP_PID[db$1]=$!
}
db_new() { # I
	host b$((7 + $1)) $AS_POSTGRES "$PGBIN/initdb" -D "$RUN/pg/db$1" -U postgres -A trust --locale=C -E UTF8 --no-sync \
		>"$RUN/initdb.log" 2>&1 || bail "initdb" "$(tail -n 5 "$RUN/initdb.log")"
	printf 'host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust\n' >>"$RUN/pg/db$1/pg_hba.conf"
}
db_copy() { # FROM TO: a replica, which will follow
	rm -rf "$RUN/pg/db$2"
	host b$((7 + $2)) $AS_POSTGRES "$PGBIN/pg_basebackup" -h 10.0.0.1$((7 + $1)) -U postgres -D "$RUN/pg/db$2" -R -c fast \
		--no-sync 2>"$RUN/basebackup.log" || bail "pg_basebackup" "$(tail -n 5 "$RUN/basebackup.log")"
}
db() { # I SQL: asked directly
	host client "$PGBIN/psql" -XAtq -h 10.0.0.1$((7 + $1)) -U postgres -d postgres -c "$2"
}
sql() { # SQL: by the VIP, a connection of its own
	PGCONNECT_TIMEOUT=5 host client "$PGBIN/psql" -XAtq -h $DATABASE -U postgres -d postgres -c "$1"
}
db_new 1
db_start 1

# ---- the others ----
for i in 1 2; do app_spawn json$i b$i ledger_api.py json$i 7575 $PARTICIPANT:5011; done
for i in 1 2; do app_spawn participant$i b$((2 + i)) ledger_grpc.py participant$i 5011; done
for i in 1 2 3; do app_spawn seq$i b$((4 + i)) ledger_grpc.py seq$i 5008; done

wait_for 20 db 1 "select 1" || bail "PostgreSQL starts" "$(tail -n 5 "$RUN/db1/log")"
db 1 "create role lbd_check login; create table ledger (id serial primary key, what text)" || bail "PostgreSQL has a table"
db_copy 1 2
db_start 2
streaming() { [ "$(db 1 "select state from pg_stat_replication")" = streaming ]; }
ok "the replica follows the primary" wait_for 20 streaming
for name in json1 json2 participant1 participant2 seq1 seq2 seq3; do app_ready $name; done

example ledger -e 's/^learning_window: .*/learning_window: 1s/' -e "s,/usr/local/lib/lbd/,$ROOT/docs/examples/,"
lbd_start
for service in json-api:2 participant:1 sequencer:2 database:1; do wait_serving "${service%:*}" "${service#*:}"; done
serves() { # SERVICE ADDRESS: it alone takes new connections
	[ "$(service_json "$1" '[.backends[] | select(.status.share > 0) | .address] | join(" ")')" = "$2" ]
}

echo "# the API, and the participant behind it"
submit() { # N: submissions; leaves in $BY how many came by which API and participant
	BY=$(for ((i = 0; i < $1; i++)); do
		host client curl -s --max-time 8 -d '{}' http://$JSON:7575/v1/submit || echo failed
		echo
	done | jq -r '"\(.api)=\(.participant // .error)"' 2>&1 | sort | uniq -c | awk '{ print $2 ":" $1 }' | xargs)
}
submit 40
matches "both APIs answer, the first participant does the work" "$BY" '^json1=participant1:[0-9]+ json2=participant1:[0-9]+$'
kill -USR1 "${APP_PID[json1]}"
ok "an API that says it is not ready gets nothing more" wait_for 10 serves json-api 10.0.0.12
submit 20
is "the other one answers all" "$BY" "json2=participant1:20"
kill -USR1 "${APP_PID[participant1]}"
ok "the participant says NOT_SERVING: its standby takes over" wait_for 10 serves participant 10.0.0.14
submit 20
is "all goes to it" "$BY" "json2=participant2:20"
kill -USR2 "${APP_PID[participant1]}"
ok "SERVING again: the first one has it back" wait_for 10 serves participant 10.0.0.13
app_end participant1 KILL
ok "it is killed: the standby takes over" wait_for 10 serves participant 10.0.0.14
submit 20
is "all goes to it" "$BY" "json2=participant2:20"

echo "# one more sequencer"
talk_start streams host client $PYTHON "$DEPLOY/ledger_client.py" $SEQUENCER:5008
talk streams "open 60"
is "60 streams are open" "$(field streams "$ANSWER") $(field broken "$ANSWER")" "60 0"
between "with both sequencers" "$(field seq1 "$ANSWER")" 10 50
ok "backend add" lbctl backend add sequencer 10.0.0.17
wait_serving sequencer 3
talk streams "open 60"
between "it has a part of 60 new ones" "$(field seq3 "$ANSWER")" 5 40
ok "the learning window is over" wait_for 15 window_over sequencer
talk streams speak
is "all 120 streams are open, where they were" "$(field streams "$ANSWER") $(field broken "$ANSWER") $(field moved "$ANSWER")" \
	"120 0 0"

echo "# the database"
is "by the VIP: the primary" "$(sql "show cluster_name")" db1
talk_start session host client "$PGBIN/psql" -XAtq -h $DATABASE -U postgres -d postgres
insert() { talk session "insert into ledger (what) values ('$1') returning id;"; }
insert one
is "a session writes" "$ANSWER" 1
copied() { [ "$(db 2 "select count(*) from ledger")" = "$1" ]; }
ok "the replica has it, too" wait_for 10 copied 1
app_end db1 QUIT # immediate shutdown
nobody() { serves database ""; }
ok "the primary dies: nobody serves" wait_for 10 nobody
host b9 $AS_POSTGRES "$PGBIN/pg_ctl" promote -D "$RUN/pg/db2" >/dev/null || bail "pg_ctl promote"
ok "the replica is promoted: it serves" wait_for 10 serves database 10.0.0.19
is "by the VIP: the new primary" "$(sql "show cluster_name")" db2
is "with what was written before" "$(sql "select what from ledger where id = 1")" one
ok "it takes writes" sql "insert into ledger (what) values ('two')"
db_copy 2 1
db_start 1
following() { [ "$(db 1 "select count(*) from ledger where what = 'two'")" = 1 ]; }
ok "the former primary follows as a replica" wait_for 15 following
checks_of_db1() { metric 'lb_check_total{service="database",backend="10.0.0.18",result="failure",reason="exit"}'; }
before=$(checks_of_db1)
checked() { [ "$(checks_of_db1)" -ge $((before + 3)) ]; }
ok "it is checked thrice" wait_for 15 checked
ok "and does not serve" serves database 10.0.0.19
talk streams speak
is "all that time no stream has broken" "$(field streams "$ANSWER") $(field moved "$ANSWER")" "120 0"
done_testing
