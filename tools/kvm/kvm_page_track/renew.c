// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <time.h>

#include "collect.h"
#include "fail.h"
#include "renew.h"

#define MS		1000000ull
#define UNEMULATED_NS	(20 * MS)	/* for the CPU to do the write */
#define FIRST_WAIT_NS	(5 * MS)	/* twice as long each time */
#define LAST_WAIT_NS	(160 * MS)	/* without a step */
#define DAY_NS		(86400000 * MS)

uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int ms_until(uint64_t time)
{
	uint64_t now = now_ns(), ms;

	if (time == NEVER)
		return -1;
	ms = time <= now ? 0 : (time - now) / MS + 1;
	return ms > 1000000 ? 1000000 : ms;
}

void init_renewal(struct renewal *r, struct tracker *t, const struct ranges *ranges,
		  double seconds)
{
	*r = (struct renewal) { .tracker = t, .pages = whole_pages(ranges),
		.interval = seconds * 1e9, .due = NEVER };
	if (r->interval)
		r->due = now_ns() + r->interval;
}

void free_renewal(struct renewal *r)
{
	resize(r->pages.list, 0, 0);
}

static void is_given_up(struct renewal *r)
{
	if (!r->given_up)
		r->due = now_ns() + UNEMULATED_NS;
	r->given_up = true;
}

void renewal_event(struct renewal *r, const struct kvm_page_track_event *e)
{
	uint64_t next;

	if (r->tracker->action == KVM_PAGE_TRACK_ACTION_ONCE ||
	    !(e->flags & KVM_PAGE_TRACK_EVENT_UNEMULATED))
		return;

	if (!(e->flags & KVM_PAGE_TRACK_EVENT_ASKS)) {
		is_given_up(r);
		return;
	}

	r->expected++;
	r->wait = FIRST_WAIT_NS;
	/* Those that come all the time, as with a step, must not put off what is due. */
	next = now_ns() + r->wait;
	if (!r->given_up && next < r->due)
		r->due = next;
}

void renewal_lost(struct renewal *r)
{
	if (r->tracker->action == KVM_PAGE_TRACK_ACTION_NOTIFY)
		is_given_up(r);
}

/* Returns how many pages were found. */
static uint64_t collect(struct renewal *r, bool rearm, int *error)
{
	struct ranges found = {};
	uint64_t nr;

	*error = collect_pages(r->tracker, &r->pages, rearm, &found);
	/* That the VM is gone, poll() says, behind the last events. */
	if (*error && *error != EIO && *error != EAGAIN)
		fail(STATUS_OTHER, "cannot track pages again: %s", strerror(*error));

	nr = total_size(&found) / PAGE_SIZE;
	resize(found.list, 0, 0);
	return nr;
}

static bool steps(const struct renewal *r)
{
	return r->tracker->info.flags & KVM_PAGE_TRACKER_STEP;
}

/* Has a vCPU followed a reply? */
static void look(struct renewal *r)
{
	int error;

	if (collect(r, false, &error)) {
		is_given_up(r);
		return;
	}

	/* A vCPU that is stopped, or does something else now, may never do. */
	r->wait *= 2;

	/*
	 * With a step, hardly a reply gives a page up, and nothing says that it has not: look
	 * for it ever more rarely, and in the end no more.
	 */
	if (r->wait > LAST_WAIT_NS && (error || !steps(r)))
		r->wait = LAST_WAIT_NS;
	r->due = r->wait > DAY_NS ? NEVER : now_ns() + r->wait;
}

static void track_again(struct renewal *r)
{
	int error;
	uint64_t nr = collect(r, true, &error);

	r->expected -= nr < r->expected ? nr : r->expected;

	/* The ring has no room for what KVM has written: again, when events are read. */
	if (error == EAGAIN) {
		r->due = now_ns() + UNEMULATED_NS;
		return;
	}

	r->given_up = false;
	r->wait = FIRST_WAIT_NS;
	if (r->interval)
		/* The guest gets the time, however long that took. */
		r->due = now_ns() + r->interval;
	else
		r->due = r->expected ? now_ns() + r->wait : NEVER;
}

void renew(struct renewal *r)
{
	if (now_ns() < r->due)
		return;

	if (r->given_up || r->interval)
		track_again(r);
	else
		look(r);
}
