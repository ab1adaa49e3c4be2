// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: trackers of userspace.
 *
 * A file descriptor is a tracker of layer 2 with a ring of events.  It may be
 * passed to another process, outlives the one that created it, and holds a
 * reference on its VM.  Closing it removes all that it tracks, and waits for no vCPU:
 * one that finds the tracker before may tell it of an access still, which nobody
 * reads, and the last one gone frees it.
 *
 * Here, actions get their meaning and accesses become events.  How events reach
 * userspace is known to page_track_ring.c, how it is asked to page_track_exit.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kvm_cache_regs.h"
#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track_access.h"
#include "page_track_exit.h"
#include "page_track_fd.h"
#include "page_track_notifier.h"
#include "page_track_range.h"
#include "page_track_ring.h"
#include "page_track_untracked.h"

static_assert((int)KVM_PAGE_TRACK_WRITE == KVM_PAGE_TRACK_MODE_WRITE);

struct page_tracker {
	struct kvm_page_track_notifier_node node;
	struct page_track_ring ring;
	struct kvm *kvm;
	u64 user_data;
};

static struct page_tracker *to_tracker(struct kvm_page_track_notifier_node *n)
{
	return container_of(n, struct page_tracker, node);
}

/* Events */

static void push_event(struct kvm_vcpu *vcpu, struct page_tracker *tracker,
		       struct kvm_page_track_event *event)
{
	event->vcpu_id = vcpu->vcpu_id;
	event->as_id = kvm_arch_vcpu_memslots_id(vcpu);
	event->rip = kvm_rip_read(vcpu);
	event->cr3 = kvm_read_cr3(vcpu);
	if (is_guest_mode(vcpu))
		event->flags |= KVM_PAGE_TRACK_EVENT_NESTED;

	trace_kvm_page_track_event(vcpu->vcpu_id, event->gpa, event->len, event->phase,
				   event->flags);

	/* Whether that was the last room decides what the vCPU does next. */
	if (!page_track_ring_push(&tracker->ring, event))
		kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
}

/* Of a page given up now, or by another vCPU before, which has told then. */
static void tell_once(struct kvm_vcpu *vcpu, struct page_tracker *tracker,
		      struct kvm_page_track_event *event)
{
	struct xarray *untracked = &tracker->node.untracked[KVM_PAGE_TRACK_WRITE];
	gfn_t gfn = gpa_to_gfn(event->gpa);
	int r;

	/* Before userspace can track the page again. */
	guard(mutex)(&vcpu->kvm->slots_arch_lock);

	r = kvm_page_track_untrack_page(vcpu->kvm, &tracker->node, gfn, KVM_PAGE_TRACK_WRITE,
					KVM_PAGE_TRACK_ACTION_ONCE);
	if (!r && page_track_is_untracked(untracked, gfn))
		return;

	if (r > 0)
		event->flags |= KVM_PAGE_TRACK_EVENT_UNTRACKED;
	push_event(vcpu, tracker, event);
}

static void tracker_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			  int bytes, u8 action, struct kvm_page_track_notifier_node *node)
{
	struct kvm_page_track_event event = {
		.gpa = gpa,
		.gva = gva,
		.len = bytes,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.phase = KVM_PAGE_TRACK_PHASE_AFTER,
		.flags = KVM_PAGE_TRACK_EVENT_GVA,
	};

	/* What could not be asked is told. */
	if (action == KVM_PAGE_TRACK_ACTION_EXIT &&
	    page_track_was_asked(vcpu, gpa, bytes, node->id))
		return;

	if (bytes > sizeof(event.data))
		event.flags |= KVM_PAGE_TRACK_EVENT_TRUNCATED;
	memcpy(event.data, new, min_t(size_t, bytes, sizeof(event.data)));

	if (action == KVM_PAGE_TRACK_ACTION_ONCE)
		tell_once(vcpu, to_tracker(node), &event);
	else
		push_event(vcpu, to_tracker(node), &event);
}

/* Let the guest have the page, so that it does the access itself. */
static int untrack_page(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
			u8 action, struct page_tracker *tracker)
{
	struct kvm_page_track_event event = {
		.gpa = access->gpa,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.phase = KVM_PAGE_TRACK_PHASE_BEFORE,
		.flags = KVM_PAGE_TRACK_EVENT_UNTRACKED,
	};
	int r;

	if (access->gva_valid) {
		event.gva = access->gva;
		event.flags |= KVM_PAGE_TRACK_EVENT_GVA;
	}
	if (access->page_walk)
		event.flags |= KVM_PAGE_TRACK_EVENT_PAGE_WALK;
	if (access->unemulated)
		event.flags |= KVM_PAGE_TRACK_EVENT_UNEMULATED;

	/* Tell before userspace can track the page again.  Of several vCPUs, one does. */
	guard(mutex)(&vcpu->kvm->slots_arch_lock);

	r = kvm_page_track_untrack_page(vcpu->kvm, &tracker->node, gpa_to_gfn(access->gpa),
					access->mode, action);
	if (r > 0)
		push_event(vcpu, tracker, &event);

	return r < 0 ? r : KVM_PAGE_TRACK_STOP;
}

