# Shared by the scripts of the lab; read with `. "$(dirname "$0")/../lib/common.sh"`.
# shellcheck shell=bash disable=SC2034 # the scripts use what is set here

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build
patches=${PATCHES:-$root/patches}
jobs=${JOBS:-$(nproc)}

# The patched build, with BASE=1 that of Linux as it is, with CHECK=1 that of `make check`.
if [ -n "${BASE:-}" ]; then
	out=$build/base tree=$build/src tag=base-
elif [ -n "${CHECK:-}" ]; then
	out=$build/check tree=$build/check/tree tag=check/
else
	out=$build tree=$build/tree tag=
fi

# What the lab compiles is cached under build/ too, unless the user has a cache.
export CCACHE_DIR=${CCACHE_DIR:-$build/ccache} CCACHE_NOHASHDIR=1
export QUILT_PATCHES=.patches

# Linux's make shall see none of the variables given to ours.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES BASE CHECK KERNEL LINUX

say() { printf '%s\n' "$*"; }

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Print the comment at the top of the script.
usage() {
	sed -n '2,/^[^#]/s/^# //p' "$0" >&2
	exit 2
}

# lock NAME: wait until no other script of the lab has NAME.
lock() {
	mkdir -p "$build/log/$tag"
	exec 9>"$build/log/.lock-${1//\//-}"
	flock 9
}

# log NAME COMMAND...: run COMMAND, output to build/log/NAME; on failure show why.
log() {
	local file=$build/log/$1
	shift
	mkdir -p "${file%/*}"
	"$@" >"$file" 2>&1 && return
	grep -E -m5 'error|Error|FAILED|\*\*\*' "$file" >&2 || tail -n5 "$file" >&2
	die "failed, see ${file#"$root"/}: $*"
}

# The patches of the series, one a line, and the own files of PATCH (all without).
series() { [ ! -f "$patches/series" ] || sed '/^#/d; s/[[:space:]]*$//; /^$/d' "$patches/series"; }

own_files() {
	[ -f "$patches/series" ] || return 0
	awk -v want="${1:-}" '
		$1 == "#+" { if (want == "" || want == patch) print $2; next }
		!/^#/ && NF { patch = $1 }' "$patches/series"
}

# The files of Linux that PATCH (a file) touches.
touched() { sed -n 's,^\(---\|+++\) [ab]/\([^[:space:]]*\).*,\2,p' "$@" | sort -u; }

# stuck WANTED CONFIG: every option of WANTED must be in CONFIG.
stuck() {
	local lost o
	lost=$(grep '^CONFIG_' "$1" | grep -vxFf "$2") || return 0
	while read -r o; do say "did not stick: $o" >&2; done <<<"$lost"
	die "$(wc -l <<<"$lost") config options did not stick in ${2#"$root"/}"
}

# The files of build/tree, Linux's or new, that are not as the series makes them.
edited() (
	cd "$tree" || exit
	find . \( -name .pc -o -name .patches \) -prune -o -type f -newer .patches/made -printf '%P\n' |
		while read -r f; do
			applied=.patches/applied/$f
			[ -e "$applied" ] || applied=$build/src/$f
			cmp -s "$f" "$applied" || echo "$f"
		done
)
