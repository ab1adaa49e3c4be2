# The whole series other ways than that of lab/checks/prefixes.sh, in a tree of its own, so
# that this fills the gaps in which those link: by clang, and without external tracking;
# both at once with FULL=1.
# Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

# shellcheck source=../lib/kbuild.sh
. "$root/lab/lib/kbuild.sh"

# The second one finds most files as the first left them: let ccache look for that.
by_clang() { # on|off
	unset CCACHE_DEPEND
	whole_tree whole
	configure clang "$1"
	# shellcheck disable=SC2046 # a list of words
	clean kmake "clang-$1" W=1 arch/x86/kvm/ $([ "$1" = off ] || echo drivers/gpu/drm/i915/gvt/kvmgt.o)
}

# Against Debian's headers, modpost knows each symbol that nobody defines.
linked_off() {
	whole_tree whole
	CHECK=off "$root/lab/verbs/modules"
	no 'warning:' "$build/log/check/off-modules"
}

if [ -n "$(series)" ]; then
	check "clang, external tracking on, W=1" once by_clang on < <(series_inputs)
	[ -z "${FULL:-}" ] || check "clang, external tracking off, W=1" once by_clang off < <(series_inputs)
	check "gcc, external tracking off, W=1, linked" once linked_off < <(series_inputs)
fi
