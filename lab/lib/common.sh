# Shared by the scripts of the lab; read with `. "$(dirname "$0")/../lib/common.sh"`.
# shellcheck shell=bash disable=SC2034 # the scripts use what is set here

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build
patches=${PATCHES:-$root/patches}
jobs=${JOBS:-$(nproc)}

# The patched build, with BASE=1 that of Linux as it is, with CHECK=1 that of prefixes of the
# series for `make check`, with CHECK=boot that of those that boot, with CHECK=whole that of
# all of it there, with CHECK=off the same without CONFIG_KVM_EXTERNAL_WRITE_TRACKING.
case ${BASE:+base}${CHECK:-} in
base*) out=$build/base tree=$build/src tag=base- ;;
1) out=$build/check tree=$out/tree tag=check/ ;;
boot) out=$build/check/boot tree=$build/check/tree tag=check/boot- ;;
whole) out=$build/check/whole tree=$out/tree tag=check/whole- ;;
off) out=$build/check/off tree=$build/check/whole/tree tag=check/off- ;;
*) out=$build tree=$build/tree tag= ;;
esac

# What all clones share: what was compiled, Debian's packages, the base's test results.
# Whatever is damaged there is made again.
cache=${XDG_CACHE_HOME:-${HOME:-$build}/.cache}/kvm-page-track
export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache} CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-3G}
# The same file is the same in another clone, and just unpacked.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=include_file_mtime,include_file_ctime
# What a file depends on is known from compiling it: to run the preprocessor before that, to look
# for the same text, takes a third of the time, and finds it where only a configuration differs.
export CCACHE_DEPEND=1
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

# took WHAT SECONDS: note for the end of .ci/run where the time went.
took() { printf '%d %s\n' "$2" "$1" >>"$build/log/times"; }

# little_room: say so if build/, which takes up to 7 GB, cannot grow that much.
little_room() {
	local free
	free=$(df --output=avail -BG "$build" | tail -n1 | tr -dc 0-9)
	[ "$free" -ge 7 ] || say "Only $free GB are free for build/ and the cache" >&2
}

# log NAME COMMAND...: run COMMAND, output to build/log/NAME; on failure show why.
log() {
	local file=$build/log/$1 start=$SECONDS
	shift
	mkdir -p "${file%/*}"
	if "$@" >"$file" 2>&1; then
		took "make ${file#"$build/log/"}" $((SECONDS - start))
		return
	fi
	grep -E -m5 '[Ee]rror:|FAILED|\*\*\*|No space left' "$file" >&2 || tail -n5 "$file" >&2
	little_room
	die "failed, see ${file#"$root"/}: $*"
}

# copy_repository DIR: what git has and what is not committed yet.
copy_repository() {
	(
		cd "$root" || exit
		git -c safe.directory="$root" ls-files -co --exclude-standard | sort -u |
			while read -r f; do [ ! -e "$f" ] || printf '%s\n' "$f"; done | tar -cf - -T -
	) | tar -C "$1" -xf -
}

# The patches of the series, one a line, and the own files of PATCH (all without).
series() { [ ! -f "$patches/series" ] || sed '/^#/d; s/[[:space:]]*$//; /^$/d' "$patches/series"; }

own_files() {
	[ -f "$patches/series" ] || return 0
	awk -v want="${1:-}" '
		$1 == "#+" { if (want == "" || want == patch) print $2; next }
		!/^#/ && NF { patch = $1 }' "$patches/series"
}

# The parts of the series: the last patch of each, and its name, with dashes.
parts() {
	awk '$1 == "#=" { name = $2; for (i = 3; i <= NF; i++) name = name "-" $i; print last, name }
		!/^#/ && NF { last = $1 }' "$patches/series"
}

# Our selftests, as paths below Linux's folder of KVM's, without .c.
own_selftests() { own_files '' | sed -n 's,^tools/testing/selftests/kvm/\(x86_64/.*_test\)\.c$,\1,p'; }

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
