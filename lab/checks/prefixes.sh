# Every prefix of the series compiles with W=1 and links, as modules for Debian's kernel,
# and KVMGT compiles, unless the series has just marked it as broken; those that end a
# part boot on the amd machine with shadow paging.
# Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

# shellcheck source=../lib/kbuild.sh
. "$root/lab/lib/kbuild.sh"

# The patches that end a part of the series, without the last: `make test` boots that.
part_ends() { parts | cut -d' ' -f1 | grep -vxF "$(series | tail -n1)"; }

compiles() {
	CHECK=1 "$root/lab/verbs/tree" "$1"
	CHECK=1 "$root/lab/verbs/modules"
	no 'warning:' "$build/log/check/modules"
	# If the patch changes nothing that KVMGT sees, it is as in the prefix before.
	changes "$1" '^(drivers|include|arch/x86/include)/|Kconfig' || [ "$1" = "$(series | head -n1)" ] || return 0
	! grep -q 'depends on BROKEN' "$build/check/tree/drivers/gpu/drm/i915/Kconfig" || return 0
	configure gcc on
	rm -f "$build/check/gcc-on/drivers/gpu/drm/i915/gvt/kvmgt.o"
	clean kmake gcc-on W=1 drivers/gpu/drm/i915/gvt/kvmgt.o
	[ -f "$build/check/gcc-on/drivers/gpu/drm/i915/gvt/kvmgt.o" ]
}

# With it, Linux's selftests of lab/data/prefix pass.
boots() {
	CHECK=1 "$root/lab/verbs/tree" "$1"
	CHECK=boot "$root/lab/verbs/modules"
	CHECK=boot SELFTESTS=$build/selftests "$root/lab/lib/batch" prefix amd npt=0 stock \
		"$root/lab/data/prefix" >"$scratch"
	cat "$scratch"
	no '^FAIL' "$scratch"
	grep -q '^ok' "$scratch"
}

# The selftests are those of all the series.
boots_inputs() {
	local p
	say "$so_far"
	series_inputs
	for p in $(series); do sed '1,/^---$/d' "$patches/$p"; done
	cat "$root/lab/data/prefix" "$root"/lab/{inside,lib,machine}/*
}

# Up to the last one that changes anything that is compiled.  What one that has failed, or was
# stopped, has compiled does not warn again.
compiled=
last_compiles() {
	[ ! -e "$build/check/unproven" ] || rm -rf "$build/check/kbuild" "$build/check/gcc-on"
	touch "$build/check/unproven"
	compiles "$compiled"
	rm "$build/check/unproven"
}

# The key of each is made of that of the one before.  Of a patch that changes nothing that
# is compiled, e.g. selftests, it is the same.  The number of a patch is no part of it.
so_far=$(build_inputs | sha256sum)
for p in $(series); do
	adds=$(patch_inputs "$p")
	if [ -n "$adds" ]; then
		so_far=$(sha256sum <<<"$so_far$adds")
		compiled=$p
	fi
	check "compiles up to $p" once last_compiles <<<"$so_far"
	if [ -n "${FULL:-}" ] || part_ends | grep -qxF "$p"; then
		check "boots up to $p" once boots "$p" < <(boots_inputs)
	fi
done
