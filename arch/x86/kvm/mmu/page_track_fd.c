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
 * What a tracker does is known to page_track_event.c, what it can be asked of the VM
 * to page_track_info.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "page_track_bitmap.h"
#include "page_track_by_kvm.h"
#include "page_track_event.h"
#include "page_track_fd.h"
#include "page_track_info.h"
#include "page_track_notifier.h"
#include "page_track_ring.h"
#include "page_track_sleep.h"
#include "page_track_step.h"
#include "page_track_user.h"

/* The flags of a tracker that there are. */
#define TRACKER_FLAGS	(KVM_PAGE_TRACKER_LOSSY | KVM_PAGE_TRACKER_WAIT | KVM_PAGE_TRACKER_STEP)

static int get_range(struct kvm_page_track_range *range, const void __user *argp)
{
	if (copy_from_user(range, argp, sizeof(*range)))
		return -EFAULT;

	if (range->flags || memchr_inv(range->reserved, 0, sizeof(range->reserved)) ||
	    range->mode != KVM_PAGE_TRACK_MODE_WRITE ||
	    range->action > KVM_PAGE_TRACK_ACTION_EXIT ||
	    !PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(range->size))
		return -EINVAL;

	return 0;
}

/* A question that leaves KVM_RUN is for a VMM that knows what it is. */
static bool may_ask(const struct page_tracker *tracker)
{
	return !tracker->attached || tracker->flags & KVM_PAGE_TRACKER_WAIT;
}

static int tracker_add_range(struct page_tracker *tracker, const void __user *argp)
{
	struct kvm_page_track_range range;
	int r;

	r = get_range(&range, argp);
	if (r)
		return r;

	if (range.action == KVM_PAGE_TRACK_ACTION_EXIT && !may_ask(tracker))
		return -EINVAL;

	r = kvm_page_track_add_range(tracker->kvm, &tracker->node, gpa_to_gfn(range.gpa),
				     gpa_to_gfn(range.size), range.mode, range.action);

	/* Who had another action tells no event of that any more. */
	page_track_settle(tracker);
	kvm_page_track_tell_by_kvm(tracker->kvm, &tracker->node);
	if (!r && range.action != KVM_PAGE_TRACK_ACTION_EXIT)
		page_track_withdraw_questions(tracker->kvm, &tracker->sleepers, range.gpa,
					      range.size);
	return r;
}

static int tracker_remove_range(struct page_tracker *tracker, const void __user *argp)
{
	struct kvm_page_track_range range;
	int r;

	r = get_range(&range, argp);
	if (r)
		return r;

	if (range.action)
		return -EINVAL;

	r = kvm_page_track_remove_range(tracker->kvm, &tracker->node, gpa_to_gfn(range.gpa),
					gpa_to_gfn(range.size), range.mode);
	page_track_settle(tracker);
	kvm_page_track_tell_by_kvm(tracker->kvm, &tracker->node);
	if (!r)
		page_track_withdraw_questions(tracker->kvm, &tracker->sleepers, range.gpa,
					      range.size);
	return r;
}

static int tracker_next_range(struct page_tracker *tracker, void __user *argp)
{
	struct kvm_page_track_range range;
	gfn_t gfn, nr_pages;
	u8 action;
	int r;

	r = get_range(&range, argp);
	if (r)
		return r;

	if (range.size || range.action)
		return -EINVAL;

	gfn = gpa_to_gfn(range.gpa);
	r = kvm_page_track_next_range(tracker->kvm, &tracker->node, range.mode, &gfn,
				      &nr_pages, &action);
	if (r)
		return r;

	range.gpa = gfn_to_gpa(gfn);
	range.size = gfn_to_gpa(nr_pages);
	range.action = action;
	return copy_to_user(argp, &range, sizeof(range)) ? -EFAULT : 0;
}

static int reply(struct page_tracker *tracker, const void __user *argp)
{
	struct kvm_page_track_reply reply;

	if (copy_from_user(&reply, argp, sizeof(reply)))
		return -EFAULT;

	if (reply.flags || memchr_inv(reply.reserved, 0, sizeof(reply.reserved)) ||
	    reply.reply > KVM_PAGE_TRACK_REPLY_REPLACE)
		return -EINVAL;

	return page_track_reply_to_sleeper(tracker->kvm, &tracker->sleepers, &reply);
}

/* Nobody may reply any more: have KVM_RUN end. */
static bool is_dead(struct page_tracker *tracker)
{
	if (!tracker->kvm->vm_dead)
		return false;

	page_track_close_sleepers(tracker->kvm, &tracker->sleepers);
	return true;
}

