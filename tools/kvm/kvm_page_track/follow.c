// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "fail.h"
#include "follow.h"
#include "raw.h"
#include "stop.h"
#include "virtual.h"
#include "vm.h"

/* When what is due. */
struct times {
	uint64_t end, tick;
};

static void use_all_memory(struct options *o, struct tracker *t)
{
	struct kvm_page_track_slot slot = {};

	while (next_slot(t, &slot))
		add_range(&o->ranges, (struct range) { slot.gpa, slot.gpa + slot.size });
	if (!o->ranges.nr)
		fail(STATUS_NOT_MEMORY, "the guest has no memory yet");
	merge_ranges(&o->ranges);
}

static void tell_rounding(const struct ranges *ranges)
{
	char text[RANGE_TEXT], pages[RANGE_TEXT];
	size_t i;

	for (i = 0; i < ranges->nr; i++) {
		struct ranges one = { .list = &ranges->list[i], .nr = 1 };
		struct ranges whole = whole_pages(&one);

		if (total_size(&whole) != total_size(&one))
			note("%s is not of whole pages: %s is tracked, the rest left out",
			     range_text(*one.list, text), range_text(*whole.list, pages));
	}
}

void start(struct options *o, struct tracker *t, __u32 action, __u32 flags)
{
	char size[SIZE_TEXT], name[PROCESS_NAME];
	struct ranges pages;

	attach(t, o->pid, o->vm_fd, flags, o->nr_events);
	t->action = action;

	if (o->all)
		use_all_memory(o, t);
	if (o->virtual.nr)
		add_virtual(t, &o->virtual, o->va_cr3, o->levels ? o->levels : 4, o->quiet,
			    &o->ranges);
	/* Not all of them may be there. */
	end_if_stopped();
	merge_ranges(&o->ranges);
	check_memory(t, &o->ranges);
	if (!o->quiet)
		tell_rounding(&o->ranges);

	pages = whole_pages(&o->ranges);
	track(t, &pages);
	o->filter.ranges = o->ranges;
	if (!o->quiet && !stopped())
		note("%s of %s, process %d, are tracked", size_text(total_size(&pages), size),
		     process_name(o->pid, name), o->pid);
}

/* Handle what the ring has, not more: what comes too fast must not keep from the rest. */
static bool take_events(struct options *o, struct tracker *t, struct follower *f)
{
	struct kvm_page_track_event e;
	__u32 i;

	for (i = 0; i < t->info.nr_events && !stopped() && next_event(t, &e); i++) {
		if (!passes(&o->filter, &e)) {
			if (f->ignored)
				f->ignored(f, &e);
		} else if (!f->event(f, &e)) {
			return false;
		}

		/* A reply to it is there. */
		renewal_event(&f->renewal, &e);
	}

	if (tell_lost(t))
		renewal_lost(&f->renewal);
	return true;
}

static uint64_t earliest(const struct times *times, const struct renewal *renewal)
{
	uint64_t first = times->end < times->tick ? times->end : times->tick;

	return renewal->due < first ? renewal->due : first;
}

/*
 * Wait for events, or until something is due.  Returns whether the VM is gone and nothing
 * is left to read: what the ring had no room for comes into it by poll().
 */
static bool wait_for_events(struct tracker *t, uint64_t until)
{
	struct pollfd fd = { .fd = t->fd, .events = POLLIN };

	if (poll_until_stopped(&fd, 1, ms_until(until)) < 0 && errno != EINTR)
		fail(STATUS_OTHER, "cannot wait for events: %s", strerror(errno));
	return fd.revents & (POLLHUP | POLLERR) && !(fd.revents & POLLIN) && !has_event(t);
}

enum end follow(struct options *o, struct tracker *t, struct follower *f)
{
	struct times times = {
		.end = o->seconds ? now_ns() + o->seconds * 1e9 : NEVER,
		.tick = NEVER,
	};
	enum end end = END_ASKED;

	init_renewal(&f->renewal, t, &o->ranges, o->again);
	if (f->begin)
		f->begin(f);

	while (take_events(o, t, f)) {
		f->idle(f);
		if (stopped() || now_ns() >= times.end)
			break;

		renew(&f->renewal);
		if (f->tick)
			times.tick = now_ns() + f->tick * 1000000ull;
		if (wait_for_events(t, earliest(&times, &f->renewal))) {
			end = END_VM_GONE;
			break;
		}
	}

	free_renewal(&f->renewal);
	return end;
}

void replay(struct options *o, struct follower *f)
{
	struct kvm_page_track_event e;
	struct raw_header header;
	struct ranges recorded = {};
	FILE *file = open_raw(o->input, &header, &recorded);

	merge_ranges(&o->ranges);
	o->filter.ranges = o->ranges;
	if (!o->ranges.nr)
		o->ranges = recorded;
	/* What was written before the first event is not known, also the second time. */
	if (o->filter.shadow)
		forget_values(o->filter.shadow);
	f->recorded = &header;
	if (f->begin)
		f->begin(f);

	while (!stopped() && read_raw(file, &header, &e))
		if (passes(&o->filter, &e) && !f->event(f, &e))
			break;
	f->idle(f);
	f->recorded = NULL;
	fclose(file);
}
