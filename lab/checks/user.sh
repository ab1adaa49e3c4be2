# What is not kernel code: the selftests and the document.  Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

# user_inputs PATTERN: what a check depends on that has to do with files of ours like PATTERN.
user_inputs() {
	local p
	cat "$build/version" "$root"/lab/{checks/user.sh,verbs/check,verbs/selftests,lib/common.sh}
	edited | (cd "$tree" && xargs -r sha256sum)
	for p in $(series); do sed '1,/^---$/d' "$patches/$p"; done
	own_files | grep -E "$1" | (cd "$root" && xargs -r sha256sum)
	gcc --version
	clang --version
	ldd --version
	sphinx-build --version
	man --version
}

# All again, in a place of their own: ccache repeats the warnings of what it knows.
selftests_anew() {
	local o=$build/check/selftests tests
	mapfile -t tests < <(own_selftests | sed "s,^,$o/,")
	rm -rf "$o"
	make -C "$tree/tools/testing/selftests/kvm" OUTPUT="$o" CC="ccache gcc" \
		KHDR_INCLUDES="-isystem $build/headers/include" -j"$jobs" "${tests[@]}" >"$scratch" 2>&1 ||
		{ cat "$scratch"; return 1; }
	cat "$scratch"
	no ': (warning|error): ' "$scratch" # also in headers of others, by what we expand
}

# The command-line tool compiles without a warning, by two compilers, and passes its own
# tests, those without a VM; its manual has no mistake of form.
tool() {
	local cc source=$tree/tools/kvm/kvm_page_track
	for cc in gcc clang; do
		rm -rf "$build/check/tool-$cc"
		mkdir -p "$build/check/tool-$cc"
		make -C "$source" OUTPUT="$build/check/tool-$cc/" CC=$cc CFLAGS="-O2 -Werror" check || return
	done
	MANWIDTH=80 man --warnings -l "$source/kvm-page-track.1" 2>&1 >"$scratch" | no . -
	[ -s "$scratch" ]
}

# Sphinx builds the folder of KVM; what it says of our documents fails the check.
documents() {
	local made=$tree/Documentation/networking/netlink_spec doc status=0
	rm -f "$made"/*.rst # left by htmldocs, in the source
	make -C "$tree" O="$build/check/doc" SPHINXDIRS=virt/kvm htmldocs >"$scratch" 2>&1 || status=$?
	rm -f "$made"/*.rst
	cat "$scratch"
	for doc; do
		doc=${doc##*/}
		no "$doc.*(warning|error)" "$scratch"
		[ -s "$(find "$build/check/doc" -name "${doc%.rst}.html" -print -quit)" ]
	done
	return $status
}

# What stands in ``...`` in our documents, outside of their example: each word of the
# code's and each file.
names() {
	# shellcheck disable=SC2016 # no command is run
	sed '/^\.\. code-block::/,/^[^ ]/d' "$@" | tr '\n' ' ' | grep -oP '``.*?``' | tr -d '`'
}

documented_names() {
	local words=$scratch.words lost
	names "$@" | grep -oE '[A-Za-z0-9_/]+\.[ch]\b|[A-Za-z_]\w*_\w+' | sort -u >"$words"
	lost=$(
		while read -r file; do
			[ -n "$(find "$tree/arch/x86" -path "*/$file" -print -quit)" ] || echo "$file"
		done < <(grep '\.' "$words")
		cd "$tree" && grep -RhowFf <(grep -v '\.' "$words") arch/x86/kvm arch/x86/include virt/kvm include |
			sort -u | comm -13 - <(grep -v '\.' "$words")
	)
	[ -z "$lost" ] || { say "error: in a document, and nowhere else:" "$lost"; return 1; }
}

own_files | grep -q '^tools/kvm/' &&
	check "kvm-page-track" once tool < <(user_inputs '^tools/kvm/|/uapi/')
own_files | grep -q '^tools/' &&
	check "selftests compile without a warning" once selftests_anew < <(user_inputs '^tools/|/uapi/')
# shellcheck disable=SC2046 # a list of words
check "sphinx" once documents $(own_files | grep '^Documentation/.*\.rst$') < <(user_inputs '^Documentation/|\.[ch]$')
# shellcheck disable=SC2046
check "names in the documents" documented_names $(own_files | sed -n "s,^Documentation/.*\.rst$,$root/&,p")
