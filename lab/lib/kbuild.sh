# How the checks configure and build kernels.  Read by lab/checks/prefixes.sh.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

# whole_tree 1|whole: the tree of the prefixes with the whole series, whatever was built last, or
# the one that never has less.
whole_tree() { CHECK=$1 "$root/lab/verbs/tree"; }

# source_of COMPILER: clang and the prefixes are built at the same time.
source_of() {
	case $1 in
	clang) say "$build/check/whole/tree" ;;
	*) say "$build/check/tree" ;;
	esac
}

# configure COMPILER on|off: make build/check/COMPILER-TRACKING ready to build in.
configure() {
	local o=$build/check/$1-$2 gvt=CONFIG_DRM_I915_GVT_KVMGT=m inputs
	mkdir -p "$o"
	[ "$2" = on ] || gvt="# CONFIG_DRM_I915_GVT_KVMGT is not set"
	cat "$root/lab/data/check.config" - <<<"$gvt" >"$o/wanted"
	# The KUnit tests need external tracking; only the later prefixes have them.
	cp "$o/wanted" "$o/all"
	[ "$2" = off ] || cat "$root/lab/data/series.config" >>"$o/all"
	inputs=$(cat "$o/all" "$(source_of "$1")/arch/x86/kvm/Kconfig" | sha256sum)
	[ "$inputs" != "$(cat "$o/configured" 2>/dev/null)" ] || return 0
	kmake "$1-$2" KCONFIG_ALLCONFIG="$o/all" allnoconfig
	stuck "$o/wanted" "$o/.config"
	[ "$2" = "$(grep -qx CONFIG_KVM_EXTERNAL_WRITE_TRACKING=y "$o/.config" && echo on || echo off)" ] ||
		die "KVM_EXTERNAL_WRITE_TRACKING is not $2"
	echo "$inputs" >"$o/configured"
}

# kmake COMPILER-TRACKING TARGET...
kmake() {
	local dir=$1 cc=(CC="ccache gcc")
	shift
	case $dir in clang-*) cc=(LLVM=1 CC="ccache clang") ;; esac
	make -C "$(source_of "${dir%-*}")" O="$build/check/$dir" "${cc[@]}" -j"$jobs" "$@"
}

# build_inputs: what all that is compiled depends on beside the series.
build_inputs() {
	cat "$build/version" "$root"/lab/verbs/{check,modules,tree} "$root"/lab/lib/{common.sh,kbuild.sh,kvm-kbuild} \
		"$root"/lab/checks/{prefixes,variants,kernel}.sh "$root"/lab/data/{check.config,series.config,quiltrc}
	gcc --version
	clang --version
	sparse --version
}

# changes PATCH PATTERN: does it change a file like PATTERN?
changes() {
	{ touched "$patches/$1"; own_files "$1"; } | grep -qE "$2"
}

# patch_inputs PATCH: what it adds to that; nothing if the compiler sees none of it.
patch_inputs() {
	{ touched "$patches/$1"; own_files "$1"; } | grep -qvE '^(Documentation|tools)/|^MAINTAINERS$' || return 0
	sed '1,/^---$/d' "$patches/$1"
	own_files "$1" | grep -E '^(arch|drivers|include|virt)/' | (cd "$root" && xargs -r sha256sum)
}

# series_inputs: what the whole series depends on.
series_inputs() {
	local p
	build_inputs
	for p in $(series); do patch_inputs "$p"; done
}
