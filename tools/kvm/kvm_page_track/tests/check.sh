#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# usage: tests/check.sh KVM-PAGE-TRACK MAKE_RAW
# What can be tested of kvm-page-track without KVM: its arguments, and what it makes of a
# file of 19 events, see make_raw.c.
#
# shellcheck disable=SC2015 # whoever is told that a test is bad has no other way
set -u
tool=$1 make_raw=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
raw=$tmp/raw
"$make_raw" >"$raw" || exit
failed=0 tests=0

bad() {
	failed=$((failed + 1))
	echo "FAIL $*"
	sed 's/^/  /' "$tmp/out" "$tmp/err"
}

run() { "$tool" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null; }

# refuses STATUS PATTERN ARGUMENT...: it ends like this, and says so.
refuses() {
	tests=$((tests + 1))
	want=$1 pattern=$2 status=0
	shift 2
	run "$@" || status=$?
	[ "$status" = "$want" ] && grep -q -e "$pattern" "$tmp/err" && [ ! -s "$tmp/out" ] ||
		bad "$* ended with $status, wanted $want and: $pattern"
}

# has NUMBER ARGUMENT...: so many events of the file pass.
has() {
	tests=$((tests + 1))
	want=$1
	shift
	run watch -i "$raw" "$@" || bad "$*"
	[ "$(grep -vc '^#' "$tmp/out")" = "$want" ] || bad "$*: not $want events"
}

# shows PATTERN ARGUMENT...: there is such a line.
shows() {
	tests=$((tests + 1))
	pattern=$1
	shift
	run "$@" && grep -q -e "$pattern" "$tmp/out" || bad "$*: no line like: $pattern"
}

refuses 2 'no command nonsense' nonsense
refuses 2 'unrecognized option' --nonsense
refuses 2 'which process' watch 0x1000+4K
refuses 2 'which addresses' watch -p 1
refuses 2 'exclude each other' watch -p 1 -i "$raw"
refuses 2 'no process 0' watch -p 0 0x1000+4K
refuses 2 '-p: 99999999999 is too large' watch -p 99999999999 0x1000+4K
for range in 0x1000 0x1000+ +4K 0x1000-4K- 0x1000:4K 0x1000+4X -1+4K 0x+4K ' 1+1' 1+-1 \
	99999999999999999999+1; do
	refuses 2 'is not ADDRESS+SIZE' watch -p 1 -- "$range"
done
for range in 0x1000+0 0x2000-0x2000 0x2000-0x1000; do
	refuses 2 'is empty' watch -p 1 "$range"
done
for range in 0x10000000000000-0x10000000001000 0xfffffffffffff+2 1+8192T 9999T+1; do
	refuses 2 'beyond 2^52' watch -p 1 "$range"
done
refuses 2 'is not a number' watch -p 1 --cr3 zero 0+4K
refuses 2 'is empty' watch -p 1 --rip 0x20-0x10 0+4K
refuses 2 'is too long' watch -p 1 --rip 0xffffffffffffffff+2 0+4K
for range in 0x1000-0 0x1000-0x1000 0-0 0+0 0x1000+0; do
	refuses 2 'is empty' watch -p 1 --rip "$range" 0+4K
done
refuses 2 'is empty' watch -p 1 --va 0x1000 0xffff800000000000-0
refuses 2 'is not a number' watch -p 1 --va zero 0+4K
refuses 2 '4 or 5' watch -p 1 --va 0x1000 --levels 3 0+4K
refuses 2 '--levels is for --va' watch -p 1 --levels 5 0+4K
refuses 2 'all and --va exclude' watch -p 1 --va 0x1000 all
refuses 2 '-i and --va exclude' watch -i "$raw" --va 0x1000 0+4K
refuses 2 'which addresses' watch -p 1 --va 0x1000
for range in 0x800000000000+4K 0x7fffffffffff+2 0xffff000000000000+4K 0-0xffffffffffffffff; do
	refuses 2 'not what 4 levels of page tables translate, see --levels' watch -p 1 \
		--va 0x1000 "$range"
done
refuses 2 'not what 5 levels' watch -p 1 0x100000000000000+1 --va 0x1000 --levels 5
refuses 2 'is too long' watch -p 1 --va 0x1000 0xffffffffffffffff+2
refuses 2 'is not ADDRESS' watch -p 1 --va 0x1000 0x1000+
for range in 0x7fffffffffff 0xffff800000000000+128T 0xfffffffffffff000-0xffffffffffffffff; do
	tests=$((tests + 1)) status=0
	run watch -p 99999999 --va 0x1000 "$range" || status=$?
	[ "$status" -gt 2 ] || bad "$range is not taken for --va"
