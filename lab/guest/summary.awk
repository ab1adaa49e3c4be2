# Peaks and totals of the "stat" lines of a run.  memory: that of the guest, in MiB,
# if it is shadowed: the base then has 2 bytes for each of its pages, else nothing.
$1 == "stat" {
	sub(/\r/, "")
	for (i = 2; i <= 6; i++)
		if ($i == "-")
			none[i] = 1
		else if ($i + 0 > peak[i])
			peak[i] = $i + 0
	lines++
}

function row(name, i, unit) {
	printf "  %-34s %12s %s\n", name, none[i] ? "-" : peak[i] + 0, unit
}

END {
	if (!lines) {
		print "no statistics were seen"
		exit 1
	}
	print "Summary"
	row("tracked pages, peak", 2, "")
	row("counter memory, peak", 5, "bytes")
	printf "  %-34s %12d bytes\n", "the base's counters for its RAM", memory * 256 * 2
	row("emulated writes to page tables", 3, "")
	row("unsync shadow pages, peak", 4, "")
	row("page faults taken by KVM", 6, "")
}
