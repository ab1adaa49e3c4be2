// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: writes that KVM itself does for the guest, or for userspace.
 *
 * Whatever KVM writes to guest memory, it marks dirty after that, which is where it is
 * known here: with kvm->srcu held, but else in any context.  A steal time may be marked
 * under the scheduler's rq->lock, a clock under gpc->lock with interrupts disabled.  So
 * nobody is asked or told there.  The gfn is noted for each tracker that has it:
 *
 *	writer				process context
 *	------				---------------
 *	write
 *	mark dirty:
 *	  note gfn
 *	  request, irq_work		of the vCPU, before it enters the guest; or a work
 *					item, or whoever asks for events:
 *					  take gfn
 *					  call track_by_kvm
 *
 * Not noted is what is told otherwise, with its bytes: what the emulator writes.  Nor is
 * what the CPU does natively, which is marked dirty late or before it is done: there is no
 * writable SPTE for a tracked gfn.  These call __mark_page_dirty_in_slot().
 *
 * Who stops tracking a gfn is told of what was noted before; which bits say so is known
 * to page_track_written.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/irq_work.h>
#include <linux/kvm_host.h>
#include <linux/preempt.h>
#include <linux/workqueue.h>

#include "page_track_by_kvm.h"
#include "page_track_notifier.h"
#include "page_track_part.h"
#include "page_track_range.h"
#include "page_track_written.h"

/* Returns whether @n tracks what was written. */
static bool note_write(struct kvm_page_track_notifier_node *n,
		       const struct page_track_write *write)
{
	unsigned long flags;
	bool tracked;

	if (kvm_page_track_get_action(n, write->gfn, KVM_PAGE_TRACK_WRITE) < 0)
		return false;

	/* Who stops tracking and takes the lock after that has all that was noted. */
	raw_spin_lock_irqsave(&n->written->lock, flags);
	tracked = kvm_page_track_get_action(n, write->gfn, KVM_PAGE_TRACK_WRITE) >= 0;
	if (tracked)
		page_track_written_mark(n->written, write);
	raw_spin_unlock_irqrestore(&n->written->lock, flags);

	return tracked;
}

static bool note_for_trackers(struct kvm *kvm, const struct page_track_write *write)
{
	struct kvm_page_track_notifier_node *n;
	bool tracked = false;

	kvm_page_track_for_each_notifier(kvm, n) {
		if (n->written)
			tracked |= note_write(n, write);
	}

	return tracked;
}

/* Have @vcpu, which is the current one, tell before it enters the guest. */
static void make_request(struct kvm_vcpu *vcpu)
{
	u32 exit = vcpu->stat.exits + 1;

	/*
	 * What KVM writes each time on the way into the guest, e.g. of EOIs, must not keep
	 * the vCPU from getting there.
	 */
	if (vcpu->wants_to_run && vcpu->arch.page_track_request_exit == exit)
		return;

	vcpu->arch.page_track_request_exit = exit;
	kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
}

void kvm_arch_guest_page_written(struct kvm *kvm, const struct kvm_memory_slot *slot,
				 gfn_t gfn)
{
	struct page_track_write write = { .gfn = gfn, .as_id = slot->as_id };
	struct kvm_vcpu *vcpu;

	/*
	 * What was written is visible before the look-up: who tracks the gfn from now on
	 * sees the bytes, or is found.  Pairs with the smp_mb() in kvm_page_track_wait(),
	 * behind a change of what is tracked.
	 */
	smp_mb();

	if (!kvm_page_track_has_external(kvm) || page_track_is_internal(slot))
		return;

	/* What an interrupt writes is not by the vCPU that it interrupts. */
	vcpu = in_task() ? kvm_get_running_vcpu() : NULL;
	if (vcpu && vcpu->kvm != kvm)
		vcpu = NULL;
	write.vcpu_id = vcpu ? vcpu->vcpu_id : U32_MAX;

	if (!note_for_trackers(kvm, &write))
		return;

	if (vcpu)
		make_request(vcpu);

	/*
	 * The vCPU may not enter the guest for long, or it is not in KVM_RUN.  Wake nobody
	 * here, as the vCPU may be on its way out of the CPU, under rq->lock.  The next
	 * tick is soon enough: an IPI would have a vCPU that KVM writes for on the way in
	 * leave the guest at once, and again if it has been told by then.
	 */
	irq_work_queue(&kvm->arch.track_notifier_head.by_kvm_irq_work);
}

/* Returns whether @n has been told. */
static bool tell(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
		 const struct page_track_write *write)
{
	int action = kvm_page_track_get_action(n, write->gfn, KVM_PAGE_TRACK_WRITE);

	return n->track_by_kvm(kvm, write->gfn, write->as_id, write->vcpu_id, action, n);
}

bool kvm_page_track_tell_by_kvm(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	struct page_track_write write;
	bool told = true;
	int idx;

	if (!n->written)
		return true;

	idx = srcu_read_lock(&kvm->srcu);
	/* Also to wait for who has taken one, and is about to tell it. */
	mutex_lock(&n->written->tell_lock);
	page_track_written_start(n->written);
	while (page_track_written_take(n->written, &write)) {
		if (!tell(kvm, n, &write)) {
			page_track_written_put_back(n->written, &write);
			told = false;
			break;
		}
		page_track_written_told(n->written);
		cond_resched();
	}
	mutex_unlock(&n->written->tell_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return told;
}

void kvm_page_track_tell_all_by_kvm(struct kvm *kvm)
{
	struct kvm_page_track_notifier_node *n;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_page_track_for_each_notifier(kvm, n)
		kvm_page_track_tell_by_kvm(kvm, n);
	srcu_read_unlock(&kvm->srcu, idx);
}

static void tell_in_work(struct work_struct *work)
{
	kvm_page_track_tell_all_by_kvm(container_of(work, struct kvm,
						    arch.track_notifier_head.by_kvm_work));
}

static void queue_in_irq(struct irq_work *irq_work)
{
	struct kvm_page_track_notifier_head *head =
		container_of(irq_work, struct kvm_page_track_notifier_head, by_kvm_irq_work);

	queue_work(system_unbound_wq, &head->by_kvm_work);
}

void kvm_page_track_init_by_kvm(struct kvm *kvm)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;

	head->by_kvm_irq_work = IRQ_WORK_INIT_LAZY(queue_in_irq);
	INIT_WORK(&head->by_kvm_work, tell_in_work);
}

void kvm_page_track_stop_by_kvm(struct kvm *kvm)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;

	/* No tracker is left, so that neither is queued again. */
	irq_work_sync(&head->by_kvm_irq_work);
	cancel_work_sync(&head->by_kvm_work);
}
