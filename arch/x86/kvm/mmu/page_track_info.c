// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: what who holds a tracker may ask.
 *
 * It may be another process than the one that has made the tracker, and the VM: this
 * is how it learns what the ring looks like and where the guest has memory.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "page_track_event.h"
#include "page_track_info.h"
#include "page_track_part.h"

int page_track_get_info(const struct page_tracker *tracker, void __user *argp)
{
	struct kvm_page_track_info info = {
		.user_data = tracker->user_data,
		.id = tracker->node.id,
		.max_gfn = page_track_max_gfn(),
		.event_size = sizeof(struct kvm_page_track_event),
		.nr_events = tracker->ring.nr_events,
		.flags = tracker->flags,
	};

	return copy_to_user(argp, &info, sizeof(info)) ? -EFAULT : 0;
}

/* The first slot of userspace that ends behind @gfn. */
static const struct kvm_memory_slot *find_slot(struct kvm_memslots *slots, gfn_t gfn)
{
	struct kvm_memslot_iter iter;

	/* KVM's own slots are few. */
	kvm_for_each_memslot_in_gfn_range(&iter, slots, gfn, ~(gfn_t)0) {
		if (!page_track_is_internal(iter.slot))
			return iter.slot;
	}

	return NULL;
}

/*
 * Where the VMM has its memory is a secret of the VMM, unless the caller is one who could
 * read that memory, see page_track_attach.c: a tracker may be handed to anybody.
 */
static bool may_see_addresses(struct kvm *kvm)
{
	return current->mm == kvm->mm ||
	       ns_capable_noaudit(kvm->mm->user_ns, CAP_SYS_PTRACE);
}

int page_track_next_slot(struct kvm *kvm, void __user *argp)
{
	const struct kvm_memory_slot *found;
	struct kvm_page_track_slot slot;
	int idx;

	if (copy_from_user(&slot, argp, sizeof(slot)))
		return -EFAULT;

	if (slot.size || slot.flags || slot.userspace_addr ||
	    memchr_inv(slot.reserved, 0, sizeof(slot.reserved)) ||
	    slot.as_id >= kvm_arch_nr_memslot_as_ids(kvm))
		return -EINVAL;

	/* Not slots_lock, whose holder may wait for vCPUs. */
	idx = srcu_read_lock(&kvm->srcu);
	found = find_slot(__kvm_memslots(kvm, slot.as_id), gpa_to_gfn(slot.gpa));
	if (found) {
		slot.gpa = gfn_to_gpa(found->base_gfn);
		slot.size = gfn_to_gpa(found->npages);
		/* That it is about to go is nobody's business. */
		slot.flags = found->flags & ~KVM_MEMSLOT_INVALID;
		slot.userspace_addr = may_see_addresses(kvm) ? found->userspace_addr : 0;
	}
	srcu_read_unlock(&kvm->srcu, idx);

	if (!found)
		return -ENOENT;

	return copy_to_user(argp, &slot, sizeof(slot)) ? -EFAULT : 0;
}
