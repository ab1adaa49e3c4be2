/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: a tracker of userspace, which is told of accesses by events,
 * see page_track_event.c.
 */
#ifndef __KVM_X86_PAGE_TRACK_EVENT_H
#define __KVM_X86_PAGE_TRACK_EVENT_H

#include <linux/kvm_host.h>

#include "page_track_access.h"
#include "page_track_ring.h"
#include "page_track_sleep.h"
#include "page_track_step.h"

struct page_tracker {
	struct kvm_page_track_notifier_node node;
	struct page_track_ring ring;
	struct page_track_sleepers sleepers;
	struct kvm *kvm;

	/* As userspace has created it, or attached it: the VMM knows nothing of it. */
	u64 user_data;
	u32 flags;
	bool attached;
};

static inline struct page_tracker *to_tracker(struct kvm_page_track_notifier_node *n)
{
	return container_of(n, struct page_tracker, node);
}

/* Do vCPUs wait in KVM_RUN for @tracker? */
static inline bool page_track_waits(const struct page_tracker *tracker)
{
	return tracker->flags & KVM_PAGE_TRACKER_WAIT;
}

/*
 * Whatever vCPUs have decided to tell @tracker before it has changed what it tracks, they
 * have told it.  Context: process, may sleep; not in a callback.
 */
static inline void page_track_settle(struct page_tracker *tracker)
{
	kvm_page_track_wait(tracker->kvm, &tracker->node);
	kvm_page_track_wait_for_step(tracker->kvm, &tracker->node);
}

/* Set the callbacks of @tracker.  Context: before it is registered. */
void page_track_init_tracker(struct page_tracker *tracker);

/*
 * The callback track_enter: leave KVM_RUN for @n with a question, or since its ring is full, or
 * have the vCPU sleep.  Returns 0 if it need do neither.
 */
int page_track_enter(struct kvm_vcpu *vcpu, struct kvm_page_track_notifier_node *n);

/* Fill in what all events of @vcpu have, beside what @event has.  Context: @vcpu's thread. */
void page_track_fill_event(struct kvm_vcpu *vcpu, struct kvm_page_track_event *event);
/* Context: any. */
void page_track_trace_event(const struct kvm_page_track_event *event);

/*
 * The page of @gpa may be given up: nobody can refuse a write to it any more.
 * Context: kvm->srcu held.
 */
void page_track_withdraw_given_up(struct kvm *kvm, struct page_tracker *tracker, gpa_t gpa);

/*
 * Has the process that made @kvm gone, and with it the guest's memory?  Who sleeps
 * for events of @kvm meanwhile is woken when it goes.
 *
 * Context: any.
 */
bool page_track_memory_is_gone(struct kvm *kvm);

#endif /* __KVM_X86_PAGE_TRACK_EVENT_H */
