# SPDX-License-Identifier: GPL-2.0-only
# KVM page tracking: a patch series for Linux 6.12 and its lab.  `make` lists the targets.

BASE ?=
KERNEL ?=
LINUX ?=
PATCH ?=
PATCHES ?= $(CURDIR)/patches
export BASE KERNEL LINUX PATCH PATCHES ACCEL MACHINE MMU KIND GROUP T REPEAT FULL

# What the set-up of `make run` needs besides the modules.
EXTRA := $(if $(filter intel,$(MACHINE))$(NESTED),selftests)

.PHONY: fetch help run test shell measure tracked modules kernel selftests tree refresh series check debian13 deb packages-test clean
.NOTPARALLEL: # each script uses all processors itself
.DELETE_ON_ERROR:
.SUFFIXES:

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20
	@sed -n 's/^#= //p' Makefile

#= Variables:
#=   BASE=1           the same without the series (modules, kernel, selftests, run)
#=   KERNEL=6.12.N    another version than the newest in the configured archive
#=   LINUX=TREE       any 6.12.y tree as the source
#=   MACHINE=amd|intel  MMU=npt=0|npt=1|ept=0|ept=1    what to run or test
#=   GROUP=own|linux|kunit|guest|nested  KIND=stock|debug    what to test
#=   T=PATTERN        the tests or checks whose name contains this shell pattern
#=   REPEAT=N         each test N times; how often it failed
#=   FULL=1           make check boots each prefix of the series, and compiles more ways
#=   CMD="..."  APPEND="..."  DEBUG=1    what `make shell` runs, kernel parameters, wait for gdb
#=   ACCEL=kvm        nested virtualization of this machine instead of emulation
#=   PATCH=NAME       the patch that `make refresh` puts the edits into
#= What was compiled, checked, downloaded or asked of the base is kept, in some gigabytes at most, in
#= $XDG_CACHE_HOME/kvm-page-track (~/.cache/kvm-page-track); `make clean` leaves it.

run: modules build/packages.$(if $(EXTRA),test,run) $(EXTRA) ## boot a Linux guest on a host with these modules (a few minutes)
	@lab/verbs/run

test: build/packages.test ## prove it all on emulated AMD and Intel machines
	@$(MAKE) --no-print-directory BASE= modules selftests $(if $(filter stock,$(KIND)),,kernel)
	@lab/verbs/test

shell: $(if $(filter debug,$(KIND)),kernel,modules) build/packages.$(if $(filter intel,$(MACHINE)),test,run) selftests ## a shell on a host with these modules, or CMD="..."
	@lab/verbs/shell

measure: build/packages.kernel ## count instructions of the base and of ours
	@$(MAKE) --no-print-directory modules selftests
	@$(MAKE) --no-print-directory BASE=1 modules selftests
	@lab/verbs/measure

tracked: build/packages.kernel build/packages.test ## a Linux guest all of whose memory is tracked, compared with an untracked one
	@$(MAKE) --no-print-directory BASE= modules selftests
	@lab/verbs/tracked

modules: fetch build/packages.modules $(if $(BASE),,tree) ## kvm.ko, kvm-amd.ko, kvm-intel.ko for Debian's kernel
	@lab/verbs/modules

kernel: fetch build/packages.kernel $(if $(BASE),,tree) ## the debug kernel
	@lab/verbs/kernel

selftests: fetch build/packages.selftests $(if $(BASE),,tree) ## KVM's selftests
	@lab/verbs/selftests

tree: fetch build/packages.tree ## the patched source, build/tree, own files as links
	@lab/verbs/tree

refresh: fetch build/packages.tree ## edits of Linux's files in build/tree go back into their patches
	@lab/verbs/refresh

series: fetch build/packages.series ## the series as three sets of mails, build/series
	@lab/verbs/series

check: build/packages.check selftests ## each prefix of the series, warnings, style
	@lab/verbs/check

debian13: build/packages.debian13 ## make run and a short make test on Debian 13, in a chroot (root only)
	@lab/verbs/debian13

deb: build/packages.deb ## the Debian packages, build/debs, to install by apt
	@lab/verbs/deb

packages-test: build/packages.packages-test selftests ## install, upgrade and remove them on Debian 12 and 13 (root only)
	@lab/verbs/packages-test

clean: ## remove build/
	@rm -rf build

fetch: build/packages.fetch
	@lab/verbs/fetch

build/packages.%: lab/data/packages
	@mkdir -p build
	@lab/lib/packages $*
	@touch $@
