// SPDX-License-Identifier: GPL-2.0-only
/* Page tracking, layer 2: gfns that KVM has written, see page_track_written.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "page_track_untracked.h"
#include "page_track_written.h"

struct page_track_written *page_track_written_create(void)
{
	struct page_track_written *w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	int i;

	if (!w)
		return NULL;

	mutex_init(&w->tell_lock);
	raw_spin_lock_init(&w->lock);
	for (i = 0; i < ARRAY_SIZE(w->gfns); i++)
		page_track_untracked_init(&w->gfns[i]);
	w->scan_as_id = ARRAY_SIZE(w->gfns);

	return w;
}

void page_track_written_destroy(struct page_track_written *w)
{
	int i;

	if (!w)
		return;

	for (i = 0; i < ARRAY_SIZE(w->gfns); i++)
		page_track_untracked_destroy(&w->gfns[i]);
	kfree(w);
}

int page_track_written_prepare(struct page_track_written *w, int as_id, gfn_t gfn, gfn_t end)
{
	unsigned long *map;

	for (gfn = round_down(gfn, PAGE_TRACK_MAP_GFNS); gfn < end; gfn += PAGE_TRACK_MAP_GFNS) {
		map = page_track_untracked_prepare(&w->gfns[as_id], gfn);
		if (IS_ERR(map))
			return PTR_ERR(map);

		cond_resched();
	}

	return 0;
}

/* The bitmap of @write's gfn, or NULL. */
static unsigned long *find_map(struct page_track_written *w,
			       const struct page_track_write *write)
{
	return xa_load(&w->gfns[write->as_id], write->gfn / PAGE_TRACK_MAP_GFNS);
}

void page_track_written_mark(struct page_track_written *w,
			     const struct page_track_write *write)
{
	unsigned long *map = find_map(w, write);

	lockdep_assert_held(&w->lock);

	/* Without one, it was written in a slot that had gone before it was tracked. */
	if (!map || test_and_set_bit(write->gfn % PAGE_TRACK_MAP_GFNS, map))
		return;

	if (w->nr_queued == PAGE_TRACK_MAX_QUEUED) {
		w->more = true;
		return;
	}

	w->queue[(w->first + w->nr_queued) % PAGE_TRACK_MAX_QUEUED] = *write;
	w->nr_queued++;
}

void page_track_written_start(struct page_track_written *w)
{
	lockdep_assert_held(&w->tell_lock);

	raw_spin_lock_irq(&w->lock);
	w->to_take = w->nr_queued;
	raw_spin_unlock_irq(&w->lock);

	w->may_scan = true;
}

static bool peek_queue(struct page_track_written *w, struct page_track_write *write)
{
	w->queued = w->to_take;
	if (!w->queued)
		return false;

	raw_spin_lock_irq(&w->lock);
	*write = w->queue[w->first];
	raw_spin_unlock_irq(&w->lock);
	return true;
}

/*
 * Go on with the gfns that the queue had no room for, or start anew, once.  False if there
 * are none.
 */
static bool scan(struct page_track_written *w)
{
	bool more;

	if (w->scan_as_id < ARRAY_SIZE(w->gfns))
		return true;

	if (!w->may_scan)
		return false;

	w->may_scan = false;
	raw_spin_lock_irq(&w->lock);
	more = w->more;
	w->more = false;
	raw_spin_unlock_irq(&w->lock);

	if (more) {
		w->scan_as_id = 0;
		w->scan_gfn = 0;
	}
	return more;
}

/* The next one of them.  Bitmaps stay, so that no lock is needed. */
static bool find_next(struct page_track_written *w, struct page_track_write *write)
{
	for (; w->scan_as_id < ARRAY_SIZE(w->gfns); w->scan_as_id++) {
		write->gfn = page_track_next_untracked(&w->gfns[w->scan_as_id], w->scan_gfn,
						       ULONG_MAX);
		if (write->gfn < ULONG_MAX) {
			write->as_id = w->scan_as_id;
			write->vcpu_id = U32_MAX;
			w->scan_gfn = write->gfn;
			return true;
		}
		w->scan_gfn = 0;
	}

	return false;
}

static bool peek(struct page_track_written *w, struct page_track_write *write)
{
	if (peek_queue(w, write))
		return true;

	while (scan(w)) {
		if (find_next(w, write))
			return true;
	}

	return false;
}

bool page_track_written_take(struct page_track_written *w, struct page_track_write *write)
{
	lockdep_assert_held(&w->tell_lock);

	while (peek(w, write)) {
		/* Whoever writes from now on marks it anew. */
		if (test_and_clear_bit(write->gfn % PAGE_TRACK_MAP_GFNS, find_map(w, write)))
			return true;

		page_track_written_told(w);
	}

	return false;
}

void page_track_written_told(struct page_track_written *w)
{
	lockdep_assert_held(&w->tell_lock);

	if (!w->queued) {
		w->scan_gfn++;
		return;
	}

	w->to_take--;
	raw_spin_lock_irq(&w->lock);
	w->first = (w->first + 1) % PAGE_TRACK_MAX_QUEUED;
	w->nr_queued--;
	raw_spin_unlock_irq(&w->lock);
}

void page_track_written_put_back(struct page_track_written *w,
				 const struct page_track_write *write)
{
	lockdep_assert_held(&w->tell_lock);

	/* It is still where it was found. */
	set_bit(write->gfn % PAGE_TRACK_MAP_GFNS, find_map(w, write));
}
