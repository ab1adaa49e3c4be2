// SPDX-License-Identifier: GPL-2.0-only
/* Write a file of events, as watch --raw does, to stdout.  check.sh says what is in it. */
#include <stddef.h>
#include <string.h>

#include "../raw.h"

#define MS	1000000ull

static void write_event(const struct kvm_page_track_event *e)
{
	fwrite(e, sizeof(*e), 1, stdout);
}

/* vCPU 0 writes 8 bytes, each 1 ms, the same value twice: 1, 1, 2, 2, ... */
static void write_counter(struct kvm_page_track_event *e)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		e->seq = i;
		e->time = 1000 * MS + i * MS;
		e->gpa = 0x1000 + 8 * (i / 2 % 2);
		e->data[0] = 1 + i / 4;
		write_event(e);
	}
}

/* vCPU 1, from the top of the address space, across the end of 0x2000+16. */
static void write_others(struct kvm_page_track_event *e)
{
	e->vcpu_id = 1;
	e->rip = 0xffffffff81000010;
	e->cr3 = 0x8000000000200001;
	e->flags = KVM_PAGE_TRACK_EVENT_GVA | KVM_PAGE_TRACK_EVENT_NESTED;
	e->gva = 0xffff888000002008;
	e->gpa = 0x2008;
	e->len = 16;
	memset(e->data, 0xee, e->len);
	e->seq++;
	e->time += 10 * MS;
	write_event(e);

	/* More bytes than an event has. */
	e->flags = KVM_PAGE_TRACK_EVENT_TRUNCATED | KVM_PAGE_TRACK_EVENT_SMM;
	e->gpa = 0x2100;
	e->len = 512;
	memset(e->data, 0xdd, sizeof(e->data));
	e->seq++;
	e->time += 10 * MS;
	write_event(e);

	/* None of them. */
	e->flags = KVM_PAGE_TRACK_EVENT_UNTRACKED | KVM_PAGE_TRACK_EVENT_UNEMULATED;
	e->phase = KVM_PAGE_TRACK_PHASE_BEFORE;
	e->gpa = 0x2f00;
	e->len = 0;
	memset(e->data, 0, sizeof(e->data));
	e->seq++;
	write_event(e);
}

int main(void)
{
	struct raw_header header = {
		.magic = RAW_MAGIC,
		.version = 1,
		.event_size = sizeof(struct kvm_page_track_event),
		.realtime = 1700000000000 * MS,
		.nr_ranges = 1,
	};
	struct range range = { 0x1000, 0x3000 };
	struct kvm_page_track_event e = {
		.rip = 0x401000,
		.cr3 = 0x100000,
		.phase = KVM_PAGE_TRACK_PHASE_AFTER,
		.len = 8,
	};

	fwrite(&header, sizeof(header), 1, stdout);
	fwrite(&range, sizeof(range), 1, stdout);
	write_counter(&e);
	write_others(&e);
	return fflush(stdout) || ferror(stdout);
}