done
refuses 2 'not a time' watch -p 1 --for 0 0+4K
refuses 2 'not a time' watch -p 1 --for nan 0+4K
refuses 2 '--again is for --once' watch -p 1 --again 1 0+4K
refuses 2 'from 1 to' watch -p 1 --events 0 0+4K
refuses 2 'from 1 to' watch -p 1 --events 2M 0+4K
refuses 2 'all, and a part' watch -p 1 all 0+4K
refuses 2 'exclude each other' watch -i "$raw" --json --raw /dev/null
refuses 2 'at least one' watch -i "$raw" -n 0
refuses 2 'exclude each other' ask -p 1 --deny --allow 0+4K
refuses 2 'two digits' ask -p 1 --replace 123 0+4K
refuses 2 'two digits' ask -p 1 --replace '' 0+4K
refuses 2 'two digits' ask -p 1 --replace "$(printf '%0130d' 0)" 0+4K
refuses 2 'svg or .png' heats -i "$raw" -o "$tmp/a.gif"
refuses 2 'not cr3, rip or vcpu' heats -i "$raw" --by pid
refuses 2 'which process' dirty 0+4K
refuses 2 'which addresses' dirty -p 1
refuses 2 'unrecognized option' dirty -p 1 --once 0+4K
refuses 2 'not a time' dirty -p 1 --interval 0 0+4K
refuses 2 'at least one' dirty -p 1 -n 0 0+4K
refuses 2 'who has written a page is not known' dirty -p 1 --vcpu 0 0+4K
refuses 1 'cannot write' dirty -p 1 -o "$tmp/no/folder" 0+4K
refuses 1 'cannot read' watch -i "$tmp/none"
refuses 1 'no file of events' watch -i "$0"
refuses 1 'no file of events' watch -i /dev/null
refuses 1 'cannot write' watch -i "$raw" --raw "$tmp/no/folder"
refuses 2 'same file' watch -i "$raw" --raw "$raw"
ln "$raw" "$tmp/link"
refuses 2 'same file' watch -i "$tmp/link" --raw "$raw"
for file in - /dev/null; do
	refuses 2 'read twice' heats -i "$file"
done
# Before the process is looked for.
refuses 1 'cannot write' watch -p 99999999 --raw "$tmp/no/folder" 0+4K
refuses 1 'cannot write' heats -p 99999999 -o "$tmp/no/a.svg" 0+4K

for command in '' list watch ask dirty heats; do
	shows 'Usage: kvm-page-track' $command --help
done
shows '^kvm-page-track ' --version

has 19
has 1 -n 1
has 8 0x1000+8
has 8 4K+8
has 8 0x1008-0x1010
has 16 0x1000+8 0x1008+1
has 0 0x1010+100
has 1 0x2000+16 # which the write begins in
has 1 0x2010+8 # and ends in
has 0 0x2018+8
has 1 0x2ff0+16 # the one without a length may end there
has 19 all
has 16 --vcpu 0
has 3 --vcpu 1
has 0 --vcpu 2
has 16 --rip 0x401000
has 3 --rip 0xffffffff81000000-0xffffffffffffffff
has 3 --rip 0xffffffff81000000+4K
has 0 --rip 0x401001
has 16 --cr3 0x100fff # PCID does not count
has 3 --cr3 0x200000
has 11 --value-changed # of the 16, 8: the first of each two
has 3 --value-changed --vcpu 1
shows '^ *1.000000000 *0 *0x401000 *0x100000 *0x1000 *8 0100000000000000$' watch -i "$raw"
shows ' 512 \(dd\)\{64\} truncated,smm$' watch -i "$raw"
shows ' - - untracked,unemulated$' watch -i "$raw"
shows '"gpa": "0x2008", "gva": "0xffff888000002008"' watch -i "$raw" --json

# Each line of JSON is an object, and all are there.
tests=$((tests + 1))
run watch -i "$raw" --json
n=0
while read -r line; do
	printf '%s' "$line" | python3 -m json.tool >/dev/null 2>>"$tmp/err" || bad "no JSON: $line"
	n=$((n + 1))
done <"$tmp/out"
[ "$n" = 19 ] || bad "$n lines of JSON"

# set_flags BYTES: flags, mode and phase of the last event.
set_flags() {
	printf %b "$1" |
		dd of="$tmp/flag" bs=1 seek=$(($(wc -c <"$raw") - 76)) conv=notrunc 2>/dev/null
}

# A flag that is not known yet.
tests=$((tests + 1))
cp "$raw" "$tmp/flag"
set_flags '\000\000\000\200'
run watch -i "$tmp/flag" --json
tail -n 1 "$tmp/out" | python3 -m json.tool >/dev/null 2>>"$tmp/err" || bad "no JSON of a flag"

# Behind a step, the bytes to the end of the page are known, and not how many were written.
set_flags '\000\002\000\000\000\001'
shows ' 0x2f00 *- \(00\)\{64\} stepped$' watch -i "$tmp/flag"
set_flags '\000\002\000\000\000\000'
shows ' 0x2f00 *- - stepped$' watch -i "$tmp/flag"

# What is saved again is the same, also when, and a part of it a file as well.
tests=$((tests + 1))
"$tool" watch -i "$raw" --raw - >"$tmp/saved" 2>"$tmp/err" &&
	cmp "$raw" "$tmp/saved" >"$tmp/out" || bad "saved again"
