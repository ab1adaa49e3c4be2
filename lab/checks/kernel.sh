# The whole series, in the tree of the prefixes: with KVM_WERROR and KVM_PROVE_MMU, KVMGT, and
# sparse on own files.  Read by lab/verbs/check behind lab/checks/prefixes.sh.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

gvt_objects() { (cd "$build/src" && ls drivers/gpu/drm/i915/gvt/*.c) | sed 's/c$/o/'; }

gvt() {
	whole_tree 1
	configure gcc on
	# shellcheck disable=SC2046 # a list of words
	clean kmake gcc-on W=1 $(gvt_objects)
}

sparse_own() {
	local objects
	objects=$(own_files | sed -n 's/\.c$/.o/p' | grep -E '^(arch|drivers|virt)/')
	whole_tree 1
	configure gcc on
	# shellcheck disable=SC2086
	(cd "$build/check/gcc-on" && rm -f $objects)
	# shellcheck disable=SC2086
	clean kmake gcc-on W=1 C=2 $objects
}

if [ -n "$(series)" ]; then
	check "sparse and W=1 on own files" once sparse_own < <(series_inputs)
	check "gcc, KVMGT, W=1" once gvt < <(series_inputs)
fi
