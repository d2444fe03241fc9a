# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# The machines of vm-test: an initramfs of busybox, this host's programs with their libraries and the kernel's modules,
# and how QEMU boots it (plain emulation: no root, no KVM). Sourced by `run` and `shell`, which set $build, the build's
# folder.
PATH=$PATH:/usr/sbin:/sbin
QEMU=(qemu-system-x86_64 -M pc -accel "tcg,thread=multi" -cpu max,la57=off -smp 2 -m 2048 -nodefaults -display none
	-no-reboot)
# The kernel is not to try whether its timer interrupts: on a busy host the emulated one may be late for that, and the
# kernel panics.
KERNEL_ARGS="console=ttyS0 panic=-1 loglevel=4 mitigations=off no_timer_check"

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# need TOOL... - or it ends here.
need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || die "$tool is missing: make deps installs it"
	done
}

# need_built PROGRAM...
need_built() {
	local program
	for program; do
		[ -x "$program" ] || die "build/${program#"$build"/} is not built: \`make all tests\` builds it"
	done
}

# image_begin: an empty $root with busybox, ip and what else of the host every machine has; image_end packs it.
image_begin() {
	local applet program
	mkdir -p "$build/vm"
	root=$(mktemp -d "$build/vm/root.XXXXXX")
	trap 'rm -rf "$root"' EXIT
	mkdir -p "$root"/{bin,sbin,proc,sys,dev,run,tmp,etc,modules,var/lib,usr/lib,usr/lib64}
	ln -s usr/lib "$root/lib"
	ln -s usr/lib64 "$root/lib64"
	install -D "$(command -v busybox)" "$root/bin/busybox"
	for applet in $(busybox --list | grep -vx -e busybox -e ip); do
		ln -sf busybox "$root/bin/$applet"
	done
	for program in ip bpftool ethtool curl; do
		need $program
		add_program "$(command -v $program)" "/sbin/$program"
	done
	printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
	printf 'root:x:0:\nlbd:x:900:\nnogroup:x:65534:\n' >"$root/etc/group"
	declare -gA seen=()
	: >"$root/modules/order"
}

# add_program FILE [AT] - into the initramfs, with the libraries it is linked with.
add_program() {
	install -D "$1" "$root${2:-/bin/$(basename "$1")}"
	{ ldd "$1" 2>/dev/null || true; } | sed -n 's,.*=> \(/[^ ]*\) .*,\1,p; s,^[[:space:]]*\(/[^ ]*\) (0x.*,\1,p' |
		while read -r lib; do
			[ -e "$root$lib" ] || install -D "$lib" "$root$lib"
		done
}

# add_module NAME - into the initramfs after what it depends on; nothing where the kernel in the folder $kernel has it
# built in or not at all.
add_module() {
	local file dep pattern
	[ -z "${seen[$1]:-}" ] || return 0
	seen[$1]=1
	pattern=${1//[-_]/[-_]}
	file=$(find -L "$kernel/modules/kernel" -name "$pattern.ko*" | head -n 1)
	[ -n "$file" ] || return 0
	case $file in
	*.xz) xz -dc "$file" >"$root/modules/$1.ko" ;;
	*.zst) zstd -qdc "$file" >"$root/modules/$1.ko" ;;
	*) cp "$file" "$root/modules/$1.ko" ;;
	esac
	for dep in $(objcopy -O binary -j .modinfo "$root/modules/$1.ko" /dev/stdout | tr '\0' '\n' |
		sed -n 's/^depends=//p' | tr ',' ' '); do
		add_module "$dep"
	done
	echo "$1" >>"$root/modules/order"
}

# image_end INIT FILE - $root, with the first process INIT, becomes the initramfs FILE.
image_end() {
	local libxdp
	# libxdp's dispatcher is a file beside the library.
	libxdp=$(find "$root/usr/lib" -name 'libxdp.so.*' -printf '/usr/lib/%P\n' | head -n 1)
	[ -z "$libxdp" ] || install -D "${libxdp%/*}/bpf/xdp-dispatcher.o" "$root${libxdp%/*}/bpf/xdp-dispatcher.o"
	install "$1" "$root/init"
	(cd "$root" && find . -print0 | cpio -0 -o --quiet -H newc -R 0:0 | gzip -1) >"$2"
	rm -rf "$root"
}
