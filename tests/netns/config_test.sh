#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The configuration file: read at the start, read again on SIGHUP, exported and applied; a bad one changes nothing.
. "$(dirname "$0")/lib.sh"

lab_up_web 3

lbd_config <<'END'
interfaces:
  - {name: lb0, mode: auto}
learning_window: 2s
defaults: {check: {type: tcp, interval: 500ms, timeout: 200ms}}
services:
  - name: web
    vip: 192.0.2.10:80/tcp
    backends:
      - {address: "10.0.0.11:80"}
      - {address: "10.0.0.12:80"}
END
ok "lbd --check-config" "$BUILD/lbd" --check-config --config "$RUN/lb/lbd.yaml"
lbd_start
wait_serving web 2
spread --to 192.0.2.10:80 --count 100 --first-port 10000
is "a file is all it takes" "$(field ok "$REPORT")" 100
is "its defaults hold" "$(service_json web .check.interval)" 500ms

generation() { lbctl --json status | jq .generation; }
reloads() { grep -c 'origin=reload.*\(changes=\|error=\)' "$RUN/lb/log"; }
reloaded() { [ "$(reloads)" -gt "$nr_reloads" ]; }
reload() {
	nr_reloads=$(reloads)
	kill -HUP "${LBD_PID[lb]}"
	ok "SIGHUP is acted upon" wait_for 5 reloaded
}

lbctl export >"$RUN/export.yaml"
before=$(generation)
out=$(lbctl apply -f "$RUN/export.yaml")
is "export | apply: exit status" $? 0
is "export | apply: says so" "$out" "no changes"
is "export | apply changes nothing" "$(generation)" "$before"
is "the export of that is the same" "$(lbctl export)" "$(cat "$RUN/export.yaml")"
jq . <<<"$(lbctl --json export)" >"$RUN/export.json"
is "export in JSON | apply changes nothing" "$(lbctl apply -f "$RUN/export.json")" "no changes"

talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 300 --first-port 20000 --every 200
talk_read held

echo '      - {address: "10.0.0.13:80"}' >>"$RUN/lb/lbd.yaml"
dry=$(lbctl apply -f "$RUN/lb/lbd.yaml" --dry-run)
matches "apply --dry-run says what would change" "$dry" '10.0.0.13:80'
is "and changes nothing" "$(service_json web '.backends | length')" 2
reload
wait_serving web 3
spread --to 192.0.2.10:80 --count 300 --first-port 10000
ok "the backend that the file gained takes connections" test "$(field b3 "$REPORT")" -gt 50
talk held ping
is "held connections live on" "$(field alive "$ANSWER")" 300

before=$(lbctl export)
echo '      - {address: "10.0.0.13:8x"}' >>"$RUN/lb/lbd.yaml"
reload
is "a bad file is refused whole" "$(lbctl export)" "$before"
is "status says so" "$(lbctl --json status | jq .last_apply.success)" false
matches "and why" "$(lbctl --json status | jq -r .last_apply.error)" 'lbd.yaml:13: services\[0\].backends\[3\].address: 8x is not a port'
is "so do the metrics" "$(metric lb_config_last_apply_success)" 0
sed -i '$d' "$RUN/lb/lbd.yaml"
reload
is "the mended file is accepted" "$(lbctl --json status | jq .last_apply.success)" true
is "and changes nothing" "$(lbctl export)" "$before"

cp "$RUN/lb/lbd.yaml" "$RUN/whole.yaml"
echo '# nothing' >"$RUN/lb/lbd.yaml"
reload
is "a file without content is refused" "$(lbctl --json status | jq .last_apply.success)" false
matches "and why" "$(lbctl --json status | jq -r .last_apply.error)" 'lbd.yaml: the document is empty; write \{\} '
is "it changes nothing" "$(lbctl export)" "$before"

lbd_end
lbd_spawn
wait "${LBD_PID[lb]}"
is "lbd with a file without content does not start" $? 1
matches "and says why" "$(tail -n 1 "$RUN/lb/log")" 'lbd.yaml: the document is empty'
mv "$RUN/whole.yaml" "$RUN/lb/lbd.yaml"
sed -i 's/10.0.0.13:80/10.0.0.13:8x/' "$RUN/lb/lbd.yaml"
lbd_spawn
wait "${LBD_PID[lb]}"
is "lbd with a bad file does not start" $? 1
matches "and says why" "$(tail -n 3 "$RUN/lb/log")" 'lbd.yaml:[0-9]+'
talk held ping
is "while the dataplane forwards" "$(field alive "$ANSWER")" 300

echo "# SIGHUP in the first moments, and descriptors that are closed"
strace -f -qq -o "$RUN/strace" -e trace=flock -e inject=flock:signal=SIGHUP:when=1 \
	nsenter --net=/run/netns/lb -- "$BUILD/lbd" --state-dir "$RUN/lb/early" --socket "$RUN/lb/lbd.sock" --pin-dir /sys/fs/bpf/early <&- >&- 2>&- &
ok "lbd starts" wait_for 15 lbctl status
ok "it got the signal" grep -q -- '--- SIGHUP' "$RUN/strace"
pid=$(lbctl --json status | jq .pid)
is "no descriptor of its own is one of the standard ones" "$(readlink "/proc/$pid/fd/"{0,1,2} | sort -u)" /dev/null
kill -TERM "$pid"
wait $!

echo "# a host without a file, and systemd"
socat -u "UNIX-RECV:$RUN/notify" "CREATE:$RUN/notified" &
socat=$!
ok "systemd listens" wait_for 5 test -S "$RUN/notify"
: >"$RUN/lb/log"
NOTIFY_SOCKET=$RUN/notify nsenter --net=/run/netns/lb -- "$BUILD/lbd" --state-dir "$RUN/lb/other" --socket "$RUN/lb/lbd.sock" --pin-dir /sys/fs/bpf/other 2>>"$RUN/lb/log" &
LBD_PID[lb]=$!
wait_for 15 lbctl status || bail "lbd starts without a file" "$(cat "$RUN/lb/log")"
kill -HUP "${LBD_PID[lb]}"
ok "SIGHUP finds none" wait_for 5 grep -q 'level=info msg="there is no configuration file to read" file=/etc/lbd/lbd.yaml' "$RUN/lb/log"
is "which is no failure" "$(lbctl --json status | jq .last_apply.success)" true
lbd_end
told() { grep -q STOPPING=1 "$RUN/notified"; }
ok "systemd is told of the end" wait_for 5 told
matches "and of all before" "$(tr -d '\n' <"$RUN/notified")" '^READY=1RELOADING=1MONOTONIC_USEC=[0-9]+READY=1STOPPING=1$'
kill $socat
done_testing
