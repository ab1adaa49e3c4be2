// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: wait for vCPUs that are at a write.
 *
 * Who stops tracking a gfn between a write and the call that tells of it is called all
 * the same, see page_track_access.c.  kvm_page_track_wait() waits until such calls have
 * returned:
 *
 *	vCPU				other thread
 *	----				------------
 *	state = DECIDED
 *	look up trackers		change what a tracker tracks
 *	write				generation++
 *	state = WRITTEN			wait while a state is DECIDED or WRITTEN
 *	call trackers
 *	state = 0
 *
 * The write may sleep for as long as userspace likes, as in handle_userfault().  A
 * vCPU that sleeps while DECIDED has not written: nobody waits for it, but the one
 * tracker is taken back from what it decided.
 *
 * Why somebody waits is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/kvm_host.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "page_track_access.h"

bool kvm_page_track_is_asleep(struct kvm_vcpu *vcpu)
{
	struct task_struct *task;

	guard(rcu)();

	task = pid_task(rcu_dereference(vcpu->pid), PIDTYPE_PID);
	/* Who waits for mmu_lock with PREEMPT_RT has written. */
	return !task || !(task_is_running(task) ||
			  READ_ONCE(task->__state) & TASK_RTLOCK_WAIT);
}

/* The vCPU sleeps, and has not written: it shall not tell @n.  False if it goes on. */
static bool take_back(struct kvm_page_track_insn *insn, u32 state,
		      const struct kvm_page_track_notifier_node *n)
{
	int i;

	for (i = 0; i < READ_ONCE(insn->nr_found); i++) {
		if (READ_ONCE(insn->found[i].node) != n)
			continue;

		/* Pairs with the one in was_decided(). */
		return try_cmpxchg(&insn->state, &state,
				   state | KVM_PAGE_TRACK_TAKEN_BACK(i));
	}

	return true;
}

/* May @vcpu still tell @n of the write that it was at with the state @seen? */
static bool is_under_way(struct kvm_vcpu *vcpu, struct kvm_page_track_insn *insn, u32 seen,
			 const struct kvm_page_track_notifier_node *n)
{
	/* Pairs with the release in end_write(). */
	u32 state = smp_load_acquire(&insn->state);

	if ((state ^ seen) & KVM_PAGE_TRACK_WHICH_WRITE || !(state & KVM_PAGE_TRACK_STAGE))
		return false;

	/* What has been written is told at once. */
	if ((state & KVM_PAGE_TRACK_STAGE) == KVM_PAGE_TRACK_WRITTEN ||
	    !kvm_page_track_is_asleep(vcpu))
		return true;

	return !take_back(insn, state, n);
}

void kvm_page_track_wait(struct kvm *kvm, const struct kvm_page_track_notifier_node *n)
{
	struct kvm_page_track_vcpu *track;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u32 seen;

	/* Whoever decides from now on sees what has changed.  Pairs with start_write(). */
	smp_mb();

	kvm_for_each_vcpu(i, vcpu, kvm) {
		/* Pairs with the release in create_vcpu(). */
		track = smp_load_acquire(&vcpu->arch.page_track);
		if (!track)
			continue;

		seen = READ_ONCE(track->insn.state);
		while (is_under_way(vcpu, &track->insn, seen, n) &&
		       !fatal_signal_pending(current))
			usleep_range(10, 100);
	}
}
