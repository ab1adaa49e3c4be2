// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: accesses become events of trackers of userspace.
 *
 * Here, actions get their meaning.  How events reach userspace is known to
 * page_track_ring.c, what a question is to page_track_question.c, what a vCPU does that has
 * one, or no room, to page_track_enter.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/timekeeping.h>

#include "kvm_cache_regs.h"
#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track_access.h"
#include "page_track_by_kvm.h"
#include "page_track_event.h"
#include "page_track_found.h"
#include "page_track_notifier.h"
#include "page_track_question.h"
#include "page_track_range.h"
#include "page_track_sleep.h"
#include "page_track_step.h"
#include "page_track_untracked.h"
#include "page_track_user.h"

static_assert((int)KVM_PAGE_TRACK_WRITE == KVM_PAGE_TRACK_MODE_WRITE);

/* The vCPU is behind what it did itself.  How many bytes it has written is not known. */
static void fill_stepped(const struct kvm_page_track_stepped *stepped,
			 struct kvm_page_track_event *event)
{
	const struct kvm_page_track_access *access = stepped->access;

	event->flags &= ~KVM_PAGE_TRACK_EVENT_GVA;
	event->flags |= KVM_PAGE_TRACK_EVENT_STEPPED;
	if (access->gva_valid)
		event->flags |= KVM_PAGE_TRACK_EVENT_GVA;
	if (access->page_walk)
		event->flags |= KVM_PAGE_TRACK_EVENT_PAGE_WALK;
	if (!stepped->done)
		event->flags |= KVM_PAGE_TRACK_EVENT_UNFINISHED;
	if (!event->len)
		event->flags |= KVM_PAGE_TRACK_EVENT_TRUNCATED;
	event->len = 0;
	event->rip = stepped->rip;
}

void page_track_fill_event(struct kvm_vcpu *vcpu, struct kvm_page_track_event *event)
{
	const struct kvm_page_track_stepped *stepped = kvm_page_track_stepped(vcpu);

	if (stepped)
		fill_stepped(stepped, event);
	else
		event->rip = kvm_rip_read(vcpu);

	event->time = ktime_get_ns();
	event->vcpu_id = vcpu->vcpu_id;
	event->flags |= page_track_vcpu_flags(vcpu);
	event->cr3 = kvm_read_cr3(vcpu);
}

void page_track_trace_event(const struct kvm_page_track_event *event)
{
	trace_kvm_page_track_event(event->vcpu_id, event->gpa, event->len, event->phase,
				   event->flags);
}

static void push_event(struct kvm_vcpu *vcpu, struct page_tracker *tracker,
		       struct kvm_page_track_event *event)
{
	page_track_fill_event(vcpu, event);
	page_track_trace_event(event);

	/* Whether that was the last room decides what the vCPU does next. */
	if (!page_track_ring_push(&tracker->ring, event))
		kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
}

/*
 * Give the page of @event up.  Returns whether to tell: not if once gave it up before, and
 * whoever did that has told then.  Tell under the lock, before userspace can track the
 * page again.
 */
static bool untrack_once(struct kvm *kvm, struct page_tracker *tracker,
			 struct kvm_page_track_event *event)
{
	struct xarray *untracked = &tracker->node.untracked[KVM_PAGE_TRACK_WRITE];
	gfn_t gfn = gpa_to_gfn(event->gpa);
	int r;

	lockdep_assert_held(&kvm->slots_arch_lock);

	r = kvm_page_track_untrack_page(kvm, &tracker->node, gfn, KVM_PAGE_TRACK_WRITE,
					KVM_PAGE_TRACK_ACTION_ONCE);
	if (r > 0)
		event->flags |= KVM_PAGE_TRACK_EVENT_UNTRACKED;

	return r || !page_track_is_untracked(untracked, gfn) ||
	       kvm_page_track_get_range_action(&tracker->node, gfn, KVM_PAGE_TRACK_WRITE) !=
	       KVM_PAGE_TRACK_ACTION_ONCE;
}

static void tell_once(struct kvm_vcpu *vcpu, struct page_tracker *tracker,
		      struct kvm_page_track_event *event)
{
	guard(mutex)(&vcpu->kvm->slots_arch_lock);

	if (untrack_once(vcpu->kvm, tracker, event))
		push_event(vcpu, tracker, event);
}

