/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: vCPUs that sleep in KVM_RUN until a tracker's ring has room or
 * somebody replies, see page_track_sleep.c.
 */
#ifndef __KVM_X86_PAGE_TRACK_SLEEP_H
#define __KVM_X86_PAGE_TRACK_SLEEP_H

#include <linux/kvm_host.h>
#include <linux/list.h>

#include <uapi/asm/kvm_page_track.h>

#include "page_track_ring.h"

/* The vCPUs that a tracker has sleep.  Protected by kvm->arch.page_track_sleep_lock. */
struct page_track_sleepers {
	struct list_head list;
	bool closed;
};

enum page_track_sleep_state {
	/* In no list. */
	PAGE_TRACK_AWAKE,
	/* In one. */
	PAGE_TRACK_FOR_ROOM,
	PAGE_TRACK_FOR_REPLY,
	/* The same, and does not sleep any more. */
	PAGE_TRACK_REPLIED,
};

/*
 * What a vCPU sleeps for.  Its own thread puts it in a list, and that or another takes it
 * out, under the lock.  Start with zeroes.
 */
struct page_track_sleeper {
	struct list_head link;
	struct kvm_vcpu *vcpu;
	enum page_track_sleep_state state;

	/* The event that asks, and for what, see page_track_is_valid_reply(). */
	u64 seq;
	gpa_t gpa;
	int bytes;
	bool steps;

	/* What was replied. */
	u8 reply;
	u8 data[64];
};

/*
 * May the reply to a write of @bytes, or 0 if KVM cannot emulate it, in which case it may be
 * that it @steps it, be this?
 */
static inline bool page_track_is_valid_reply(int bytes, bool steps, u32 reply)
{
	switch (reply) {
	case KVM_PAGE_TRACK_REPLY_ALLOW:
		return true;
	case KVM_PAGE_TRACK_REPLY_SKIP:
		return bytes || steps;
	case KVM_PAGE_TRACK_REPLY_REPLACE:
		return bytes && bytes <= sizeof_field(struct page_track_sleeper, data);
	default:
		return false;
	}
}

/*
 * The vCPU's side.  Context: its thread; to fall asleep, kvm->srcu held, in which the
 * tracker was found.
 */

/*
 * Ask by @event, of @bytes and with @steps, as above, and wait for the reply; without room
 * in @ring, which may be lossy, wait for that, and ask later.
 *
 * Returns how the vCPU waits then, or PAGE_TRACK_AWAKE if there is nobody to ask: @n is
 * closed or does not track the page with exit any more.
 */
enum page_track_sleep_state
page_track_wait_for_reply(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu,
			  struct page_track_sleepers *sleepers, struct page_track_ring *ring,
			  struct kvm_page_track_notifier_node *n,
			  struct kvm_page_track_event *event, int bytes, bool steps);

/* Wait for room in @ring.  Returns whether there is none. */
bool page_track_wait_for_room(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu,
			      struct page_track_sleepers *sleepers,
			      struct page_track_ring *ring);

/*
 * Sleep as long as the vCPU waits and no signal is pending, nor, when it is woken, the VM
 * dead.  For room, it does not wait any more then; for a reply, it may go on later.
 *
 * Context: kvm->srcu held, which is let go meanwhile: nothing that was found under it is
 * there afterwards.
 */
void page_track_sleep(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu);

/*
 * Wait for nothing any more.  Returns whether there was a reply, @sleeper->reply and
 * @sleeper->data, that nobody has withdrawn; if it is not followed now, it is forgotten.
 */
bool page_track_stop_waiting(struct page_track_sleeper *sleeper, struct kvm_vcpu *vcpu);

/*
 * The other side, of the trackers.  Context of all: any but interrupts, the tracker is
 * there.
 */

void page_track_init_sleepers(struct page_track_sleepers *sleepers);

/*
 * Let the vCPU that asked have @reply, whose flags and reserved space are not looked at.
 *
 * Returns 0, -ENOENT if that vCPU does not wait for a reply to that event, or -EINVAL if
 * the reply cannot be this, with the question still open.
 */
int page_track_reply_to_sleeper(struct kvm *kvm, struct page_track_sleepers *sleepers,
				const struct kvm_page_track_reply *reply);

/* There may be room: have those who wait for that look again. */
void page_track_wake_for_room(struct kvm *kvm, struct page_track_sleepers *sleepers);

/* What was asked in [@gpa, @gpa + @size) is asked no more: have those try again. */
void page_track_withdraw_questions(struct kvm *kvm, struct page_track_sleepers *sleepers,
				   gpa_t gpa, u64 size);

/* Let all go, and nobody wait any more. */
void page_track_close_sleepers(struct kvm *kvm, struct page_track_sleepers *sleepers);

#endif /* __KVM_X86_PAGE_TRACK_SLEEP_H */
