# KVM, with W=1 and KVM_WERROR, and KVMGT compiled each way: gcc and clang, modules and
# built in, KVM_EXTERNAL_WRITE_TRACKING on and off.  Sparse on own files.  Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

gvt_objects() { (cd "$build/src" && ls drivers/gpu/drm/i915/gvt/*.c) | sed 's/c$/o/'; }

compiled() {
	whole_tree
	configure "$1" "$2" "$3"
	clean kmake "$1-$2-$3" W=1 arch/x86/kvm/
	# shellcheck disable=SC2046 # a list of words
	[ "$3" = off ] || clean kmake "$1-$2-$3" $(gvt_objects)
}

sparse_own() {
	local objects
	whole_tree
	objects=$(own_files | sed -n 's/\.c$/.o/p' | grep -E '^(arch|drivers|virt)/')
	configure gcc m on
	# shellcheck disable=SC2086 # a list of words
	(cd "$build/check/gcc-m-on" && rm -f $objects)
	# shellcheck disable=SC2086
	clean kmake gcc-m-on W=1 C=2 $objects
}

if [ -n "$(series)" ]; then
	check "gcc, modules, external tracking on, W=1" compiled gcc m on
	check "gcc, built in, external tracking off, W=1" compiled gcc y off
	check "clang, modules, external tracking off, W=1" compiled clang m off
	check "clang, built in, external tracking on, W=1" compiled clang y on
	check "sparse and W=1 on own files" sparse_own
fi
