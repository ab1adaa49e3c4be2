# Every prefix of the series builds: the modules for Debian's kernel, and KVMGT.
# Read by lab/check.
# shellcheck shell=bash disable=SC2154 # what lib.sh and lab/check set

kvmgt() {
	configure gcc m on
	clean kmake gcc-m-on drivers/gpu/drm/i915/gvt/kvmgt.o
	[ -f "$build/check/gcc-m-on/drivers/gpu/drm/i915/gvt/kvmgt.o" ]
}

prefix() {
	CHECK=1 "$root/lab/tree" "$1"
	CHECK=1 "$root/lab/modules"
	no 'warning:' "$build/log/check/modules"
	kvmgt
}

for p in $(series); do
	check "builds up to $p" prefix "$p"
done
