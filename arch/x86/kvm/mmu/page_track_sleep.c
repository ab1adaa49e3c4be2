// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: vCPUs that sleep in KVM_RUN.
 *
 * A vCPU that a tracker with KVM_PAGE_TRACKER_WAIT has asked something for, or that finds
 * no room in its ring, does not leave KVM_RUN, whose caller need not know of trackers:
 *
 *	vCPU				whoever holds the tracker
 *	----				-------------------------
 *	lock
 *	no room, or put an event in
 *	join the tracker's sleepers
 *	unlock				read the event
 *	sleep, if it is one still	lock
 *					find the sleeper, store the reply
 *					unlock, wake it
 *	start over with all requests
 *	take the reply, leave the list
 *
 * A reply that the vCPU has not taken can be withdrawn like a question.
 *
 * An event is in the ring under the lock, so that no reply comes too early for it.  Room
 * is looked for under the lock, too: whoever makes some finds the sleepers then that did
 * not see it.
 *
 * The vCPU sleeps as in kvm_vcpu_block(), but whether it has interrupts or not: they come
 * behind the instruction that it is at.  Like one that has halted, it is not woken when
 * the VM dies, but by a signal or by the next call on the tracker.
 *
 * It holds nothing but vcpu->mutex.  In particular, it is in no read section of kvm->srcu,
 * for which others would have to wait: the tracker may be freed meanwhile, and when it is
 * closed, its list is emptied first and nobody joins it any more.  So no sleeper refers to
 * a tracker that has gone, and the one lock is the VM's.
 *
 * Of a vCPU, others touch what it sleeps for alone, which is there as long as the VM.
 * What an instruction asks for, and what a reply does, is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>

#include "lapic.h"
#include "page_track_range.h"
#include "page_track_sleep.h"

static_assert(sizeof_field(struct page_track_sleeper, data) ==
	      sizeof_field(struct kvm_page_track_reply, data));

static bool is_waiting(const struct page_track_sleeper *sleeper)
{
	enum page_track_sleep_state state = READ_ONCE(sleeper->state);

	return state == PAGE_TRACK_FOR_ROOM || state == PAGE_TRACK_FOR_REPLY;
}

static void join(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu,
		 struct page_track_sleepers *sleepers, enum page_track_sleep_state state)
{
	lockdep_assert_held(&vcpu->kvm->arch.page_track_sleep_lock);
	WARN_ON_ONCE(sleeper->state != PAGE_TRACK_AWAKE);

	sleeper->vcpu = vcpu;
	WRITE_ONCE(sleeper->state, state);
	list_add_tail(&sleeper->link, &sleepers->list);
}

static void leave(struct page_track_sleeper *sleeper)
{
	lockdep_assert_held(&sleeper->vcpu->kvm->arch.page_track_sleep_lock);

	if (sleeper->state != PAGE_TRACK_AWAKE)
		list_del(&sleeper->link);
	WRITE_ONCE(sleeper->state, PAGE_TRACK_AWAKE);
}

static void wake(struct page_track_sleeper *sleeper)
{
	/* The barrier in there pairs with the one in page_track_sleep(). */
	rcuwait_wake_up(kvm_arch_vcpu_get_wait(sleeper->vcpu));
}

static void wake_to_leave(struct page_track_sleeper *sleeper)
{
	leave(sleeper);
	wake(sleeper);
}

/* The vCPU's side */

enum page_track_sleep_state
page_track_wait_for_reply(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu,
			  struct page_track_sleepers *sleepers, struct page_track_ring *ring,
			  struct kvm_page_track_notifier_node *n,
			  struct kvm_page_track_event *event, int bytes, bool steps)
{
	enum page_track_sleep_state state = PAGE_TRACK_AWAKE;

	lockdep_assert_once(srcu_read_lock_held(&vcpu->kvm->srcu));

	spin_lock(&vcpu->kvm->arch.page_track_sleep_lock);

	/* Who removes the range withdraws the question, or has done so: then it is seen. */
	if (!sleepers->closed &&
	    kvm_page_track_get_action(n, gpa_to_gfn(event->gpa), KVM_PAGE_TRACK_WRITE) ==
	    KVM_PAGE_TRACK_ACTION_EXIT) {
		state = PAGE_TRACK_FOR_ROOM;
		if (page_track_ring_try_push(ring, event)) {
			sleeper->seq = event->seq;
			sleeper->gpa = event->gpa;
			sleeper->bytes = bytes;
			sleeper->steps = steps;
			state = PAGE_TRACK_FOR_REPLY;
		}
		join(sleeper, vcpu, sleepers, state);
	}

	spin_unlock(&vcpu->kvm->arch.page_track_sleep_lock);
	return state;
}

bool page_track_wait_for_room(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu,
			      struct page_track_sleepers *sleepers,
			      struct page_track_ring *ring)
{
	bool waits;

	lockdep_assert_once(srcu_read_lock_held(&vcpu->kvm->srcu));