static void tracker_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			  int bytes, u8 action, struct kvm_page_track_notifier_node *node)
{
	const struct kvm_page_track_stepped *stepped = kvm_page_track_stepped(vcpu);
	struct kvm_page_track_event event = {
		.gpa = gpa,
		.gva = gva,
		.len = bytes,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.phase = KVM_PAGE_TRACK_PHASE_AFTER,
		.flags = KVM_PAGE_TRACK_EVENT_GVA,
	};

	if (stepped && stepped->done)
		page_track_forget_done(vcpu, stepped->rip, stepped->event);
	if (stepped && stepped->skipped)
		return;

	/* What could not be asked is told; who has opened the page for a step was. */
	if (action == KVM_PAGE_TRACK_ACTION_EXIT &&
	    ((stepped && stepped->opened) ||
	     page_track_was_asked(vcpu, gpa, bytes, node->id)))
		return;

	if (bytes > sizeof(event.data))
		event.flags |= KVM_PAGE_TRACK_EVENT_TRUNCATED;
	memcpy(event.data, new, min_t(size_t, bytes, sizeof(event.data)));

	if (action == KVM_PAGE_TRACK_ACTION_ONCE)
		tell_once(vcpu, to_tracker(node), &event);
	else
		push_event(vcpu, to_tracker(node), &event);
}

static void push_by_kvm(struct page_tracker *tracker, struct kvm_page_track_event *event)
{
	event->time = ktime_get_ns();
	page_track_trace_event(event);
	page_track_ring_push(&tracker->ring, event);
}

static void tell_once_by_kvm(struct kvm *kvm, struct page_tracker *tracker,
			     struct kvm_page_track_event *event)
{
	guard(mutex)(&kvm->slots_arch_lock);

	if (untrack_once(kvm, tracker, event))
		push_by_kvm(tracker, event);
}

/* KVM has written to the page, and nobody could be asked. */
static bool tracker_by_kvm(struct kvm *kvm, gfn_t gfn, int as_id, u32 vcpu_id, int action,
			   struct kvm_page_track_notifier_node *node)
{
	struct page_tracker *tracker = to_tracker(node);
	struct kvm_page_track_event event = {
		.gpa = gfn_to_gpa(gfn),
		.vcpu_id = vcpu_id,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.phase = KVM_PAGE_TRACK_PHASE_AFTER,
		.flags = KVM_PAGE_TRACK_EVENT_BY_KVM,
	};

	/* If others take it meanwhile, the backlog has one event. */
	if (!page_track_ring_has_room(&tracker->ring))
		return false;

	if (as_id)
		event.flags |= KVM_PAGE_TRACK_EVENT_SMM;

	if (action < 0 || action == KVM_PAGE_TRACK_ACTION_ONCE)
		tell_once_by_kvm(kvm, tracker, &event);
	else
		push_by_kvm(tracker, &event);
	return true;
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

	r = page_track_untrack_found(vcpu, &tracker->node, gpa_to_gfn(access->gpa), action);
	if (r > 0)
		push_event(vcpu, tracker, &event);

	return r < 0 ? r : KVM_PAGE_TRACK_STOP;
}

/* Does the ring of @tracker have no room for what comes of an access? */
static bool lacks_room(struct kvm_vcpu *vcpu, struct page_tracker *tracker)
{
	/*
	 * The question may have taken the last room, and the reply is there: the
	 * backlog has what else the instruction makes, and the vCPU waits after it.
	 */
	if (page_track_waits(tracker) && kvm_page_track_insn_resumed(vcpu))
		return false;

	return !page_track_ring_has_room(&tracker->ring);
}

void page_track_withdraw_given_up(struct kvm *kvm, struct page_tracker *tracker, gpa_t gpa)
{
	if (kvm_page_track_get_action(&tracker->node, gpa_to_gfn(gpa), KVM_PAGE_TRACK_WRITE) !=
	    KVM_PAGE_TRACK_ACTION_EXIT)
		page_track_withdraw_questions(kvm, &tracker->sleepers, gpa & PAGE_MASK, PAGE_SIZE);
}

/* Have the CPU do what KVM cannot emulate, or, if it has to be, give the page up. */
static int do_unemulated(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
			 u8 action, struct page_tracker *tracker)
{
	int r = 0;

	if (tracker->flags & KVM_PAGE_TRACKER_STEP &&
	    action != KVM_PAGE_TRACK_ACTION_ONCE)
		r = kvm_page_track_step(vcpu, access, action, &tracker->node);
	if (!r)
		return untrack_page(vcpu, access, action, tracker);

	return r < 0 ? r : KVM_PAGE_TRACK_STOP;
}

