# What is not kernel code: the selftests and the document.  Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

# All again, in a place of their own: ccache repeats the warnings of what it knows.
selftests_anew() {
	local o=$build/check/selftests tests
	mapfile -t tests < <(own_selftests | sed "s,^,$o/,")
	rm -rf "$o"
	make -C "$tree/tools/testing/selftests/kvm" OUTPUT="$o" CC="ccache gcc" EXTRA_CFLAGS=-static LDFLAGS=-static \
		KHDR_INCLUDES="-isystem $build/headers/include" -j"$jobs" "${tests[@]}" >"$scratch" 2>&1 ||
		{ cat "$scratch"; return 1; }
	cat "$scratch"
	no 'page_track[^ ]*: (warning|error)' "$scratch"
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

own_files | grep -q '^tools/' && check "selftests compile without a warning" selftests_anew
# shellcheck disable=SC2046 # a list of words
check "sphinx" documents $(own_files | grep '^Documentation/.*\.rst$')