	spin_lock(&vcpu->kvm->arch.page_track_sleep_lock);
	waits = !sleepers->closed && !page_track_ring_has_room(ring);
	if (waits)
		join(sleeper, vcpu, sleepers, PAGE_TRACK_FOR_ROOM);
	spin_unlock(&vcpu->kvm->arch.page_track_sleep_lock);

	return waits;
}

/*
 * Interrupts that are posted and not taken would wake the vCPU again and again.  To look
 * for one moves them to the IRR, where they wait.
 */
static void take_posted_interrupts(struct kvm_vcpu *vcpu)
{
	if (lapic_in_kernel(vcpu))
		kvm_apic_has_interrupt(vcpu);
}

void page_track_sleep(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu)
	__must_hold(&vcpu->kvm->srcu)
{
	struct rcuwait *wait = kvm_arch_vcpu_get_wait(vcpu);

	kvm_vcpu_srcu_read_unlock(vcpu);
	vcpu->stat.generic.blocking = 1;

	/* Whoever schedules the vCPU in or out in between has to see both, or none. */
	preempt_disable();
	kvm_arch_vcpu_blocking(vcpu);
	prepare_to_rcuwait(wait);
	preempt_enable();

	for (;;) {
		/* The barrier in there pairs with the one in rcuwait_wake_up(). */
		set_current_state(TASK_INTERRUPTIBLE);
		if (!is_waiting(sleeper) || signal_pending(current) ||
		    kvm_test_request(KVM_REQ_VM_DEAD, vcpu))
			break;
		take_posted_interrupts(vcpu);
		schedule();
	}

	preempt_disable();
	finish_rcuwait(wait);
	kvm_arch_vcpu_unblocking(vcpu);
	preempt_enable();

	vcpu->stat.generic.blocking = 0;
	kvm_vcpu_srcu_read_lock(vcpu);

	if (READ_ONCE(sleeper->state) == PAGE_TRACK_FOR_ROOM)
		page_track_stop_waiting(sleeper, vcpu);
}

bool page_track_stop_waiting(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu)
{
	bool replied;

	/* Nobody else makes a vCPU wait. */
	if (READ_ONCE(sleeper->state) == PAGE_TRACK_AWAKE)
		return false;

	spin_lock(&vcpu->kvm->arch.page_track_sleep_lock);
	replied = sleeper->state == PAGE_TRACK_REPLIED;
	leave(sleeper);
	spin_unlock(&vcpu->kvm->arch.page_track_sleep_lock);

	return replied;
}

/* The trackers' side */

void page_track_init_sleepers(struct page_track_sleepers *sleepers)
{
	INIT_LIST_HEAD(&sleepers->list);
}

static int take_reply(struct page_track_sleeper *s, const struct kvm_page_track_reply *reply)
{
	if (!page_track_is_valid_reply(s->bytes, s->steps, reply->reply))
		return -EINVAL;

	s->reply = reply->reply;
	memcpy(s->data, reply->data, sizeof(s->data));
	WRITE_ONCE(s->state, PAGE_TRACK_REPLIED);
	wake(s);
	return 0;
}

int page_track_reply_to_sleeper(struct kvm *kvm, struct page_track_sleepers *sleepers,
				const struct kvm_page_track_reply *reply)
{
	struct page_track_sleeper *s;
	int r = -ENOENT;

	spin_lock(&kvm->arch.page_track_sleep_lock);
	list_for_each_entry(s, &sleepers->list, link) {
		if (s->state == PAGE_TRACK_FOR_REPLY && s->seq == reply->seq &&
		    s->vcpu->vcpu_id == reply->vcpu_id) {
			r = take_reply(s, reply);
			break;
		}
	}
	spin_unlock(&kvm->arch.page_track_sleep_lock);

	return r;
}

void page_track_wake_for_room(struct kvm *kvm, struct page_track_sleepers *sleepers)
{
	struct page_track_sleeper *s, *next;

	spin_lock(&kvm->arch.page_track_sleep_lock);
	list_for_each_entry_safe(s, next, &sleepers->list, link) {
		if (s->state == PAGE_TRACK_FOR_ROOM)
			wake_to_leave(s);
	}
	spin_unlock(&kvm->arch.page_track_sleep_lock);
}

void page_track_withdraw_questions(struct kvm *kvm, struct page_track_sleepers *sleepers,
				   gpa_t gpa, u64 size)
{
	struct page_track_sleeper *s, *next;

	spin_lock(&kvm->arch.page_track_sleep_lock);
	list_for_each_entry_safe(s, next, &sleepers->list, link) {
		if (s->state != PAGE_TRACK_FOR_ROOM && s->gpa - gpa < size)
			wake_to_leave(s);
	}
	spin_unlock(&kvm->arch.page_track_sleep_lock);
}

void page_track_close_sleepers(struct kvm *kvm, struct page_track_sleepers *sleepers)
{
	struct page_track_sleeper *s, *next;

	spin_lock(&kvm->arch.page_track_sleep_lock);
	sleepers->closed = true;
	list_for_each_entry_safe(s, next, &sleepers->list, link)
		wake_to_leave(s);
	spin_unlock(&kvm->arch.page_track_sleep_lock);
}