static int tracker_access(struct kvm_vcpu *vcpu, struct kvm_page_track_access *access,
			  u8 action, struct kvm_page_track_notifier_node *node)
{
	struct page_tracker *tracker = to_tracker(node);

	if (!access->too_late && !page_track_ring_has_room(&tracker->ring)) {
		kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
		return KVM_PAGE_TRACK_STOP;
	}

	if (action == KVM_PAGE_TRACK_ACTION_EXIT)
		return access->data || access->unemulated ?
		       page_track_ask(vcpu, node, tracker->user_data, access) :
		       KVM_PAGE_TRACK_WANT_DATA;

	if (access->unemulated)
		return untrack_page(vcpu, access, action, tracker);

	/* Of what the emulator writes, tracker_write() will tell. */
	if (action != KVM_PAGE_TRACK_ACTION_ONCE || access->data)
		return KVM_PAGE_TRACK_GO_ON;

	/* Tell of no write that the host cannot let happen. */
	return access->page_ready ? untrack_page(vcpu, access, action, tracker) :
				    KVM_PAGE_TRACK_WANT_PAGE;
}

/* Leave KVM_RUN with a question, or since the ring is full. */
static bool tracker_enter(struct kvm_vcpu *vcpu, struct kvm_page_track_notifier_node *node)
{
	struct page_tracker *tracker = to_tracker(node);

	if (page_track_exit_to_ask(vcpu, node))
		return true;

	if (page_track_ring_has_room(&tracker->ring))
		return false;

	kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
	memset(&vcpu->run->page_track, 0, sizeof(vcpu->run->page_track));
	vcpu->run->exit_reason = KVM_EXIT_PAGE_TRACK;
	vcpu->run->page_track.reason = KVM_PAGE_TRACK_REASON_RING_FULL;
	vcpu->run->page_track.user_data = tracker->user_data;
	return true;
}

bool kvm_page_track_must_exit(struct kvm_vcpu *vcpu)
{
	if (kvm_page_track_enter(vcpu))
		return true;

	page_track_forget_question(vcpu);
	return false;
}

/* The file descriptor */

static int get_range(struct kvm_page_track_range *range, const void __user *argp)
{
	if (copy_from_user(range, argp, sizeof(*range)))
		return -EFAULT;

	if (range->reserved || range->mode != KVM_PAGE_TRACK_MODE_WRITE ||
	    range->action > KVM_PAGE_TRACK_ACTION_EXIT ||
	    !PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(range->size))
		return -EINVAL;

	return 0;
}

static int next_range(struct page_tracker *tracker, struct kvm_page_track_range *range)
{
	gfn_t gfn = gpa_to_gfn(range->gpa), nr_pages;
	u8 action;
	int r;

	if (range->size || range->action)
		return -EINVAL;

	r = kvm_page_track_next_range(tracker->kvm, &tracker->node, range->mode,
				      &gfn, &nr_pages, &action);
	if (r)
		return r;

	range->gpa = gfn_to_gpa(gfn);
	range->size = gfn_to_gpa(nr_pages);
	range->action = action;
	return 0;
}

static long tracker_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	struct page_tracker *tracker = file->private_data;
	void __user *argp = (void __user *)arg;
	struct kvm_page_track_range range;
	int r;

	if (ioctl != KVM_PAGE_TRACK_ADD_RANGE && ioctl != KVM_PAGE_TRACK_REMOVE_RANGE &&
	    ioctl != KVM_PAGE_TRACK_NEXT_RANGE)
		return -ENOTTY;

	if (tracker->kvm->vm_dead)
		return -EIO;

	r = get_range(&range, argp);
	if (r)
		return r;

	switch (ioctl) {
	case KVM_PAGE_TRACK_ADD_RANGE:
		r = kvm_page_track_add_range(tracker->kvm, &tracker->node,
					     gpa_to_gfn(range.gpa), gpa_to_gfn(range.size),
					     range.mode, range.action);
		/* Who had another action tells no event of that any more. */
		kvm_page_track_wait(tracker->kvm, &tracker->node);
		return r;
	case KVM_PAGE_TRACK_REMOVE_RANGE:
		if (range.action)
			return -EINVAL;
		r = kvm_page_track_remove_range(tracker->kvm, &tracker->node,
						gpa_to_gfn(range.gpa),
						gpa_to_gfn(range.size), range.mode);
		kvm_page_track_wait(tracker->kvm, &tracker->node);
		return r;
	default:
		r = next_range(tracker, &range);
		if (!r && copy_to_user(argp, &range, sizeof(range)))
			r = -EFAULT;
		return r;
	}
}

