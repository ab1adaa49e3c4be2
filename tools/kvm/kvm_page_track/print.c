// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>

#include "print.h"
#include "range.h"

static const struct {
	__u32 flag;
	const char *name;
} flags[] = {
	{ KVM_PAGE_TRACK_EVENT_TRUNCATED, "truncated" },
	{ KVM_PAGE_TRACK_EVENT_UNTRACKED, "untracked" },
	{ KVM_PAGE_TRACK_EVENT_UNEMULATED, "unemulated" },
	{ KVM_PAGE_TRACK_EVENT_PAGE_WALK, "page-walk" },
	{ KVM_PAGE_TRACK_EVENT_NESTED, "nested" },
	{ KVM_PAGE_TRACK_EVENT_SMM, "smm" },
	{ KVM_PAGE_TRACK_EVENT_BY_KVM, "by-kvm" },
	{ KVM_PAGE_TRACK_EVENT_ASKS, "asks" },
	{ KVM_PAGE_TRACK_EVENT_STEPPED, "stepped" },
	{ KVM_PAGE_TRACK_EVENT_UNFINISHED, "unfinished" },
};

/* Returns whether there are some. */
static bool print_flags(FILE *file, __u32 set, const char *before, const char *between)
{
	bool any = false;
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (set & flags[i].flag) {
			fprintf(file, "%s%s", before, flags[i].name);
			before = between;
			any = true;
		}
	}
	return any;
}

size_t known_bytes(const struct kvm_page_track_event *e)
{
	size_t to_end = PAGE_SIZE - e->gpa % PAGE_SIZE;

	if (e->phase == KVM_PAGE_TRACK_PHASE_AFTER && e->flags & KVM_PAGE_TRACK_EVENT_STEPPED &&
	    !(e->flags & KVM_PAGE_TRACK_EVENT_TRUNCATED))
		return to_end < sizeof(e->data) ? to_end : sizeof(e->data);
	return e->len < sizeof(e->data) ? e->len : sizeof(e->data);
}

void print_bytes(FILE *file, const __u8 *data, size_t size)
{
	while (size--)
		fprintf(file, "%02x", *data++);
}

void print_head(FILE *file)
{
	fprintf(file, "#%15s %4s %18s %18s %14s %6s %s\n", "time", "vCPU", "rip", "cr3",
		"address", "length", "bytes");
}

void print_text(FILE *file, const struct kvm_page_track_event *e)
{
	fprintf(file, "%6llu.%09llu %4u %#18llx %#18llx %#14llx ", e->time / 1000000000,
		e->time % 1000000000, e->vcpu_id, e->rip, e->cr3, e->gpa);

	if (e->len)
		fprintf(file, "%6u ", e->len);
	else
		fprintf(file, "%6s ", "-");
	if (known_bytes(e))
		print_bytes(file, e->data, known_bytes(e));
	else
		fputc('-', file);

	print_flags(file, e->flags, " ", ",");
}

void print_json(FILE *file, const struct kvm_page_track_event *e)
{
	fprintf(file,
		"{\"seq\": %llu, \"time\": %llu, \"vcpu\": %u, \"rip\": \"%#llx\", \"cr3\": \"%#llx\", \"gpa\": \"%#llx\"",
		e->seq, e->time, e->vcpu_id, e->rip, e->cr3, e->gpa);
	if (e->flags & KVM_PAGE_TRACK_EVENT_GVA)
		fprintf(file, ", \"gva\": \"%#llx\"", e->gva);

	fprintf(file, ", \"phase\": \"%s\", \"len\": %u, \"data\": \"",
		e->phase == KVM_PAGE_TRACK_PHASE_BEFORE ? "before" : "after", e->len);
	print_bytes(file, e->data, known_bytes(e));
	fputs("\", \"flags\": [", file);
	if (print_flags(file, e->flags, "\"", "\", \""))
		fputc('"', file);
	fputs("]}\n", file);
}
