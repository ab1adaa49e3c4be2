# Every prefix of the series builds, the modules for Debian's kernel and KVMGT, and boots
# on the amd machine with shadow paging.
# Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

kvmgt() {
	configure gcc m on
	clean kmake gcc-m-on drivers/gpu/drm/i915/gvt/kvmgt.o
	[ -f "$build/check/gcc-m-on/drivers/gpu/drm/i915/gvt/kvmgt.o" ]
}

# Linux's own selftests of lab/data/prefix run with the modules just built.
boots() {
	BASE=1 "$root/lab/verbs/selftests"
	CHECK=1 SELFTESTS=$build/base/selftests "$root/lab/lib/batch" prefix amd npt=0 stock \
		"$root/lab/data/prefix" >"$build/check/output"
	cat "$build/check/output"
	no '^FAIL' "$build/check/output"
	grep -q '^ok' "$build/check/output"
}

prefix() {
	CHECK=1 "$root/lab/verbs/tree" "$1"
	CHECK=1 "$root/lab/verbs/modules"
	no 'warning:' "$build/log/check/modules"
	kvmgt
	boots
}

for p in $(series); do
	check "builds and boots up to $p" prefix "$p"
done
