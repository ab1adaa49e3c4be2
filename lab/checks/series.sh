# The series as mails.  Read by lab/verbs/check.
# shellcheck shell=bash disable=SC2154 # what common.sh and lab/verbs/check set

export_series() {
	# Without a name to sign with, as on a test machine, any will do for the check.
	git -C "$root" config user.email >/dev/null ||
		export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0="Page Track Lab" \
			GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=lab@example.org
	"$root/lab/verbs/series" || [ $? = 3 ] # 3: for the next check
}

mail_sizes() {
	cat "$build/series.large"
	[ ! -s "$build/series.large" ]
}

# Each part has its cover letter, with a subject and lines of up to 75 columns.  No figure
# is left to be measured (@MEASURE@), and no patch is named by a number, which changes.
cover_letters() {
	local part letters
	for part in $(parts | cut -d' ' -f2); do
		cat "$patches/cover-$part.txt"
		# A long subject is folded.
		sed -z 's/\n / /g' "$build"/series/*-"$part"/0000-cover-letter.patch |
			grep -F "] $(head -n1 "$patches/cover-$part.txt")"
		no '@MEASURE@|\bpatch(es)? [0-9]|^.{76}' "$patches/cover-$part.txt"
	done
	letters=("$patches"/cover-*.txt)
	[ ${#letters[@]} = "$(parts | wc -l)" ]
}

# Four complaints are not heeded: the new files match patterns in MAINTAINERS already,
# "obsolete" in the name of a file does not make it so, the source comes without the
# commits that Fixes: names, and the macros of a tracepoint header are laid out as in all
# of them.
checkpatch() { # MAIL, below build/series
	(cd "$build/src" && ./scripts/checkpatch.pl --strict --terse --showfile --show-types --no-summary \
		--ignore FILE_PATH_CHANGES,OBSOLETE,UNKNOWN_COMMIT_ID "$build/series/$1") >"$build/check/output" || [ -s "$build/check/output" ]
	grep -vE 'trace\.h:[0-9]+: CHECK:(PARENTHESIS_ALIGNMENT|OPEN_ENDED_LINE):' "$build/check/output" |
		no . -
}

# The mail without when it was written, and who reads it.
checkpatch_inputs() {
	cat "$build/version" "$root/lab/checks/series.sh"
	sed -E '/^(From [0-9a-f]{40}|Date:) /d' "$build/series/$1"
}

check "export and git am" export_series
check "mails are not too large for a list" mail_sizes
check "cover letters" cover_letters
for mail in "$build"/series/*/*.patch; do
	case ${mail##*/} in 0000-* | '*.patch') continue ;; esac
	mail=${mail#"$build/series/"}
	check "checkpatch $mail" once checkpatch "$mail" < <(checkpatch_inputs "$mail")
done
