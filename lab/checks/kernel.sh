# The whole series other ways than that of lab/checks/prefixes.sh: with KVM_WERROR and
# KVM_PROVE_MMU, by clang, without external tracking.  Sparse on own files.
# Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

gvt_objects() { (cd "$build/src" && ls drivers/gpu/drm/i915/gvt/*.c) | sed 's/c$/o/'; }

gvt() {
	whole_tree
	configure gcc m on
	# shellcheck disable=SC2046 # a list of words
	clean kmake gcc-m-on W=1 $(gvt_objects)
}

by_clang() { # y|m on|off
	whole_tree
	configure clang "$1" "$2"
	# shellcheck disable=SC2046
	clean kmake "clang-$1-$2" W=1 arch/x86/kvm/ $([ "$2" = off ] || echo drivers/gpu/drm/i915/gvt/kvmgt.o)
}

# Against Debian's headers, modpost knows each symbol that nobody defines.
linked_off() {
	whole_tree
	TRACKING=off "$root/lab/verbs/modules"
	no 'warning:' "$build/log/check/off-modules"
}

sparse_own() {
	local objects
	objects=$(own_files | sed -n 's/\.c$/.o/p' | grep -E '^(arch|drivers|virt)/')
	whole_tree
	configure gcc m on
	# shellcheck disable=SC2086
	(cd "$build/check/gcc-m-on" && rm -f $objects)
	# shellcheck disable=SC2086
	clean kmake gcc-m-on W=1 C=2 $objects
}

if [ -n "$(series)" ]; then
	check "sparse and W=1 on own files" sparse_own
	check "gcc, KVMGT, W=1" gvt
	check "gcc, modules, external tracking off, W=1, linked" linked_off
	check "clang, built in, external tracking on, W=1" by_clang y on
	check "clang, modules, external tracking off, W=1" by_clang m off
fi
