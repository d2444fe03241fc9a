#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian packages: what dpkg makes of them in a root directory of its own, which is this machine's with a layer on top.
. "$(dirname "$0")/lib.sh"

ARCH=$(dpkg --print-architecture)
mkdir -p "$RUN/layer" "$RUN/root"
mount -t tmpfs tmpfs "$RUN/layer"
mkdir "$RUN/layer/upper" "$RUN/layer/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$RUN/layer/upper,workdir=$RUN/layer/work" "$RUN/root" || bail "a layer over /"
mount -t proc proc "$RUN/root/proc"
mount -t tmpfs tmpfs "$RUN/root/run"
for dir in dev sys; do
	mount --rbind /$dir "$RUN/root/$dir"
done
within() { host lb chroot "$RUN/root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
cp "$BUILD"/deb/sluice{,-node}_*_"$ARCH".deb "$RUN/root/tmp/" || bail "the packages are built"
newer() { # PACKAGE: the same with a later version, as tmp/PACKAGE.deb
	local dir=$RUN/layer/$1

	dpkg-deb --raw-extract "$RUN/root/tmp/$1"_*.deb "$dir" &&
		sed -i 's/^Version: .*/&+1/' "$dir/DEBIAN/control" &&
		dpkg-deb --build "$dir" "$RUN/root/tmp/$1.deb"
}
state_of() { within dpkg-query --show --showformat='${db:Status-Status} ${Version}' "$1" 2>/dev/null; }
lab_up_web 1

echo "# installed"
ok "what is installed is all that make install puts there" make -s -C "$ROOT" install DESTDIR="$RUN/layer/made" PREFIX=/usr UNITDIR=/lib/systemd/system
files() { (cd "$1" && find . -type f -o -type l) | sed 's/^\.//; s/\.gz$//' | sort; }
for package in sluice sluice-node; do
	dpkg-deb --extract "$RUN/root/tmp/${package}"_*.deb "$RUN/layer/packed"
done
is "no file is forgotten" "$(comm -23 <(files "$RUN/layer/made") <(files "$RUN/layer/packed"))" ""
is "and none comes from elsewhere" "$(comm -13 <(files "$RUN/layer/made") <(files "$RUN/layer/packed") | grep -v -e copyright -e changelog)" ""
ok "dpkg installs both, and finds what they depend on" within sh -c 'dpkg --install /tmp/sluice_*.deb /tmp/sluice-node_*.deb'
ok "there is a group for who may use lbctl" grep -q '^lbd:' "$RUN/root/etc/group"
ok "lbd starts at boot" test -L "$RUN/root/etc/systemd/system/multi-user.target.wants/lbd.service"
ok "systemd takes the units" within systemd-analyze verify lbd.service lbnode@eth0.service
ok "lbnode" within lbnode --version

echo "# used, with every path as it is by default"
# as systemd would: RuntimeDirectory=, StateDirectory=
within mkdir -p /run/lbd /var/lib/lbd
nsenter --net=/run/netns/lb -- chroot "$RUN/root" /usr/sbin/lbd 2>"$RUN/log" &
LBD_PID[lb]=$!
ready() { within lbctl status >/dev/null; }
wait_for 15 ready || bail "lbd starts" "$(cat "$RUN/log")"
is "the socket is the group's" "$(within stat -c '%U:%G %a' /run/lbd/lbd.sock)" "root:lbd 660"
ok "attach" within lbctl attach lb0
ok "service add" within lbctl service add web 192.0.2.10:80/tcp
ok "backend add" within lbctl backend add web 10.0.0.11
answered() { # WHAT
	spread --to 192.0.2.10:80 --count 20
	is "$1" "$(field ok "$REPORT")" 20
}
answered "connections are answered"

echo "# upgraded"
newer sluice >/dev/null && newer sluice-node >/dev/null || bail "a later version of the packages"
ok "dpkg upgrades both" within sh -c 'dpkg --install /tmp/sluice.deb /tmp/sluice-node.deb'
matches "the later one is there" "$(state_of sluice)" '^installed .*\+1$'
ok "lbd was not stopped" within lbctl status
answered "connections are answered as before"

echo "# removed"
said=$(within dpkg --remove sluice sluice-node 2>&1)
matches "it says that packets are still forwarded" "$said" "goes on forwarding"
lbd_end
answered "they are"
ok "what lbd knew is kept" test -e "$RUN/root/var/lib/lbd/state.json"
ok "and found by the next installation" within sh -c 'dpkg --install /tmp/sluice_*.deb'
nsenter --net=/run/netns/lb -- chroot "$RUN/root" /usr/sbin/lbd 2>"$RUN/log" &
LBD_PID[lb]=$!
wait_for 15 ready || bail "lbd starts again" "$(cat "$RUN/log")"
is "it has adopted the service" "$(within lbctl --json service list | jq -r '.services[].name')" web
ok "detach" within lbctl detach lb0
lbd_end
said=$(within dpkg --purge sluice 2>&1)
is "nothing is said where nothing is attached" "$(grep -c forwarding <<<"$said")" 0
ok "purged, nothing is left of it" bash -c '! ls -d "$1"/usr/sbin/lb{d,ctl} "$1"/var/lib/lbd "$1"/usr/share/doc/sluice' - "$RUN/root"
done_testing
