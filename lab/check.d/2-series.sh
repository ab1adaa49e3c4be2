# The series as mails.  Read by lab/check.
# shellcheck shell=bash disable=SC2154 # what lib.sh and lab/check set

export_series() {
	# Without a name to sign with, as on a test machine, any will do for the check.
	git -C "$root" config user.email >/dev/null ||
		export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0="Page Track Lab" \
			GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=lab@example.org
	"$root/lab/series"
}

# The paths that a patch adds are under MAINTAINERS' patterns of KVM and i915 already.
checkpatch() {
	(cd "$build/src" && ./scripts/checkpatch.pl --strict --show-types --no-summary \
		--ignore FILE_PATH_CHANGES "$1")
}

check "export and git am" export_series
for mail in "$build"/series/*.patch; do
	case ${mail##*/} in 0000-* | '*.patch') continue ;; esac
	check "checkpatch ${mail##*/}" checkpatch "$mail"
done
