# SPDX-License-Identifier: GPL-2.0-only
# KVM page tracking: a patch series for Linux 6.12 and its lab.  `make` lists the targets.

BASE ?=
KERNEL ?=
LINUX ?=
PATCH ?=
PATCHES ?= $(CURDIR)/patches
export BASE KERNEL LINUX PATCH PATCHES ACCEL MACHINE MMU T

# What the set-up of `make run` needs besides the modules.
EXTRA := $(if $(filter intel,$(MACHINE))$(NESTED),selftests)

.PHONY: fetch help run test measure modules kernel selftests tree refresh series check clean
.NOTPARALLEL: # each script uses all processors itself
.DELETE_ON_ERROR:
.SUFFIXES:

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18
	@sed -n 's/^#= //p' Makefile

#= Variables:
#=   BASE=1           the same without the series (modules, kernel, selftests, run)
#=   KERNEL=6.12.N    another version than the newest in the configured archive
#=   LINUX=TREE       any 6.12.y tree as the source
#=   MACHINE=amd|intel  MMU=npt=0|npt=1|ept=0|ept=1  T=PATTERN    what to run or test
#=   ACCEL=kvm        nested virtualization of this machine instead of emulation
#=   PATCH=NAME       the patch that `make refresh` puts the edits into

run: modules build/packages.$(if $(EXTRA),test,run) $(EXTRA) ## boot a Linux guest on a host with these modules (a few minutes)
	@lab/verbs/run

test: build/packages.test ## prove it all on emulated AMD and Intel machines
	@$(MAKE) --no-print-directory BASE= modules kernel selftests
	@$(MAKE) --no-print-directory BASE=1 modules selftests
	@lab/verbs/test

measure: build/packages.kernel ## count instructions of the base and of ours
	@$(MAKE) --no-print-directory modules selftests
	@$(MAKE) --no-print-directory BASE=1 modules selftests
	@lab/verbs/measure

modules: fetch build/packages.modules $(if $(BASE),,tree) ## kvm.ko, kvm-amd.ko, kvm-intel.ko for Debian's kernel
	@lab/verbs/modules

kernel: fetch build/packages.kernel $(if $(BASE),,tree) ## the debug kernel
	@lab/verbs/kernel

selftests: fetch build/packages.selftests $(if $(BASE),,tree) ## KVM's selftests, static
	@lab/verbs/selftests

tree: fetch build/packages.tree ## the patched source, build/tree, own files as links
	@lab/verbs/tree

refresh: fetch build/packages.tree ## edits of Linux's files in build/tree go back into their patches
	@lab/verbs/refresh

series: fetch build/packages.series ## the series as mails, build/series
	@lab/verbs/series

check: tree build/packages.check ## each prefix of the series, warnings, style
	@lab/verbs/check

clean: ## remove build/
	@rm -rf build

fetch: build/packages.fetch
	@lab/verbs/fetch

build/packages.%: lab/data/packages
	@mkdir -p build
	@lab/lib/packages $*
	@touch $@
