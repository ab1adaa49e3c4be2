/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: the ring of events that a tracker shares with userspace.
 *
 * KVM writes events and the head, userspace writes the tail, and may write
 * anything else to the pages too: KVM reads the tail only and trusts it in nothing
 * but how much room there is.  No event is lost, see page_track_ring_push().  What
 * an event means, and for which tracker it is, is not known here.
 */
#ifndef __KVM_X86_PAGE_TRACK_RING_H
#define __KVM_X86_PAGE_TRACK_RING_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <uapi/asm/kvm_page_track.h>

struct user_struct;
struct vm_area_struct;

struct page_track_ring {
	/* Protects all below but the shared pages' tail. */
	spinlock_t lock;

	/* The shared pages: the header, the events. */
	struct kvm_page_track_ring *shared;
	struct kvm_page_track_event *events;
	u32 nr_events;

	u32 head;
	u64 seq;
	bool lossy;
	u64 lost;

	/* Events that the ring has no room for, oldest first. */
	struct list_head backlog;

	/* Who waits for events. */
	wait_queue_head_t wait;

	/* Whose RLIMIT_MEMLOCK the shared pages count for, or NULL. */
	struct user_struct *user;
};

/*
 * @nr_events is a power of two, PAGE_SIZE / sizeof(struct kvm_page_track_event)
 * or more; @ring is zeroed.  Returns 0, or -ENOMEM, which the RLIMIT_MEMLOCK of the
 * calling user may be the reason of.  Context: process, may sleep.
 */
int page_track_ring_init(struct page_track_ring *ring, u32 nr_events, bool lossy);

/* Context: nobody uses @ring any more; any but interrupts. */
void page_track_ring_destroy(struct page_track_ring *ring);

/*
 * Number @event and append it.  Without room it is kept in the backlog, or counted
 * as lost if the ring is lossy.
 *
 * The backlog is bounded: whoever uses it has a vCPU that has used the last room, or
 * finds none, start no instruction before there is some.  What it has begun by then
 * makes a few events, or one per byte of the 1,024 that INS reads ahead.
 *
 * Returns whether there is room for one more event, always true for a lossy ring.
 * Context: may sleep.
 */
bool page_track_ring_push(struct page_track_ring *ring,
			  struct kvm_page_track_event *event);

/*
 * Number @event and append it if there is room, also in a lossy ring.  Returns whether
 * there was; else nothing has changed.  Context: any but interrupts.
 */
bool page_track_ring_try_push(struct page_track_ring *ring,
			      struct kvm_page_track_event *event);

/*
 * Move the backlog to the ring.  Returns whether there is room for one more event,
 * always true for a lossy ring.  Context: any but interrupts.
 */
bool page_track_ring_has_room(struct page_track_ring *ring);

/* Has userspace events to read?  Context: any but interrupts. */
bool page_track_ring_has_events(struct page_track_ring *ring);

/* Wake who waits, for there will be no events.  Context: any but interrupts. */
void page_track_ring_hang_up(struct page_track_ring *ring);

/*
 * Map all of the shared pages, or the first one.  Returns 0, or -EINVAL if @vma is
 * private or not of exactly their size.  Context: mmap_lock held for write.
 */
int page_track_ring_mmap(struct page_track_ring *ring, struct vm_area_struct *vma);

#endif /* __KVM_X86_PAGE_TRACK_RING_H */