run watch -i "$raw" --raw "$tmp/part" --vcpu 1 && "$tool" watch -i "$tmp/part" >"$tmp/out" &&
	[ "$(grep -vc '^#' "$tmp/out")" = 3 ] || bad "a part saved"

# One that was cut off while it was written.
tests=$((tests + 1))
head -c 1000 "$raw" >"$tmp/cut"
run watch -i "$tmp/cut" && [ "$(grep -vc '^#' "$tmp/out")" = 7 ] || bad "a file that is cut off"

# A file keeps what it has if there is nothing new, and has nothing else if there is.
tests=$((tests + 1))
cp "$raw" "$tmp/kept"
run watch -p 99999999 --raw "$tmp/kept" 0+4K
run dirty -p 99999999 -o "$tmp/kept" 0+4K
cmp -s "$raw" "$tmp/kept" || bad "a file that is lost"
run watch -i "$raw" --raw "$tmp/kept" --vcpu 2
[ "$(wc -c <"$tmp/kept")" = 48 ] || bad "a file that is not emptied"

# Nobody reads.
tests=$((tests + 1))
{ sleep 0.2; "$tool" watch -i "$raw"; echo $? >"$tmp/status"; } 2>"$tmp/err" | true
: >"$tmp/out"
[ "$(cat "$tmp/status")" = 0 ] && [ ! -s "$tmp/err" ] || bad "a pipe that closes"

# More events than a pipe has room for.
cp "$raw" "$tmp/many"
for _ in 1 2 3 4 5 6; do
	tail -c +49 "$tmp/many" >"$tmp/events"
	cat "$tmp/events" >>"$tmp/many"
done
mkfifo "$tmp/fifo"
tests=$((tests + 1)) status=0
timeout 20 head -c 1 "$tmp/fifo" >/dev/null &
run watch -i "$tmp/many" --raw "$tmp/fifo" || status=$?
[ "$status" = 0 ] && [ ! -s "$tmp/err" ] || bad "a FIFO that closes: $status"
wait

# stops WHAT ARGUMENT...: SIGTERM ends it, without a word, while it waits for somebody.
stops() {
	tests=$((tests + 1)) n=0 status=0
	what=$1
	shift
	"$tool" "$@" >"$tmp/fifo2" 2>"$tmp/err" </dev/null &
	# It sleeps, and has a handler.
	until grep -q '^State:.S' "/proc/$!/status" &&
		grep -q '^SigCgt:.*[4-7c-f]...$' "/proc/$!/status"; do
		n=$((n + 1))
		[ "$n" -lt 50 ] && sleep 0.1 || break
	done 2>/dev/null
	kill "$!" 2>/dev/null
	wait "$!" || status=$?
	[ "$status" = 0 ] && [ ! -s "$tmp/err" ] || bad "$what: $status"
}

: >"$tmp/out"
mkfifo "$tmp/fifo2"
exec 3<>"$tmp/fifo2"
stops "stdout that is full" watch -i "$tmp/many"
stops "stdout that is full, of JSON" watch -i "$tmp/many" --json
stops "stdout that is full, of a picture" heats -i "$tmp/many"
stops "a FIFO that nobody writes" watch -i "$tmp/fifo"
stops "a FIFO that nobody reads" watch -i "$raw" --raw "$tmp/fifo"
stops "a FIFO that nobody reads, before the process is looked for" \
	watch -p 99999999 --raw "$tmp/fifo" 0+4K
stops "a FIFO that nobody reads, of pages" dirty -p 99999999 -o "$tmp/fifo" 0+4K
exec 4<>"$tmp/fifo"
stops "a FIFO that is full" watch -i "$tmp/many" --raw "$tmp/fifo"
exec 3<&- 4<&-

# Heats: the first row is the first address, the writer with most events first.
shows '^ *0x1000 ' heats -i "$raw"
shows '^cr3 0x100000 16  cr3 0x200000 3' heats -i "$raw"
shows '^vCPU 0 16  vCPU 1 3' heats -i "$raw" --by vcpu
shows '^rip 0x401000 16  rip 0xffffffff81000010 3' heats -i "$raw" --by rip
shows '^cr3 0x100000 8  cr3 0x200000 3' heats -i "$raw" --value-changed
if command -v gnuplot >/dev/null; then
	tests=$((tests + 2))
	run heats -i "$raw" -o "$tmp/a.svg" && grep -q '<svg' "$tmp/a.svg" &&
		grep -q 'cr3 0x100000: 16' "$tmp/a.svg" || bad "no SVG"
	run heats -i "$raw" -o "$tmp/a.png" && head -c 8 "$tmp/a.png" | grep -q PNG || bad "no PNG"
else
	refuses 1 'takes gnuplot' heats -i "$raw" -o "$tmp/a.svg"
	echo "skip: pictures, as there is no gnuplot"
fi

echo "$tests tests, $failed failed"
[ "$failed" = 0 ]
