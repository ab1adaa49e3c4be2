# Root file systems of Debian, and commands in them.  Read by lab/verbs/debian13 and
# lab/verbs/packages-test, which set fs, the root file system, and dir, the folder that it is in.
# shellcheck shell=bash disable=SC2154 # what these and common.sh set

progress() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

may_chroot() {
	[ "$(id -u)" = 0 ] || die "needs root, to mount and to chroot"
	[ "$(dpkg --print-architecture)" = amd64 ] || die "the lab needs an amd64 machine"
	for c in git mmdebstrap; do command -v $c >/dev/null || die "$c is missing (make installs it)"; done
	unshare --mount --pid --fork true 2>/dev/null || die "may not mount here (a container without the capability?)"
}

# sources CODENAME: those of this computer's Debian, as another release names them.
sources() {
	local code
	# shellcheck disable=SC1091 # not ours
	code=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016 # for apt to fill in
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v code="$code" -v other="$1" '
			$2 !~ "^" code "(-|$)" { $2 = $3 }
			$2 ~ "^" code "(-updates|-security)?$" { sub("^" code, other, $2); print "deb", $1, $2, $4 }' |
		sort -u
}

# make_root CODENAME PACKAGE,...: make $fs.
make_root() {
	local acquire='^Acquire::(https?|Retries|Check-)'
	sources "$1" >"$dir/sources"
	[ -s "$dir/sources" ] || { apt-get update >"$build/log/apt-update" 2>&1 && sources "$1" >"$dir/sources"; }
	[ -s "$dir/sources" ] || die "apt has no sources of Debian here"
	apt-config dump --no-empty | grep -E "$acquire" >"$dir/apt.conf" || :
	# In the background: 200,000 files take minutes where the disk is told of each.
	[ ! -e "$fs" ] || mv "$fs" "$(mktemp -d "$dir/old.XXXXXX")"
	rm -rf "$dir"/old.* 9>&- &
	# shellcheck disable=SC2016 # $1 is the hook's
	log "${dir##*/}-root" mmdebstrap --mode=root --variant=minbase --include="ca-certificates,$2" \
		--aptopt="$dir/apt.conf" --setup-hook='cp -r /etc/apt/auth.conf* "$1/etc/apt/" 2>/dev/null || :' \
		"$1" "$fs" - <"$dir/sources"
	cp /etc/resolv.conf /etc/hosts "$fs/etc/"
}

# inside COMMAND...: run it in $fs.  Mounts are in a namespace of their own: none outlives it.
child=
inside() {
	local proxies
	mapfile -t proxies < <(env | grep -iE '^[a-z]+_proxy=')
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --pid --fork --kill-child bash -euc '
		fs=$1 ccache=$2
		shift 2
		for d in dev sys; do mount --rbind "/$d" "$fs/$d"; done
		mount -t proc proc "$fs/proc"
		for d in tmp run; do mount -t tmpfs "$d" "$fs/$d"; done
		mkdir -p "$fs/ccache"
		mount --bind "$ccache" "$fs/ccache"
		exec chroot "$fs" "$@"' inside "$fs" "$CCACHE_DIR" \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 CCACHE_DIR=/ccache "${proxies[@]}" \
		"$@" </dev/null 9>&- &
	child=$!
	wait $child
}
trap '[ -z "$child" ] || kill "$child" 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM
