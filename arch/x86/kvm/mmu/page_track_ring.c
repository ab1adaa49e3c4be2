// SPDX-License-Identifier: GPL-2.0-only
/* Page tracking, layer 3: the ring of events of a tracker. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "page_track_ring.h"

struct backlog_entry {
	struct list_head link;
	struct kvm_page_track_event event;
};

static size_t shared_size(u32 nr_events)
{
	return PAGE_SIZE + nr_events * sizeof(struct kvm_page_track_event);
}

static unsigned long shared_pages(u32 nr_events)
{
	return PAGE_ALIGN(shared_size(nr_events)) >> PAGE_SHIFT;
}

/*
 * Charge the user who makes the ring, as for the rings of io_uring and the packet
 * buffers of XDP sockets.  Not an mm: a ring may go when the last process that had
 * its file has, and a user who has many processes still has one limit.
 */
static int charge(struct page_track_ring *ring, unsigned long nr_pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct user_struct *user = current_user();
	long old, new;

	if (capable(CAP_IPC_LOCK))
		return 0;

	old = atomic_long_read(&user->locked_vm);
	do {
		new = old + nr_pages;
		if ((unsigned long)new > limit)
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, new));

	ring->user = get_uid(user);
	return 0;
}

static void uncharge(struct page_track_ring *ring, unsigned long nr_pages)
{
	if (!ring->user)
		return;

	atomic_long_sub(nr_pages, &ring->user->locked_vm);
	free_uid(ring->user);
}

int page_track_ring_init(struct page_track_ring *ring, u32 nr_events, bool lossy)
{
	static_assert(sizeof(struct kvm_page_track_event) == 128);
	static_assert(sizeof(struct kvm_page_track_ring) <= PAGE_SIZE);
	static_assert(KVM_PAGE_TRACK_MIN_EVENTS *
		      sizeof(struct kvm_page_track_event) == PAGE_SIZE);

	if (charge(ring, shared_pages(nr_events)))
		return -ENOMEM;

	ring->shared = __vmalloc(shared_size(nr_events), GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->shared) {
		uncharge(ring, shared_pages(nr_events));
		return -ENOMEM;
	}

	spin_lock_init(&ring->lock);
	INIT_LIST_HEAD(&ring->backlog);
	init_waitqueue_head(&ring->wait);
	ring->events = (void *)ring->shared + PAGE_SIZE;
	ring->nr_events = nr_events;
	ring->lossy = lossy;
	ring->shared->nr_events = nr_events;

	return 0;
}

void page_track_ring_destroy(struct page_track_ring *ring)
{
	struct backlog_entry *entry, *next;

	list_for_each_entry_safe(entry, next, &ring->backlog, link)
		kfree(entry);
	vfree(ring->shared);
	uncharge(ring, shared_pages(ring->nr_events));
}

static bool is_full(struct page_track_ring *ring)
{
	/*
	 * Userspace has read what it lets KVM overwrite: pairs with its release.
	 * A tail that cannot be makes the ring full.
	 */
	return READ_ONCE(ring->head) - smp_load_acquire(&ring->shared->tail) >=
	       ring->nr_events;
}

static bool store_event(struct page_track_ring *ring,
			const struct kvm_page_track_event *event)
{
	if (is_full(ring))
		return false;

	ring->events[ring->head & (ring->nr_events - 1)] = *event;
	WRITE_ONCE(ring->head, ring->head + 1);

	/* Pairs with userspace's acquire: it sees the event with the head. */
	smp_store_release(&ring->shared->head, ring->head);
	return true;
}

/* Store what is in the backlog.  Returns whether that was all. */
static bool move_backlog(struct page_track_ring *ring)
{
	struct backlog_entry *entry, *next;

	lockdep_assert_held(&ring->lock);

	list_for_each_entry_safe(entry, next, &ring->backlog, link) {
		if (!store_event(ring, &entry->event))
			return false;

		list_del(&entry->link);
		kfree(entry);
	}

	return true;
}

static bool store_backlog(struct page_track_ring *ring)
{
	return list_empty(&ring->backlog) || move_backlog(ring);
}

/* Returns whether @event has found its place, which may be to be lost. */
static bool place_event(struct page_track_ring *ring, struct kvm_page_track_event *event)
{
	event->seq = ring->seq;

	if (!store_backlog(ring) || !store_event(ring, event)) {
		if (!ring->lossy)
			return false;

		ring->lost++;
		WRITE_ONCE(ring->shared->lost, ring->lost);
	}

	ring->seq++;
	return true;
}

static void wake_consumer(struct page_track_ring *ring)
{
	if (wq_has_sleeper(&ring->wait))
		wake_up_interruptible_poll(&ring->wait, EPOLLIN | EPOLLRDNORM);
}

/*
 * The vCPU leaves KVM_RUN before its next access, so that an instruction or so makes a
 * backlog.  What the guest has written cannot be undone.
 */
static noinline bool push_to_backlog(struct page_track_ring *ring,
				     struct kvm_page_track_event *event)
{
	struct backlog_entry *entry = kmalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	bool has_room = false;

	spin_lock(&ring->lock);
	if (place_event(ring, event)) {
		kfree(entry);
		has_room = !is_full(ring);
	} else {
		/* Whoever reads now makes room that is the backlog's. */
		ring->seq++;
		entry->event = *event;
		list_add_tail(&entry->link, &ring->backlog);
	}
	spin_unlock(&ring->lock);

	wake_consumer(ring);
	return has_room;
}

bool page_track_ring_push(struct page_track_ring *ring,
			  struct kvm_page_track_event *event)
{
	bool placed, has_room;

	spin_lock(&ring->lock);
	placed = place_event(ring, event);
	has_room = ring->lossy || !is_full(ring);
	spin_unlock(&ring->lock);

	if (!placed)
		return push_to_backlog(ring, event);

	wake_consumer(ring);
	return has_room;
}

bool page_track_ring_try_push(struct page_track_ring *ring,
			      struct kvm_page_track_event *event)
{
	bool pushed;

	spin_lock(&ring->lock);
	event->seq = ring->seq;
	pushed = store_backlog(ring) && store_event(ring, event);
	ring->seq += pushed;
	spin_unlock(&ring->lock);

	wake_consumer(ring);
	return pushed;
}

bool page_track_ring_has_room(struct page_track_ring *ring)
{
	bool has_room, moved;
	u32 head;

	/* A hint without the lock will do, as others may take the room anyway. */
	if (ring->lossy || (list_empty(&ring->backlog) && !is_full(ring)))
		return true;

	spin_lock(&ring->lock);
	head = ring->head;
	has_room = store_backlog(ring) && !is_full(ring);
	moved = ring->head != head;
	spin_unlock(&ring->lock);

	if (moved)
		wake_consumer(ring);

	return has_room;
}

bool page_track_ring_has_events(struct page_track_ring *ring)
{
	bool has_events;

	spin_lock(&ring->lock);
	store_backlog(ring);
	has_events = ring->head != READ_ONCE(ring->shared->tail);
	spin_unlock(&ring->lock);

	return has_events;
}

void page_track_ring_hang_up(struct page_track_ring *ring)
{
	/* Always takes the lock: who enters poll() is woken, or sees why it would be. */
	wake_up_all(&ring->wait);
}

static vm_fault_t ring_fault(struct vm_fault *vmf)
{
	struct page_track_ring *ring = vmf->vma->vm_private_data;

	/* The mapping has at most the ring's size, see page_track_ring_mmap(). */
	vmf->page = vmalloc_to_page((void *)ring->shared + (vmf->pgoff << PAGE_SHIFT));
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct ring_vm_ops = {
	.fault = ring_fault,
};

int page_track_ring_mmap(struct page_track_ring *ring, struct vm_area_struct *vma)
{
	unsigned long offset, size = vma->vm_end - vma->vm_start;
	int r;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff ||
	    (size != PAGE_SIZE && size != shared_size(ring->nr_events)))
		return -EINVAL;

	/* Must stay of this size. */
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = ring;
	vma->vm_ops = &ring_vm_ops;

	/* Who reads events shall have no faults, if that does not take long. */
	size = min_t(unsigned long, size, SZ_1M);
	for (offset = 0; offset < size; offset += PAGE_SIZE) {
		r = vm_insert_page(vma, vma->vm_start + offset,
				   vmalloc_to_page((void *)ring->shared + offset));
		if (r)
			return r;
	}

	return 0;
}