/* Userspace reads events without a call, and this is one: is there room now? */
static void look_for_room(struct page_tracker *tracker)
{
	kvm_page_track_tell_by_kvm(tracker->kvm, &tracker->node);

	if (page_track_waits(tracker) && page_track_ring_has_room(&tracker->ring))
		page_track_wake_for_room(tracker->kvm, &tracker->sleepers);
}

static long tracker_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	struct page_tracker *tracker = file->private_data;
	void __user *argp = (void __user *)arg;

	if (is_dead(tracker))
		return -EIO;

	look_for_room(tracker);

	switch (ioctl) {
	case KVM_PAGE_TRACK_ADD_RANGE:
		return tracker_add_range(tracker, argp);
	case KVM_PAGE_TRACK_REMOVE_RANGE:
		return tracker_remove_range(tracker, argp);
	case KVM_PAGE_TRACK_NEXT_RANGE:
		return tracker_next_range(tracker, argp);
	case KVM_PAGE_TRACK_GET_INFO:
		return page_track_get_info(tracker, argp);
	case KVM_PAGE_TRACK_NEXT_SLOT:
		return page_track_next_slot(tracker->kvm, argp);
	case KVM_PAGE_TRACK_REPLY:
		return reply(tracker, argp);
	case KVM_PAGE_TRACK_COLLECT:
		return page_track_collect(tracker, argp);
	default:
		return -ENOTTY;
	}
}

static __poll_t tracker_poll(struct file *file, poll_table *wait)
{
	struct page_tracker *tracker = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &tracker->ring.wait, wait);
	if (!is_dead(tracker))
		look_for_room(tracker);
	if (page_track_ring_has_events(&tracker->ring))
		events |= EPOLLIN | EPOLLRDNORM;
	if (page_track_memory_is_gone(tracker->kvm))
		events |= EPOLLHUP;

	return events;
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
	kvm_page_track_remove_notifier(kvm, &tracker->node);
	kvm_page_track_drop_view(kvm);

	/* Nothing is tracked any more: what they wanted to write is not asked again. */
	page_track_close_sleepers(kvm, &tracker->sleepers);
	kvm_page_track_free_notifier(kvm, &tracker->node, free_tracker);
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
					  const struct kvm_create_page_tracker *create,
					  bool attach)
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
	tracker->flags = create->flags;
	tracker->attached = attach;
	page_track_init_tracker(tracker);
	return tracker;
}

static bool is_valid(const struct kvm_create_page_tracker *create, bool attach)
{
	/* A VMM that knows nothing of trackers must not see an exit. */
	u32 needs_one = attach ? KVM_PAGE_TRACKER_LOSSY | KVM_PAGE_TRACKER_WAIT : 0;

	return !(create->flags & ~TRACKER_FLAGS) && (!needs_one || create->flags & needs_one) &&
	       !memchr_inv(create->reserved, 0, sizeof(create->reserved)) &&
	       is_power_of_2(create->nr_events) &&
	       create->nr_events >= KVM_PAGE_TRACK_MIN_EVENTS &&
	       create->nr_events <= KVM_PAGE_TRACK_MAX_EVENTS;
}

int page_track_create_fd(struct kvm *kvm, const struct kvm_create_page_tracker *create,
			 bool attach)
{
	struct page_tracker *tracker;
	int fd;

	if (!is_valid(create, attach))
		return -EINVAL;

	if (!kvm_page_track_capability(kvm))
		return -EOPNOTSUPP;

	if (!atomic_add_unless(&kvm->arch.nr_page_trackers, 1, KVM_MAX_PAGE_TRACKERS))
		return -ENOSPC;

	tracker = alloc_tracker(kvm, create, attach);
	if (!tracker) {
		fd = -ENOMEM;
		goto err_count;
	}

	fd = __kvm_page_track_register_notifier(kvm, &tracker->node);
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

int kvm_vm_ioctl_create_page_tracker(struct kvm *kvm, const void __user *argp)
{
	struct kvm_create_page_tracker create;

	if (copy_from_user(&create, argp, sizeof(create)))
		return -EFAULT;

	if (create.vm_fd)
		return -EINVAL;

	return page_track_create_fd(kvm, &create, false);
}

int kvm_page_track_capability(struct kvm *kvm)
{
	if (kvm && !kvm_page_track_may_have_external(kvm))
		return 0;

	return KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_ACTION_NOTIFY) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_ACTION_ONCE) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_ACTION_EXIT) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_CAP_STEP) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_CAP_COLLECT);
}
