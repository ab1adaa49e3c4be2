/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: the gfns that KVM has written, and a tracker has not been told
 * of yet.
 *
 * KVM writes in any context, so that whoever marks a gfn neither sleeps nor allocates:
 * there is a bit for each gfn of a slot that the tracker tracks, in bitmaps that are
 * allocated when it starts to, and which stay.  No write is lost, and a gfn that is
 * written again before it is told is told once.
 *
 * A short queue has the order, and who wrote, of those that fit.  It is a hint: the bit
 * says whether the gfn still waits to be told.
 */
#ifndef __KVM_X86_PAGE_TRACK_WRITTEN_H
#define __KVM_X86_PAGE_TRACK_WRITTEN_H

#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

/* As many gfns keep their order, and who has written them. */
#define PAGE_TRACK_MAX_QUEUED	32

/* One that KVM has written. */
struct page_track_write {
	gfn_t gfn;
	u32 vcpu_id;		/* U32_MAX if it is not known, or no vCPU did it */
	u8 as_id;
};

struct page_track_written {
	/* Held by whoever takes gfns, until they are told. */
	struct mutex tell_lock;

	/* Bitmaps of gfns, by address space.  Bits change without a lock. */
	struct xarray gfns[KVM_MAX_NR_ADDRESS_SPACES];

	/* Protects the queue, and who marks against who changes what is tracked. */
	raw_spinlock_t lock;
	unsigned int first, nr_queued;
	bool more;		/* gfns that the queue had no room for */
	struct page_track_write queue[PAGE_TRACK_MAX_QUEUED];

	/*
	 * Under tell_lock: how many are to be taken from the queue, and is that where the
	 * last one was; may those beside it be looked through anew, and how far are they?
	 */
	unsigned int to_take;
	bool queued, may_scan;
	unsigned int scan_as_id;
	gfn_t scan_gfn;
};

/* An empty set, or NULL if memory is short.  Context: may sleep. */
struct page_track_written *page_track_written_create(void);

/* Context: nobody uses @w, which may be NULL, any more; may sleep. */
void page_track_written_destroy(struct page_track_written *w);

/*
 * Allocate what marking the gfns [@gfn, @end), which are a slot's, will need.
 *
 * Returns 0 or -ENOMEM.
 * Context: kvm->slots_arch_lock held, may sleep.
 */
int page_track_written_prepare(struct page_track_written *w, int as_id, gfn_t gfn, gfn_t end);

/* Add @write, unless its gfn waits to be told already.  Context: w->lock held. */
void page_track_written_mark(struct page_track_written *w,
			     const struct page_track_write *write);

/*
 * Start to tell what waits for that now: what is marked from now on need not be taken, so
 * that whoever tells has an end, however many write meanwhile.
 *
 * Take a gfn, those of the queue first.  False if there is none any more.  Call one of the
 * others before the next: it is told, or to be told later.
 *
 * Context: w->tell_lock held; takes w->lock.
 */
void page_track_written_start(struct page_track_written *w);
bool page_track_written_take(struct page_track_written *w, struct page_track_write *write);
void page_track_written_told(struct page_track_written *w);
void page_track_written_put_back(struct page_track_written *w,
				 const struct page_track_write *write);

#endif /* __KVM_X86_PAGE_TRACK_WRITTEN_H */
