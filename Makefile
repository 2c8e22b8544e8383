# SPDX-License-Identifier: GPL-2.0
#
# The commands of the project; `make help` lists them. Kbuild says how ub.ko is
# made of its sources.
#
# A module is built in build/RELEASE, a tree of links to the sources, so that
# builds for several kernels stand beside each other and the checkout stays
# clean. Variables:
#
#   KDIR=DIR   the kernel's headers or build directory; default: the running one's
#   V=1        show commands

KDIR ?= /lib/modules/$(shell uname -r)/build
release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
tree = $(CURDIR)/build/$(release)

# No BTF: nothing reads it of a module, and making it needs a tool (pahole) that
# the headers may come without.
jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
kbuild = $(MAKE) --no-print-directory $(jobs) -C $(KDIR) M=$(tree) CONFIG_DEBUG_INFO_BTF_MODULES=

# What the proof of safety rests on: everything else may be wrong without harm.
tcb := src/base/address.h src/sfi/*.h src/sfi/*.cc src/sfi/*.inc src/runtime/enter.S src/runtime/run.h \
	src/runtime/chain.* src/runtime/publish.* src/runtime/syscalls.* \
	src/kernel/codemem.c src/kernel/faults.c src/kernel/run.c src/kernel/syscall.c src/kernel/hook* \
	src/kernel/transient.* src/kernel/history.S

.DEFAULT_GOAL := module
.PHONY: module modules install setup host check mutants attack differential fuzz suites bench-translate bench-sandbox demo gaps lint tcb clean help kernels

module: third_party/zydis/include/Zydis/Zydis.h ## ub.ko for the running kernel, or for KDIR=DIR, in build/RELEASE
	@if [ -z "$(release)" ]; then \
		echo "make: no kernel headers in $(KDIR); install linux-headers-$$(uname -r), give KDIR=DIR," \
			"or build for the test kernels with make modules" >&2; exit 1; fi
	@mkdir -p $(tree)
	+@exec 9>$(tree)/.lock && flock 9 && set -e && \
	ln -sf $(CURDIR)/Kbuild $(CURDIR)/sources.list $(tree) && \
	for d in src kunit third_party/zydis/src third_party/zydis/include third_party/zycore; do \
		mkdir -p $(tree)/$$d && cp -sRf $(CURDIR)/$$d/. $(tree)/$$d; done && \
	find $(tree) -xtype l -delete && \
	$(kbuild) modules && \
	scripts/mark-arena $(tree)/ub.ko

modules: kernels ## ub.ko for each of the stock test kernels, 6.1 and 6.12
	+@for k in 6.1 6.12; do $(MAKE) --no-print-directory module KDIR=$$(tests/vm/kernel kdir $$k) || exit; done

install: module ## install ub.ko of the running kernel (or KDIR), so that modprobe ub works
	+$(kbuild) CONFIG_MODULE_SIG_ALL= modules_install
	depmod -a $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(release)

kernels:
	@tests/vm/kernel kdir 6.1 >/dev/null 2>&1 && tests/vm/kernel kdir 6.12 >/dev/null 2>&1 || scripts/setup --build

third_party/zydis/include/Zydis/Zydis.h:
	scripts/setup --build

setup: ## install and fetch all that building, testing and the demo need
	scripts/setup --all

host: ## the core as a user-space library, and its tests
	$(MAKE) -f tests/host/host.mk

check: ## every test: host, KUnit, kselftests in guests; writes build/results/check.json
	scripts/check

mutants: ## the mutation suite at length: images with one thing changed, and the verifier's verdicts
	$(MAKE) -f tests/host/host.mk tests
	CASES=$${CASES:-4000} build/host/ub_tests --gtest_filter='Mutants*:Decoders*'

attack: ## every attack at length in all kernels, and the mutants; writes build/results/safety.json
	scripts/attack

differential: ## images beside the CPU on CASES=N cases from SEED=S; writes build/results/differential.json
	+@CASES=$(CASES) SEED=$(SEED) $(MAKE) --no-print-directory -f tests/host/host.mk differential

fuzz: ## any bytes as guest code and as images, SECONDS=N of CPU time each; writes build/results/fuzz.json
	@scripts/setup --fuzz
	@SECONDS=$(SECONDS) SEED=$(SEED) scripts/fuzz

suites: modules ## other people's test suites, natively and under ub, in guests; writes build/results/suites.json
	tests/apps/run

bench-translate bench-sandbox: ## how long translating takes; how fast images run on this CPU; into build/results/
	+@$(MAKE) --no-print-directory -f tests/host/host.mk bench
	@mkdir -p build/results
	COMMIT=$$(git rev-parse --short HEAD 2>/dev/null) build/host/$(subst -,_,$@) build/host/kernels.so build/results/$@.json

demo: ## unmodified programs with ub off and on, in guests; writes build/results/demo.json
	bench/demo/run

gaps: ## real programs in guests, and what of their gaps runs translated; writes build/results/gaps.json, docs/gaps.md
	bench/apps/run --docs

lint: ## style, include rule, scripts
	scripts/lint

tcb: ## count the lines that safety rests on
	@wc -l $(wildcard $(tcb))

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z -]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
