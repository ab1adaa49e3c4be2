/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tracking, layer 2: collecting untracked gfns, see page_track_collect.c. */
#ifndef __KVM_X86_PAGE_TRACK_COLLECT_H
#define __KVM_X86_PAGE_TRACK_COLLECT_H

#include <linux/kvm_host.h>
#include <linux/xarray.h>

/* What becomes of the gfns of one call, once they are known. */
struct kvm_page_track_collector {
	/*
	 * The set @gfns, see page_track_untracked.h, is what was collected.  Called once, or
	 * not at all if that fails.  With an error, all is as if nothing had been collected.
	 *
	 * Context: as kvm_page_track_collect(), may sleep; must not add, remove or collect.
	 */
	int (*tell)(struct kvm_page_track_collector *collector, struct xarray *gfns);
};

/*
 * Collect the gfns of [@gfn, @gfn + @nr_pages) that @n has given up.  If @rearm, these are
 * all of them, and @n tracks them again, with the action that it gave: before they are
 * told, no vCPU has the access without a fault.  If not, they are those that no call has
 * told since they were given up, and stay as they are.
 *
 * What this costs goes with the gfns collected, not with @nr_pages.  A call that fails
 * has collected nothing; what it has tracked again meanwhile shows until it returns.
 *
 * Returns 0, what @collector->tell returns, -EINVAL if there is no such @mode or range,
 * -ESRCH if @n is not registered, -EINTR if the caller is killed, -ENOMEM, or -EIO for a
 * bug of KVM.
 * Context: process, may sleep; waits for another call for @n, and takes
 * kvm->slots_arch_lock and kvm->mmu_lock, again and again if there are many gfns.
 */
int kvm_page_track_collect(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			   gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode,
			   bool rearm, struct kvm_page_track_collector *collector);

#endif /* __KVM_X86_PAGE_TRACK_COLLECT_H */
