// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <time.h>

#include "fail.h"
#include "follow.h"
#include "raw.h"
#include "stop.h"
#include "virtual.h"
#include "vm.h"

#define NEVER		UINT64_MAX
#define MS		1000000ull

/*
 * KVM gives a page up for a write that it cannot emulate, and the CPU does it.  Track the
 * page again after so long: at once might be before that write.
 */
#define UNEMULATED_NS	(20 * MS)

/* When what is due. */
struct times {
	uint64_t end, again, unemulated, tick;
};

uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

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

	heed_signals();
	attach(t, o->pid, o->vm_fd, flags, o->nr_events);
	t->action = action;

	if (o->all)
		use_all_memory(o, t);
	if (o->virtual.nr)
		add_virtual(t, &o->virtual, o->va_cr3, o->levels ? o->levels : 4, o->quiet,
			    &o->ranges);
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
static bool take_events(struct options *o, struct tracker *t, struct follower *f,
			struct ranges *given_up)
{
	struct kvm_page_track_event e;
	__u32 i;

	for (i = 0; i < t->info.nr_events && !stopped() && next_event(t, &e); i++) {
		if (e.flags & (KVM_PAGE_TRACK_EVENT_UNTRACKED | KVM_PAGE_TRACK_EVENT_UNEMULATED))
			add_range(given_up, (struct range) { e.gpa, e.gpa + 1 });

		if (!passes(&o->filter, &e)) {
			if (f->ignored)
				f->ignored(f, &e);
		} else if (!f->event(f, &e)) {
			return false;
		}
	}

	tell_lost(t);
	return true;
}

static uint64_t earliest(const struct times *times)
{
	uint64_t first = times->end < times->again ? times->end : times->again;

	if (times->unemulated < first)
		first = times->unemulated;
	return times->tick < first ? times->tick : first;
}

/* Track what was given up, when it is time. */
static void renew(struct options *o, struct tracker *t, struct ranges *given_up,
		  struct times *times)
{
	uint64_t now = now_ns();
	struct ranges pages;

	if (o->once) {
		given_up->nr = 0;
		if (now < times->again)
			return;
		pages = whole_pages(&o->ranges);
	} else {
		if (given_up->nr && times->unemulated == NEVER)
			times->unemulated = now + UNEMULATED_NS;
		if (now < times->unemulated)
			return;
		pages = whole_pages(given_up);
		given_up->nr = 0;
		times->unemulated = NEVER;
	}

	track_again(t, &pages);
	resize(pages.list, 0, 0);

	/* The guest gets the time, however long that took. */
	if (o->once)
		times->again = now_ns() + o->again * 1e9;
}

/* Wait for events, or until something is due.  Returns whether the VM is gone. */
static bool wait_for_events(struct tracker *t, const struct times *times)
{
	struct pollfd fd = { .fd = t->fd, .events = POLLIN };
	uint64_t next = earliest(times), now = now_ns();
	int milliseconds = -1;

	if (next != NEVER)
		milliseconds = next <= now ? 0 : (next - now) / MS + 1;
	if (poll_until_stopped(&fd, 1, milliseconds) < 0 && errno != EINTR)
		fail(STATUS_OTHER, "cannot wait for events: %s", strerror(errno));
	return fd.revents & (POLLHUP | POLLERR);
}

enum end follow(struct options *o, struct tracker *t, struct follower *f)
{
	struct times times = {
		.end = o->seconds ? now_ns() + o->seconds * 1e9 : NEVER,
		.again = o->again ? now_ns() + o->again * 1e9 : NEVER,
		.unemulated = NEVER,
		.tick = NEVER,
	};
	struct ranges given_up = {};
	bool gone = false;

	if (f->begin)
		f->begin(f);

	for (;;) {
		if (!take_events(o, t, f, &given_up))
			return END_ASKED;

		f->idle(f);
		if (stopped() || now_ns() >= times.end)
			return END_ASKED;
		if (gone && t->ring->tail == t->ring->head)
			return END_VM_GONE;

		renew(o, t, &given_up, &times);
		if (f->tick)
			times.tick = now_ns() + f->tick * MS;
		gone = wait_for_events(t, &times);
	}
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
	if (f->begin)
		f->begin(f);

	while (read_raw(file, &header, &e))
		if (passes(&o->filter, &e) && !f->event(f, &e))
			break;
	f->idle(f);
	fclose(file);
}
