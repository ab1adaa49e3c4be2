# What is not kernel code: the selftests and the document.  Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

own_selftests() {
	whole_tree
	CHECK=1 "$root/lab/verbs/selftests"
	no 'page_track[^ ]*: (warning|error)' "$build/log/check/selftests"
}

# Sphinx builds the folder of KVM; what it says of our document fails the check.
document() {
	local name=${1##*/} made=$build/check/tree/Documentation/networking/netlink_spec
	rm -f "$made"/*.rst # left by htmldocs, in the source
	whole_tree
	make -C "$build/check/tree" O="$build/check/doc" SPHINXDIRS=virt/kvm htmldocs >"$build/check/output" 2>&1 ||
		{ rm -f "$made"/*.rst; cat "$build/check/output"; return 1; }
	rm -f "$made"/*.rst
	cat "$build/check/output"
	no "$name.*(warning|error)" "$build/check/output"
	[ -s "$(find "$build/check/doc" -name "${name%.rst}.html" -print -quit)" ]
}

own_files | grep -q '^tools/' && check "selftests compile without a warning" own_selftests
for doc in $(own_files | grep '^Documentation/.*\.rst$'); do
	check "sphinx ${doc##*/}" document "$doc"
done
