// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: what a vCPU does, before it enters the guest, if it has a question
 * or a ring has no room for its events.
 *
 * It leaves KVM_RUN, or sleeps there if the tracker has it wait.  How it does so is known to
 * page_track_exit.c and page_track_sleep.c.  What has led to that is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include "page_track_access.h"
#include "page_track_by_kvm.h"
#include "page_track_event.h"
#include "page_track_exit.h"
#include "page_track_notifier.h"
#include "page_track_question.h"
#include "page_track_sleep.h"
#include "page_track_step.h"
#include "page_track_user.h"

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
	page_track_fill_event(vcpu, &event);

	state = page_track_wait_for_reply(&q->sleeper, vcpu, &tracker->sleepers,
					  &tracker->ring, &tracker->node, &event,
					  event.len, q->steps);
	if (state == PAGE_TRACK_FOR_REPLY) {
		q->asking = false;
		q->open = true;
		page_track_trace_event(&event);
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

int page_track_enter(struct kvm_vcpu *vcpu, struct kvm_page_track_notifier_node *node)
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
		page_track_withdraw_given_up(vcpu->kvm, to_tracker(n), q->gpa);
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
