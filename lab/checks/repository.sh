# The files of the repository.  Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

named_once() {
	local lost
	lost=$(
		own_files | sort | uniq -d | sed 's,.*,error: & is named twice in patches/series,'
		comm -13 <(own_files | sort -u) <(cd "$root" && git ls-files arch Documentation drivers include tools virt | sort) |
			sed 's,.*,error: & is not named in patches/series,'
		for f in $(own_files); do
			[ -f "$root/$f" ] || say "error: $f is named in patches/series and is not there"
		done
	)
	[ -z "$lost" ] || { say "$lost"; return 1; }
}

scripts() {
	(cd "$root" && git ls-files && git ls-files -o --exclude-standard) | sort -u | while read -r f; do
		[ ! -f "$root/$f" ] || ! head -n1 "$root/$f" | grep -qE '^#!.*\b(ba)?sh\b' || echo "$f"
	done
	echo lab/lib/common.sh
}

shell_scripts() {
	local list
	mapfile -t list < <(scripts)
	cd "$root" || return
	shellcheck -f gcc "${list[@]}" lab/checks/*.sh
}

shell_inputs() {
	shellcheck --version
	cd "$root" && scripts | xargs tail -n +1 .shellcheckrc lab/checks/*.sh lab/lib/*.sh
}

# The map in README.md has each file below a folder, and nothing that is not there.
whole_map() {
	local all mapped='' files pattern glob lost=0
	all=$(cd "$root" && git ls-files -co --exclude-standard | grep / | sort -u)
	while read -r pattern; do
		[ "$pattern" != build/ ] || continue
		glob=$pattern
		case $glob in */) glob+='**' ;; esac
		files=$(cd "$root" && git ls-files -co --exclude-standard -- ":(glob)$glob")
		[ -n "$files" ] || { say "error: README.md has $pattern, which is not there"; lost=1; }
		mapped+=$files$'\n'
	done < <(sed -n '/^## Where is what/,$ s/^    \([^ ][^ ]*\) .*/\1/p' "$root/README.md")
	while read -r pattern; do
		say "error: $pattern is not in the map of README.md"
		lost=1
	done < <(comm -23 <(cat <<<"$all") <(sort -u <<<"$mapped"))
	return $lost
}

check "README's map is whole" whole_map
check "own files are named once in the series" named_once
check "shellcheck" once shell_scripts < <(shell_inputs)
