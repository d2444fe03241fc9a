# SPDX-License-Identifier: GPL-2.0-or-later
# Sluice. `make help` lists what there is to make.
#
#   CC=clang            the compiler of userspace (default gcc)
#   CLANG=clang-19      the compiler of the BPF programs (default clang)
#   PREFIX, DESTDIR     where `make install` puts things (default /usr/local)
#   V=1                 show the commands

VERSION := 0.1.0
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
COMPDIR ?= $(PREFIX)/share/bash-completion/completions
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
DOCDIR ?= $(PREFIX)/share/doc/sluice
CLANG ?= clang
LLVM_STRIP ?= $(or $(shell command -v $(subst clang,llvm-strip,$(CLANG))),llvm-strip)
BPFTOOL ?= $(or $(shell command -v bpftool),/usr/sbin/bpftool)
B := build

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

LIBS := libxdp libbpf libelf zlib libnl-3.0 libnl-route-3.0 libevent_core libmicrohttpd libcurl openssl jansson libfyaml \
	smartcols libcap-ng libpcap libcares
# Only asked for by the goals that build: `make deps` has to work without them.
PKG_CFLAGS = $(shell pkg-config --cflags $(LIBS))
PKG_LIBS = $(shell pkg-config --libs $(LIBS))

WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes -Wshadow
CFLAGS ?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
LDFLAGS ?= -Wl,-z,relro,-z,now
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -DLB_VERSION='"$(VERSION)"' -Iinclude -Iuserspace/liblb -I$(B)/bpf \
	$(PKG_CFLAGS)
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -U_FORTIFY_SOURCE
MULTIARCH = $(shell gcc -print-multiarch)
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude -I/usr/include/$(MULTIARCH)