static __poll_t tracker_poll(struct file *file, poll_table *wait)
{
	struct page_tracker *tracker = file->private_data;

	poll_wait(file, &tracker->ring.wait, wait);
	return page_track_ring_has_events(&tracker->ring) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int tracker_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct page_tracker *tracker = file->private_data;

	return page_track_ring_mmap(&tracker->ring, vma);
}

static void free_tracker(struct kvm_page_track_notifier_node *node)
{
	struct page_tracker *tracker = to_tracker(node);

	page_track_ring_destroy(&tracker->ring);
	kfree(tracker);
}

static void close_tracker(struct page_tracker *tracker)
{
	struct kvm *kvm = tracker->kvm;

	atomic_dec(&kvm->arch.nr_page_trackers);
	kvm_page_track_unregister_notifier_async(kvm, &tracker->node, free_tracker);
}

static int tracker_release(struct inode *inode, struct file *file)
{
	close_tracker(file->private_data);
	return 0;
}

static const struct file_operations tracker_fops = {
	.owner		= THIS_MODULE,
	.release	= tracker_release,
	.unlocked_ioctl	= tracker_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.poll		= tracker_poll,
	.mmap		= tracker_mmap,
	.llseek		= noop_llseek,
};

static struct page_tracker *alloc_tracker(struct kvm *kvm,
					  const struct kvm_create_page_tracker *create)
{
	struct page_tracker *tracker = kzalloc(sizeof(*tracker), GFP_KERNEL_ACCOUNT);

	if (!tracker)
		return NULL;

	if (page_track_ring_init(&tracker->ring, create->nr_events,
				 create->flags & KVM_PAGE_TRACKER_LOSSY)) {
		kfree(tracker);
		return NULL;
	}

	tracker->kvm = kvm;
	tracker->user_data = create->user_data;
	tracker->node.track_access = tracker_access;
	tracker->node.track_write = tracker_write;
	tracker->node.track_enter = tracker_enter;
	return tracker;
}

int kvm_vm_ioctl_create_page_tracker(struct kvm *kvm, const void __user *argp)
{
	struct kvm_create_page_tracker create;
	struct page_tracker *tracker;
	int fd;

	if (copy_from_user(&create, argp, sizeof(create)))
		return -EFAULT;

	if (create.flags & ~KVM_PAGE_TRACKER_LOSSY ||
	    create.reserved[0] || create.reserved[1] ||
	    !is_power_of_2(create.nr_events) ||
	    create.nr_events < KVM_PAGE_TRACK_MIN_EVENTS ||
	    create.nr_events > KVM_PAGE_TRACK_MAX_EVENTS)
		return -EINVAL;

	if (!kvm_page_track_capability(kvm))
		return -EOPNOTSUPP;

	if (!atomic_add_unless(&kvm->arch.nr_page_trackers, 1, KVM_MAX_PAGE_TRACKERS))
		return -ENOSPC;

	tracker = alloc_tracker(kvm, &create);
	if (!tracker) {
		fd = -ENOMEM;
		goto err_count;
	}

	fd = kvm_page_track_register_notifier(kvm, &tracker->node);
	if (fd)
		goto err_tracker;

	fd = anon_inode_getfd("kvm-page-tracker", &tracker_fops, tracker,
			      O_RDWR | O_CLOEXEC);
	/* It has been in the list, where vCPUs may have found it. */
	if (fd < 0)
		close_tracker(tracker);

	return fd;

err_tracker:
	free_tracker(&tracker->node);
err_count:
	atomic_dec(&kvm->arch.nr_page_trackers);
	return fd;
}

int kvm_page_track_capability(struct kvm *kvm)
{
	if (kvm && !kvm_page_track_may_have_external(kvm))
		return 0;

	return KVM_PAGE_TRACK_CAP_MODE(KVM_PAGE_TRACK_MODE_WRITE) |
	       KVM_PAGE_TRACK_CAP_ACTION(KVM_PAGE_TRACK_ACTION_NOTIFY) |
	       KVM_PAGE_TRACK_CAP_ACTION(KVM_PAGE_TRACK_ACTION_ONCE) |
	       KVM_PAGE_TRACK_CAP_ACTION(KVM_PAGE_TRACK_ACTION_EXIT);
}
