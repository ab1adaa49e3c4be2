// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: how long the view of steps stays, see page_track_step.c.
 *
 * It comes with the first step, and goes with the last tracker of others than KVM.  That
 * one does not wait for a vCPU, which may be in a step, or start one still: each step looks
 * again at its end.  A work item frees the view, as it needs kvm->slots_lock, which others
 * may hold for as long as a vCPU waits for userfaultfd.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/workqueue.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "page_track_notifier.h"
#include "page_track_step_view.h"

static void drop_in_work(struct work_struct *work)
{
	kvm_mmu_drop_view(container_of(work, struct kvm, arch.page_track_view_work));
}

void kvm_page_track_drop_view(struct kvm *kvm)
{
	/*
	 * Either a step that ends sees that no tracker is left, or who has removed the last
	 * one sees the step.  Pairs with itself, and with the cmpxchg() in start_step().
	 */
	smp_mb();

	if (READ_ONCE(kvm->arch.page_track_has_stepped) && !kvm_page_track_has_external(kvm))
		queue_work(system_unbound_wq, &kvm->arch.page_track_view_work);
}

void kvm_page_track_init_steps(struct kvm *kvm)
{
	INIT_WORK(&kvm->arch.page_track_view_work, drop_in_work);
}

void kvm_page_track_stop_steps(struct kvm *kvm)
{
	cancel_work_sync(&kvm->arch.page_track_view_work);
}
