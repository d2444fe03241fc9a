#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever is wrong in the maps is found, told and repaired: by `lbctl status --verify`, and when lbd starts.
. "$(dirname "$0")/lib.sh"

BPFTOOL=$(command -v bpftool || echo /usr/sbin/bpftool)
lab_up 3
lab_vip 192.0.2.10 3
lab_vip 192.0.2.33 3
servers_start 3 80
nodes_attach 3
lbd_config <<-END
	learning_window: 1s
	announce: {delay: 0s}
END
lbd_start
ok "attach" lbctl attach lb0
service_up web 192.0.2.10:80/tcp 3 --vip 192.0.2.32/28:80/tcp --deny 203.0.113.0/24
ok "another service" lbctl service add dns 192.0.2.99:53/udp
PINS=$(echo /sys/fs/bpf/lb/v*)

zeros() { printf '0 %.0s' $(seq "$1"); }
index() { echo $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
map_set() { # MAP INDEX BYTE...
	"$BPFTOOL" map update pinned "$PINS/$1" key $(index "$2") value "${@:3}"
}
map_get() { # MAP INDEX: its bytes, decimal
	"$BPFTOOL" -j map lookup pinned "$PINS/$1" key $(index "$2") | jq -r '.value | map(ltrimstr("0x")) | join(" ")' |
		tr ' ' '\n' | while read -r byte; do printf '%d ' "0x$byte"; done
}
verify() { VERIFIED=$(lbctl --json status --verify | jq -c .verify); }
repaired() { jq -r .repaired <<<"$VERIFIED"; }
port=20000
traffic_ok() { # WHAT: both of the service's VIPs are served by all
	spread --to 192.0.2.10:80 --count 300 --first-port $port
	is "$1: answered" "$(field ok "$REPORT")" 300
	between "$1: by b2, too" "$(field b2 "$REPORT")" 50 150
	spread --to 192.0.2.33:80 --count 60 --first-port $port
	is "$1: answered by the prefix" "$(field ok "$REPORT")" 60
	port=$((port + 300))
}
mended() { # WHAT REGEX
	local before after

	before=$(metric lb_dataplane_repairs_total)
	verify
	between "$1: found and repaired" "$(repaired)" 1 40
	matches "$1: what" "$VERIFIED" "$2"
	after=$(metric lb_dataplane_repairs_total)
	is "$1: lb_dataplane_repairs_total" $((after - before)) "$(repaired)"
	verify
	is "$1: then all is well" "$(repaired)" 0
	traffic_ok "$1"
}

verify
is "nothing is wrong" "$(repaired)" 0
is "what was looked at" "$(jq -r '"\(.services) \(.backends) \(.vips)"' <<<"$VERIFIED")" "2 3 3"
matches "for people" "$(lbctl status --verify)" 'verify +2 services, 3 backends, 3 VIPs, [0-9]+ slots: as they should be'
traffic_ok "to begin with"

# one address, three services that answer echo requests to it: it is the first one's, whichever came or changed last
for n in 1 2 3; do ok "echoes $n" lbctl service add echo$n 192.0.2.77:$n --ping true; done
ok "a service's line changes" lbctl service set echo3 --mss-clamp 1400
ok "the first one answers no more" lbctl service set echo1 --ping false
ok "and does again" lbctl service set echo1 --ping true
verify
is "who answers is who should" "$VERIFIED" "$(jq -c '.repaired = 0 | .what = []' <<<"$VERIFIED")"
for n in 1 2 3; do lbctl service del echo$n || bail "service del"; done

first_backend=
for ((i = 1; i < 20 && ${#first_backend} == 0; i++)); do
	[ "$(map_get lb_backends $i | tr -d ' 0')" = "" ] || first_backend=$i
done
first_service=
for ((i = 1; i < 20 && ${#first_service} == 0; i++)); do
	[ "$(map_get lb_services $i | tr -d ' 0')" = "" ] || first_service=$i
done
# Tables move while slots settle.
settled() { [ "$(service_json web '.status.slots | .moving + .settling')" = 0 ]; }
ok "the table stays where it is" wait_for 30 settled

map_set lb_backends "$first_backend" $(zeros 64)
mended "a backend's line is empty" 'backend 10\.0\.0\.1[123]:80 of service web'

line=($(map_get lb_backends $((first_backend + 1))))
line[48]=99 # its service
map_set lb_backends $((first_backend + 1)) "${line[@]}"
mended "a backend is another service's" 'backend 10\.0\.0\.1[123]:80 of service web'

map_set lb_backends 4000 "${line[@]}"
mended "a backend that nobody wants" 'index 4000, which is nobody'

service_line=$(map_get lb_services "$first_service")
read -r t0 t1 t2 t3 _ <<<"$service_line"
base=$((t0 | t1 << 8 | t2 << 16 | t3 << 24))
for ((i = 0; i < 8; i++)); do
	map_set lb_slots $((base / 16 + i)) $(printf '255 %.0s' {1..64})
done
mended "slots of no possible owner" 'the table of service web'

line=($service_line)
map_set lb_services "$first_service" "${line[@]:0:16}" $(zeros 48)
mended "a service without a name" 'service web'

service_line=$(map_get lb_services "$first_service")
line=($service_line)
map_set lb_services "$first_service" 0 0 1 0 "${line[@]:4}"
mended "a table elsewhere" 'where the table of service'

map_set lb_conf 0 $(zeros 128)
mended "no hash key" 'hash key'

map_set lb_vips 5 10 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 80 6 0 "$first_service" 0 0 0 $(zeros 40)
mended "a VIP where it cannot be" '1 place in'

for map in lb_wild lb_access; do
	key=$("$BPFTOOL" -j map dump pinned "$PINS/$map" | jq -r '.[0].key | join(" ")')
	"$BPFTOOL" map delete pinned "$PINS/$map" key $key
done
mended "prefixes are missing" 'VIP 192\.0\.2\.32/28:80/tcp of service web.*'

key=$("$BPFTOOL" -j map dump pinned "$PINS/lb_vips" | jq -c '[.[] | select([.value[20:22], .value[52:54]] | flatten | any(. != "0x00"))] | .[] | .key' |
	tr -d '[]"' | tr ',' ' ' | head -n 1)
"$BPFTOOL" map update pinned "$PINS/lb_vips" key $key value $(zeros 64)
mended "a VIP is missing" 'VIP 192\.0\.2\.(10|99)'

rm "$PINS/lb_vips"
mended "a map that is not pinned" 'the pin of lb_vips'
rm -r /sys/fs/bpf/lb
mended "none is" 'the pin of lb_slots.*'
lbd_pid=${LBD_PID[lb]}
lbd_spawn --state-dir "$RUN/lb/other" --socket "$RUN/lb/other.sock" --metrics 127.0.0.1:9708
wait "${LBD_PID[lb]}"
is "another lbd does not get the new directory" "$?/$(tail -n 1 "$RUN/lb/log")" "1/lbd: another lbd uses the pin directory /sys/fs/bpf/lb; stop it, or take another --pin-dir"
LBD_PID[lb]=$lbd_pid
umount -l /sys/fs/bpf
mended "the file system is gone" 'the pin of lb_slots.*'

echo "# what is wrong before lbd starts"
lbd_end KILL
map_set lb_backends "$first_backend" $(zeros 64)
map_set lb_vips 5 10 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 80 6 0 "$first_service" 0 0 0 $(zeros 40)
map_set lb_conf 0 $(zeros 128)
lbd_start
wait_serving web 3
is "it took over what there was" "$(lbctl --json status | jq .adopted)" true
ok "it is told" grep -q 'msg="the dataplane was not as it should be; repaired"' "$RUN/lb/log"
verify
is "all is well" "$(repaired)" 0
traffic_ok "after the start"

echo "# the pins are gone when lbd starts, and the program is not"
ok "choices that cannot be made again" lbctl service set web --policy round_robin
talk_start remembered host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 300 --first-port 50000
talk_read remembered
is "300 connections are open" "$(field alive "$ANSWER")" 300
connections=$(service_json web .status.connections)
for gone in "$PINS/lb_flows" /sys/fs/bpf/lb; do
	lbd_end KILL
	rm -r "$gone"
	: >"$RUN/lb/log"
	lbd_start
	is "without ${gone##*/}: the program has the maps" "$(lbctl --json status | jq -c '[.adopted, .interfaces[0].attached]')" '[true,true]'
	ok "they are pinned again, which is told" grep -q 'repaired" what="the pin of lb_flows"' "$RUN/lb/log"
	is "counters go on" "$(service_json web .status.connections)" "$connections"
	talk remembered ping
	is "no connection broke, or moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "300 0"
	verify
	is "all is well" "$(repaired)" 0
done
kill "${TALK_PID[remembered]}"
ok "as it was" lbctl service set web --policy maglev
wait_serving web 3

echo "# another version's program and maps, and backends that are checked one after the other"
# An lbd whose program says that it is of ABI 1.
lbd_end
cp -rs "$BUILD" "$RUN/build"
rm "$RUN/build/lbd"
/usr/bin/python3 - "$BUILD/lbd" "$RUN/build/lbd" "${PINS##*/v}" <<'END' || bail "another version's lbd"
import re, struct, sys

program = open(sys.argv[1], "rb").read()
# struct lb_identity, and the features behind it
program, nr = re.subn(re.escape(bytes(8) + struct.pack("<II", int(sys.argv[3]), 0)) + rb"(?=\xff.\0\0\0\0\0\0)",
                      bytes(8) + struct.pack("<II", 1, 0), program, flags=re.S)
open(sys.argv[2], "wb").write(program)
sys.exit(not nr)
END
chmod +x "$RUN/build/lbd"
this=$BUILD
BUILD=$RUN/build
lbd_start
BUILD=$this
cat >"$RUN/check" <<END
#!/bin/sh
[ "\$LBD_BACKEND_ADDRESS" = 10.0.0.11 ] || until [ -e "$RUN/answer" ]; do sleep 0.05; done
END
chmod +x "$RUN/check"
touch "$RUN/answer"
ok "a check" lbctl service set web --check "exec:$RUN/check" --check-interval 20s --check-timeout 20s --announce true
announced() { ip -n lb route show table 76 | grep -q 192.0.2.10; }
ok "the VIP is announced" wait_for 5 announced
talk_start held host client "$TRAFFIC" hold --to 192.0.2.10:80 --count 300 --first-port 10000 --every 100
talk_read held
is "300 connections are open" "$(field alive "$ANSWER")" 300
lbd_end KILL
mv "$PINS" /sys/fs/bpf/lb/v1
mkdir -p /sys/fs/bpf/lb/mine /sys/fs/bpf/lb/v2
rm "$RUN/answer"
ip -n lb monitor route >"$RUN/routes" &
lbd_start
first_is_up() { [ "$(service_json web '[.backends[].status.health] | join(" ")')" = "up unknown unknown" ]; }
ok "one backend is up" wait_for 5 first_is_up
is "lbd makes maps of its own" "$(lbctl --json status | jq .adopted)" false
is "and waits" "$(lbctl --json status | jq -r '.interfaces[0] | "\(.attached) \(.note)"')" \
	"false a former program, whose maps cannot be adopted, forwards until all backends are checked"
is "/readyz says so" "$(host lb curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9707/readyz)" 503
touch "$RUN/answer" # within the ten seconds that lbd waits
attached() { [ "$(lbctl --json status | jq '.interfaces[0].attached')" = true ]; }
ok "then it is attached" wait_for 15 attached
traffic_ok "with the new program in the old one's place"
talk held ping
is "no connection broke, or moved" "$(field alive "$ANSWER") $(field moved "$ANSWER")" "300 0"
ok "the route stayed" announced
is "all the time" "$(grep -c Deleted.*192.0.2.10 "$RUN/routes")" 0
theirs_gone() { [ "$(ls /sys/fs/bpf/lb | sort | xargs)" = "mine ${PINS##*/}" ]; }
ok "their maps are removed, and nothing else" wait_for 5 theirs_gone
ok "it is told" grep -q 'msg="removed the maps of another version" folder="/sys/fs/bpf/lb/v1"' "$RUN/lb/log"

echo "# refusals"
is "a value that is none" "$(host lb curl -s --unix-socket "$RUN/lb/lbd.sock" 'http://lbd/v1/status?verify=yes' | jq -r .detail)" "verify: must be 0 or 1"

# The file system below the one that is gone is everybody's.
lbd_end
rm -r /sys/fs/bpf/lb
done_testing
