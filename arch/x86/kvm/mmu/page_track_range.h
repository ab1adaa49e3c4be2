/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: ranges of trackers, see page_track_range.c.  Only trackers
 * of others than KVM have some.
 */
#ifndef __KVM_X86_PAGE_TRACK_RANGE_H
#define __KVM_X86_PAGE_TRACK_RANGE_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * Count what the trackers' ranges have of @slot, which is not visible yet.  If that
 * is long, let others have kvm->slots_arch_lock in between: what depends on that,
 * other than ranges, has to be looked at afterwards.
 *
 * Returns 0, or with the counters of @slot freed -ENOMEM, -EINTR if the caller is killed,
 * or -EIO for a bug.
 * Context: slots_lock and kvm->slots_arch_lock held; may sleep, takes
 * kvm->mmu_lock.
 */
int kvm_page_track_apply_ranges(struct kvm *kvm, struct kvm_memory_slot *slot);

/*
 * Remove what @n tracks, and let others take the locks again and again.  What is
 * added meanwhile may be left.
 *
 * Context: process, may sleep; takes kvm->slots_arch_lock and mmu_lock.
 */
void kvm_page_track_remove_most_ranges(struct kvm *kvm,
				       struct kvm_page_track_notifier_node *n);

/*
 * Remove all that @n tracks.
 *
 * Context: kvm->srcu and kvm->slots_arch_lock held; may sleep, takes
 * kvm->mmu_lock.
 */
void kvm_page_track_remove_all_ranges(struct kvm *kvm,
				      struct kvm_page_track_notifier_node *n);

/*
 * The action that @n gave for @gfn, or -ENOENT if it does not track @gfn; and the same for
 * one that it has given up, too.
 * Context: any; @n stays registered or kvm->srcu is held.
 */
int kvm_page_track_get_range_action(struct kvm_page_track_notifier_node *n, gfn_t gfn,
				    enum kvm_page_track_mode mode);
int kvm_page_track_get_action(struct kvm_page_track_notifier_node *n, gfn_t gfn,
			      enum kvm_page_track_mode mode);

/*
 * As kvm_page_track_get_action(), and narrow [*@first, *@last], which has @gfn, to gfns for
 * which it is the same.
 */
int kvm_page_track_get_action_around(struct kvm_page_track_notifier_node *n, gfn_t gfn,
				     enum kvm_page_track_mode mode, gfn_t *first, gfn_t *last);

/*
 * Remove @gfn from what @n tracks if it has this @action still.  The first one takes for granted
 * that @n is registered and has a range with that action there.  Who tells of that before the
 * lock is released is not overtaken by an @n that adds @gfn again.
 *
 * Returns 1 if so, 0 if not, or -ENOMEM, or -EIO for a bug.
 * Context: kvm->srcu and kvm->slots_arch_lock held; may sleep, takes mmu_lock.
 */
int __kvm_page_track_untrack_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
				  gfn_t gfn, enum kvm_page_track_mode mode);
int kvm_page_track_untrack_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
				gfn_t gfn, enum kvm_page_track_mode mode, u8 action);
#else
static inline int kvm_page_track_apply_ranges(struct kvm *kvm,
					      struct kvm_memory_slot *slot)
{
	return 0;
}
#endif

#endif /* __KVM_X86_PAGE_TRACK_RANGE_H */
