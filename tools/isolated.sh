#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs a command so that nothing it makes outlives it: usage isolated.sh COMMAND [ARG...], as root.
#
# The command gets mount, PID and network namespaces of its own, with an empty /run, /var/lib and /sys/fs/bpf. When it
# ends, or when this script is killed, by whatever signal, the kernel ends its processes and frees its namespaces, pins
# and files. Its stdin is empty. Within, `ip netns` works as usual and the programs' default paths are free to use.
set -u

if [ "${1-}" = --within ]; then
	shift
	mount -t tmpfs tmpfs /run && mkdir -m 755 /run/netns || exit 1
	mount -t tmpfs tmpfs /var/lib || exit 1
	mount -t bpf bpf /sys/fs/bpf || exit 1
	[ ! -d /etc/lbd ] || mount -t tmpfs tmpfs /etc/lbd || exit 1
	ip link set lo up
	"$@"
	exit # with its status; this shell is process 1 of the namespace, whose end is everyone's end
fi

if [ "$(id -u)" != 0 ]; then
	echo "${0##*/}: this needs root, for network namespaces and XDP" >&2
	exit 1
fi
setpriv --pdeathsig KILL unshare --mount --pid --net --fork --kill-child --mount-proc "$0" --within "$@" &
child=$!
trap 'kill -KILL $child; exit 130' INT
trap 'kill -KILL $child; exit 143' TERM HUP
wait $child
