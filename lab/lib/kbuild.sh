# How the checks configure and build kernels.  Read by lab/checks/prefixes.sh.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

# The tree of the checks with the whole series, whatever prefix was built last.
whole_tree() { CHECK=1 "$root/lab/verbs/tree"; }

# configure COMPILER y|m on|off: make build/check/COMPILER-KIND-TRACKING ready to build in.
configure() {
	local o=$build/check/$1-$2-$3 on="# CONFIG_DRM_I915 is not set" inputs
	mkdir -p "$o"
	[ "$3" = off ] || on=$(printf 'CONFIG_%s\n' DRM=y DRM_I915=m VFIO=m DRM_I915_GVT_KVMGT=m)
	printf '%s\n' "$(cat "$root/lab/data/check.config")" CONFIG_KVM="$2" CONFIG_KVM_AMD="$2" \
		CONFIG_KVM_INTEL="$2" "$on" >"$o/wanted"
	# The KUnit tests need external tracking; only the later prefixes have them.
	cp "$o/wanted" "$o/all"
	[ "$3" = off ] || cat "$root/lab/data/series.config" >>"$o/all"
	inputs=$(cat "$o/all" "$build/check/tree/arch/x86/kvm/Kconfig" | sha256sum)
	[ "$inputs" != "$(cat "$o/configured" 2>/dev/null)" ] || return 0
	kmake "$1-$2-$3" KCONFIG_ALLCONFIG="$o/all" allnoconfig
	stuck "$o/wanted" "$o/.config"
	[ "$3" = "$(grep -qx CONFIG_KVM_EXTERNAL_WRITE_TRACKING=y "$o/.config" && echo on || echo off)" ] ||
		die "KVM_EXTERNAL_WRITE_TRACKING is not $3"
	echo "$inputs" >"$o/configured"
}

# kmake COMPILER-KIND-TRACKING TARGET...
kmake() {
	local dir=$1 cc=(CC="ccache gcc")
	shift
	case $dir in clang-*) cc=(LLVM=1 CC="ccache clang") ;; esac
	make -C "$build/check/tree" O="$build/check/$dir" "${cc[@]}" -j"$jobs" "$@"
}