/* The same for what userspace has allowed. */
static int do_allowed(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
		      struct page_tracker *tracker)
{
	int r = kvm_page_track_step(vcpu, access, KVM_PAGE_TRACK_ACTION_EXIT, &tracker->node);

	if (!r) {
		r = page_track_give_up_asked(vcpu, tracker->node.id, access->gpa);
		page_track_withdraw_given_up(vcpu->kvm, tracker, access->gpa);
	}

	return r < 0 ? r : KVM_PAGE_TRACK_STOP;
}

/* The same for what is not to be written: if that cannot be, ask for what can. */
static int do_skipped(struct kvm_vcpu *vcpu, struct kvm_page_track_access *access,
		      struct page_tracker *tracker)
{
	int r = kvm_page_track_skip(vcpu, access, KVM_PAGE_TRACK_ACTION_EXIT, &tracker->node);

	if (!r) {
		page_track_forget_allowed(vcpu, access->gpa, &tracker->node);
		return page_track_ask(vcpu, &tracker->node, tracker->user_data, false, access);
	}

	return r < 0 ? r : KVM_PAGE_TRACK_STOP;
}

static int ask(struct kvm_vcpu *vcpu, struct page_tracker *tracker,
	       struct kvm_page_track_access *access)
{
	const struct page_track_allowed *allowed = NULL;
	bool steps;

	if (access->unemulated)
		allowed = page_track_find_allowed(vcpu, access->gpa, &tracker->node);
	if (allowed)
		return allowed->skip ? do_skipped(vcpu, access, tracker) :
				       do_allowed(vcpu, access, tracker);

	steps = access->unemulated && tracker->flags & KVM_PAGE_TRACKER_STEP &&
		kvm_page_track_can_step(vcpu);
	return page_track_ask(vcpu, &tracker->node, tracker->user_data, steps, access);
}

static int do_access(struct kvm_vcpu *vcpu, struct kvm_page_track_access *access, u8 action,
		     struct page_tracker *tracker)
{
	/* What it does in a step, KVM cannot emulate. */
	access->unemulated |= kvm_page_track_in_step(vcpu);

	/* Tell of no write that the host cannot let happen. */
	if (action == KVM_PAGE_TRACK_ACTION_ONCE && !access->data && !access->unemulated &&
	    !access->page_ready)
		return KVM_PAGE_TRACK_WANT_PAGE;

	if (!access->too_late && lacks_room(vcpu, tracker)) {
		page_track_get_question(vcpu)->stopped = true;
		kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
		return KVM_PAGE_TRACK_STOP;
	}

	if (action == KVM_PAGE_TRACK_ACTION_EXIT)
		return access->data || access->unemulated ? ask(vcpu, tracker, access) :
		       KVM_PAGE_TRACK_WANT_DATA;

	if (access->unemulated)
		return do_unemulated(vcpu, access, action, tracker);

	/* Of what the emulator writes, tracker_write() will tell. */
	if (action != KVM_PAGE_TRACK_ACTION_ONCE || access->data)
		return KVM_PAGE_TRACK_GO_ON;

	return untrack_page(vcpu, access, action, tracker);
}

static int tracker_access(struct kvm_vcpu *vcpu, struct kvm_page_track_access *access,
			  u8 action, struct kvm_page_track_notifier_node *node)
{
	int r = do_access(vcpu, access, action, to_tracker(node));

	/* The page may be open, and trackers behind this one are not called. */
	if (r < 0)
		kvm_page_track_end_step(vcpu, false);

	return r;
}

void page_track_init_tracker(struct page_tracker *tracker)
{
	page_track_init_sleepers(&tracker->sleepers);
	tracker->node.track_access = tracker_access;
	tracker->node.track_write = tracker_write;
	tracker->node.track_by_kvm = tracker_by_kvm;
	tracker->node.track_enter = page_track_enter;
}

bool page_track_memory_is_gone(struct kvm *kvm)
{
	/* It is on its way.  The mm_struct itself stays as long as the VM. */
	return !atomic_read(&kvm->mm->mm_users);
}

void kvm_page_track_memory_gone(struct kvm *kvm)
{
	struct kvm_page_track_notifier_node *n;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_page_track_for_each_notifier(kvm, n) {
		/* Of userspace, not of another module. */
		if (n->track_write != tracker_write)
			continue;

		/* No vCPU will run any more, whatever is replied. */
		page_track_close_sleepers(kvm, &to_tracker(n)->sleepers);
		page_track_ring_hang_up(&to_tracker(n)->ring);
	}
	srcu_read_unlock(&kvm->srcu, idx);
}
