// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: accesses become events of trackers of userspace.
 *
 * Here, actions get their meaning, and it is decided what a vCPU that has a question or
 * no room does: it leaves KVM_RUN, or sleeps there if the tracker has it wait.  How events
 * reach userspace is known to page_track_ring.c, what a question is to
 * page_track_question.c, how vCPUs leave and sleep to page_track_exit.c and
 * page_track_sleep.c.
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
#include "page_track_exit.h"
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

static void fill_event(struct kvm_vcpu *vcpu, struct kvm_page_track_event *event)
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

static void trace_event(const struct kvm_page_track_event *event)
{
	trace_kvm_page_track_event(event->vcpu_id, event->gpa, event->len, event->phase,
				   event->flags);
}

static void push_event(struct kvm_vcpu *vcpu, struct page_tracker *tracker,
		       struct kvm_page_track_event *event)
{
	fill_event(vcpu, event);
	trace_event(event);

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
	trace_event(event);
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

/* The page of @gpa may be given up: nobody can refuse a write to it any more. */
static void withdraw_questions(struct kvm *kvm, struct page_tracker *tracker, gpa_t gpa)
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
		withdraw_questions(vcpu->kvm, tracker, access->gpa);
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
	bool steps = false;

	if (access->unemulated) {
		allowed = page_track_find_allowed(vcpu, access->gpa, &tracker->node);
		steps = tracker->flags & KVM_PAGE_TRACKER_STEP && kvm_page_track_can_step(vcpu);
	}

	if (allowed && allowed->skip)
		return do_skipped(vcpu, access, tracker);
	if (allowed)
		return do_allowed(vcpu, access, tracker);

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

/* Have the vCPU wait for a reply to the question @q. */
static bool wait_for_reply(struct kvm_vcpu *vcpu, struct page_tracker *tracker,
			   struct kvm_page_track_question *q)
{
	struct kvm_page_track_event event = {
		.gpa = q->gpa,
		.gva = q->gva,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.phase = KVM_PAGE_TRACK_PHASE_BEFORE,
		.flags = q->flags | KVM_PAGE_TRACK_EVENT_ASKS,
	};
	enum page_track_sleep_state state;

	event.len = page_track_get_asked(q, event.data, sizeof(event.data));
	fill_event(vcpu, &event);

	state = page_track_wait_for_reply(&q->sleeper, vcpu, &tracker->sleepers,
					  &tracker->ring, &tracker->node, &event,
					  event.len, q->steps);
	if (state == PAGE_TRACK_FOR_REPLY) {
		q->asking = false;
		q->open = true;
		trace_event(&event);
	}

	return state != PAGE_TRACK_AWAKE;
}

/* What kvm_page_track_enter() returns if the vCPU may not enter the guest. */
enum {
	MUST_EXIT = 1,
	MUST_SLEEP,
};

/* The same as below, but have the vCPU wait in KVM_RUN. */
static int enter_or_wait(struct kvm_vcpu *vcpu, struct page_tracker *tracker)
{
	struct kvm_page_track_question *q = page_track_find_question(vcpu, &tracker->node);

	if (q)
		return wait_for_reply(vcpu, tracker, q) ? MUST_SLEEP : 0;

	return page_track_wait_for_room(&page_track_get_question(vcpu)->sleeper, vcpu,
					&tracker->sleepers, &tracker->ring) ? MUST_SLEEP : 0;
}

/* Leave KVM_RUN with a question, or since the ring is full. */
static int tracker_enter(struct kvm_vcpu *vcpu, struct kvm_page_track_notifier_node *node)
{
	struct page_tracker *tracker = to_tracker(node);

	if (page_track_waits(tracker))
		return enter_or_wait(vcpu, tracker);

	if (page_track_exit_to_ask(vcpu, node))
		return MUST_EXIT;

	if (page_track_ring_has_room(&tracker->ring))
		return 0;

	kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
	memset(&vcpu->run->page_track, 0, sizeof(vcpu->run->page_track));
	vcpu->run->exit_reason = KVM_EXIT_PAGE_TRACK;
	vcpu->run->page_track.reason = KVM_PAGE_TRACK_REASON_RING_FULL;
	vcpu->run->page_track.user_data = tracker->user_data;
	return MUST_EXIT;
}

/* Does the vCPU wait for a tracker, or has it been replied to? */
static enum page_track_sleep_state get_sleep_state(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;

	return q ? READ_ONCE(q->sleeper.state) : PAGE_TRACK_AWAKE;
}

static int follow_sleeper_reply(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	bool unemulated = !q->reply;
	struct kvm_page_track_notifier_node *n;
	int r;

	r = page_track_follow_reply(vcpu, q->sleeper.reply, q->sleeper.data);
	n = unemulated ? kvm_page_track_find_notifier(vcpu->kvm, q->tracker_id) : NULL;
	if (n)
		withdraw_questions(vcpu->kvm, to_tracker(n), q->gpa);
	if (r < 0)
		page_track_forget_question(vcpu);

	return r;
}

/* Has a tracker stopped an access since the last time? */
static bool was_stopped(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	bool stopped = q && q->stopped;

	if (q)
		q->stopped = false;
	return stopped;
}

int kvm_page_track_serve_request(struct kvm_vcpu *vcpu)
{
	bool stopped = was_stopped(vcpu);

	/* Before the guest writes more, or finds the ring full. */
	kvm_page_track_tell_all_by_kvm(vcpu->kvm);

	/* It may have been out of KVM_RUN while it waited, and led elsewhere. */
	if (get_sleep_state(vcpu) != PAGE_TRACK_AWAKE && !page_track_is_where_it_asked(vcpu)) {
		page_track_forget_question(vcpu);
		kvm_page_track_forget_allowed(vcpu);
	}

	/* Unless the question is withdrawn meanwhile. */
	if (get_sleep_state(vcpu) == PAGE_TRACK_REPLIED &&
	    page_track_stop_waiting(&vcpu->arch.page_track_question->sleeper, vcpu))
		return follow_sleeper_reply(vcpu);

	/* A question that userspace has comes before those of others, and their rings. */
	if (get_sleep_state(vcpu) == PAGE_TRACK_AWAKE) {
		switch (kvm_page_track_enter(vcpu)) {
		case MUST_EXIT:
			return 0;
		case MUST_SLEEP:
			break;
		default:
			/* Others have opened a page that this one was not asked for. */
			if (stopped)
				kvm_page_track_end_step(vcpu, false);
			page_track_forget_question(vcpu);
			return 1;
		}
	}

	/* Others wait for the end of a step. */
	kvm_page_track_end_step(vcpu, false);

	kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
	page_track_sleep(&vcpu->arch.page_track_question->sleeper, vcpu);
	return 1;
}

void page_track_init_tracker(struct page_tracker *tracker)
{
	page_track_init_sleepers(&tracker->sleepers);
	tracker->node.track_access = tracker_access;
	tracker->node.track_write = tracker_write;
	tracker->node.track_by_kvm = tracker_by_kvm;
	tracker->node.track_enter = tracker_enter;
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