PROGRAMS := $(filter-out liblb,$(notdir $(wildcard userspace/lb*)))
BPF_SRC := $(wildcard bpf/*.bpf.c)
SKELS := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.skel.h)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_TESTS := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%)
PACKET_SRC := $(wildcard tests/packet/*.c)
NETNS_PARTED := $(notdir $(patsubst %/,%,$(sort $(dir $(wildcard tests/netns/*/*.c)))))
TOOLS := $(patsubst tools/%.c,$(B)/tools/%,$(wildcard tools/*.c)) $(patsubst tests/netns/%.c,$(B)/tests/%,$(wildcard tests/netns/*.c)) \
	$(NETNS_PARTED:%=$(B)/tests/%)
objs = $(patsubst %.c,$(B)/$(2)/%.o,$(wildcard $(1)/*.c))

all: $(PROGRAMS:%=$(B)/%)

help:
	@echo 'make            build lbd, lbctl, lbnode into $(B)/'
	@echo 'make demo       a load balancer in network namespaces, with real traffic (root)'
	@echo 'make vm         the same laboratory in a QEMU machine, with a shell on its load balancer (no root needed)'
	@echo 'make test       every test (root)'
	@echo 'make vm-test    boot kernels in QEMU and test there (no root needed)'
	@echo 'make bench      measure (root); make deps-bench installs what it compares with, docs/benchmarks.md explains'
	@echo 'make bench-vm   the same comparison beside IPVS, in a QEMU machine whose kernel has it'
	@echo 'make deps       install what Debian 12 needs for all of this (root)'
	@echo 'make install    DESTDIR and PREFIX are honoured; make uninstall undoes it'
	@echo 'make deb        Debian packages, in $(B)/deb: sluice for load balancers, sluice-node for backends'
	@echo 'make clean'

# ---- BPF ----
$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/lb/*.h include/lb/dp/*.h) Makefile
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MD -MF $@.d -c $< -o $@.tmp && $(LLVM_STRIP) -g $@.tmp
	@! grep -q gnu/stubs $@.d || { echo "$<: includes what needs a C library, and there is none for BPF" >&2; false; }
	@mv $@.tmp $@

$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

# ---- userspace: normal objects under obj/, sanitized ones under san/ ----
$(B)/obj/%.o: %.c $(SKELS) Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/san/%.o: %.c $(SKELS) Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(SAN) -MMD -MP -c $< -o $@

$(B)/obj/liblb.a: $(call objs,userspace/liblb,obj)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/san/liblb.a: $(call objs,userspace/liblb,san)
	$(Q)rm -f $@ && ar rcs $@ $^

define program
$(B)/$(1): $(call objs,userspace/$(1),obj) $(B)/obj/liblb.a
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ -Wl,--as-needed $$(PKG_LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# Programs of tools/ and of the namespace tests: one file each, or a directory of files.
$(B)/tools/%: $(B)/obj/tools/%.o $(B)/obj/liblb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(PKG_LIBS)
$(B)/tests/%: $(B)/obj/tests/netns/%.o $(B)/obj/liblb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(PKG_LIBS)
define netns_parted
$(B)/tests/$(1): $(call objs,tests/netns/$(1),obj) $(B)/obj/liblb.a
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ -Wl,--as-needed $$(PKG_LIBS)
endef
$(foreach p,$(NETNS_PARTED),$(eval $(call netns_parted,$(p))))

$(B)/tests/sctp_peer: PKG_LIBS += -lusrsctp

# ---- tests ----
$(UNIT_TESTS): $(B)/tests/%: $(B)/san/tests/unit/%.o $(B)/san/liblb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ -Wl,--as-needed $(PKG_LIBS) -lcmocka

$(B)/tests/packet: $(call objs,tests/packet,san) $(B)/san/liblb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ -Wl,--as-needed $(PKG_LIBS) -lcmocka

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
.PHONY: all help clean
.SECONDARY:
clean:
	rm -rf $(B)

# ---- bench ----
$(B)/tools/bench: $(call objs,tools/bench,obj) $(B)/obj/liblb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(PKG_LIBS)

# BENCH=name: the cases whose names begin so. Figures are worth comparing within one run only; see docs/benchmarks.md.
bench: all $(B)/tools/bench $(B)/tools/xdp_pass
	$(Q)$(B)/tools/bench $(B)/bench.json

# The same beside IPVS, which needs a kernel that has it; VM_KERNEL as for `vm`.
bench-vm: all $(B)/tools/bench $(B)/tools/xdp_pass
	$(Q)vm-test/bench $(B)/bench-vm.json $(VM_KERNEL)

bench-compare: $(B)/tools/bench_compare
	$(Q)[ -n "$(OLD)" -a -n "$(NEW)" ] || { echo 'usage: make bench-compare OLD=a.json NEW=b.json' >&2; exit 2; }
	$(Q)$(B)/tools/bench_compare "$(OLD)" "$(NEW)"

# What Sluice is held against; a peer that is not there is left out.
DEPS_BENCH := haproxy ipvsadm libnginx-mod-stream nftables
deps-bench:
	$(Q)$(MAKE) --no-print-directory deps DEPS="$(DEPS_BUILD) $(DEPS_RUN) $(DEPS_BENCH)"

.PHONY: bench bench-vm bench-compare deps-bench

# ---- what the README promises ----
DEPS_BUILD := gcc make pkg-config clang llvm bpftool libc6-dev libbpf-dev libxdp-dev libelf-dev zlib1g-dev libnl-3-dev \
	libnl-route-3-dev libevent-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libjansson-dev libfyaml-dev libsmartcols-dev \
	libcap-ng-dev libpcap-dev libc-ares-dev
DEPS_RUN := iproute2 ethtool procps nginx-light curl jq
DEPS_TEST := debhelper systemd libcmocka-dev libusrsctp-dev iputils-ping spin tcpdump prometheus qemu-system-x86 busybox-static cpio xz-utils kmod dpkg-dev groff \
	openssl socat dnsmasq-base python3-grpcio bird2 frr keepalived \
	redis-server python3-redis postgresql python3-aiohttp strace
DEPS := $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST)

# Only what is missing is installed; where nothing is, apt is not asked. Services that packages bring are not started.
deps:
	@missing=$$(for p in $(DEPS); do \
		[ "$$(dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || echo $$p; done); \
	[ -z "$$missing" ] && exit 0; \
	echo "installing: "$$missing; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get -q update && RUNLEVEL=1 apt-get -q install -y --no-install-recommends $$missing

demo: deps
	$(Q)$(MAKE) --no-print-directory all $(TOOLS)
	$(Q)tools/demo.sh

test: deps
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)tests/run

tests: $(UNIT_TESTS) $(B)/tests/packet $(TOOLS) $(B)/deb/built

install: all
	install -D -m 755 -t $(DESTDIR)$(SBINDIR) $(PROGRAMS:%=$(B)/%)
	install -D -m 644 -t $(DESTDIR)$(MANDIR)/man8 docs/lbd.8 docs/lbctl.8 docs/lbnode.8
	install -D -m 644 -t $(DESTDIR)$(MANDIR)/man5 docs/lbd.yaml.5
	install -d $(DESTDIR)$(UNITDIR)
	sed 's,/usr/sbin/,$(SBINDIR)/,g' packaging/lbd.service >$(DESTDIR)$(UNITDIR)/lbd.service
	sed 's,/usr/sbin/,$(SBINDIR)/,g' packaging/lbnode@.service >$(DESTDIR)$(UNITDIR)/lbnode@.service
	install -D -m 644 packaging/completions/bash/lbctl $(DESTDIR)$(COMPDIR)/lbctl
	install -D -m 644 packaging/lbd.sysusers $(DESTDIR)$(SYSUSERSDIR)/lbd.conf
	install -D -m 644 -t $(DESTDIR)$(DOCDIR) README.md docs/*.md packaging/lbd.rules.yml packaging/grafana.json
	install -D -m 644 -t $(DESTDIR)$(DOCDIR)/examples docs/examples/*

uninstall:
	rm -f $(PROGRAMS:%=$(DESTDIR)$(SBINDIR)/%) $(DESTDIR)$(MANDIR)/man8/lbd.8 $(DESTDIR)$(MANDIR)/man8/lbctl.8 \
		$(DESTDIR)$(MANDIR)/man8/lbnode.8 $(DESTDIR)$(MANDIR)/man5/lbd.yaml.5 $(DESTDIR)$(UNITDIR)/lbd.service \
		$(DESTDIR)$(UNITDIR)/lbnode@.service $(DESTDIR)$(COMPDIR)/lbctl $(DESTDIR)$(SYSUSERSDIR)/lbd.conf
	rm -rf $(DESTDIR)$(DOCDIR)

# Debian packages of what is built: sluice for load balancers, sluice-node for backends.
deb: $(B)/deb/built

$(B)/deb/built: $(PROGRAMS:%=$(B)/%) $(wildcard packaging/* packaging/*/* docs/* docs/*/*) README.md Makefile
	$(call say,DEB,$(@D))
	$(Q)rm -rf $(@D) && mkdir -p $(@D)/sluice && cp -r packaging/debian $(@D)/sluice/debian
	$(Q)printf 'sluice (%s) unstable; urgency=medium\n\n  * See README.md.\n\n -- %s  %s\n' $(VERSION) \
		"$$(sed -n 's/^Maintainer: //p' packaging/debian/control)" "$$(git log -1 --format=%cD 2>/dev/null || date -R)" \
		>$(@D)/sluice/debian/changelog
	$(Q)cd $(@D)/sluice && dpkg-buildpackage --build=binary --no-sign >../log 2>&1 || { cat ../log >&2; exit 1; }
	$(Q)touch $@

.PHONY: deps demo test tests install uninstall deb

# ---- virtual machines ----
# VM_KERNELS="5.10 6.1 6.12 newest" chooses; see vm-test/run.
vm-test: all $(B)/tests/packet $(B)/tests/node_kernel_test
	$(Q)vm-test/run $(VM_KERNELS)

# A machine to try things in. VM_KERNEL=5.10 boots another kernel.
vm: deps
	$(Q)$(MAKE) --no-print-directory all $(B)/tools/xdp_pass
	$(Q)vm-test/shell $(VM_KERNEL)

.PHONY: vm-test vm
