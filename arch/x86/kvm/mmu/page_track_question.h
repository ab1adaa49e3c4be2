/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: questions before an access, and what is replied, see
 * page_track_question.c.
 *
 * Context of all: the vCPU's thread, kvm->srcu held.
 */
#ifndef __KVM_X86_PAGE_TRACK_QUESTION_H
#define __KVM_X86_PAGE_TRACK_QUESTION_H

#include <linux/kvm_host.h>
#include <linux/list.h>

#include <uapi/asm/kvm_page_track.h>

#include "page_track_sleep.h"

struct page_track_reply {
	struct list_head link;
	u64 tracker_id;
	gpa_t gpa;
	u8 reply;
	u8 data[64];		/* for KVM_PAGE_TRACK_REPLY_REPLACE */
	int bytes;
	u8 asked[] __counted_by(bytes);
};

/* Where a vCPU is.  Compared as a whole: no padding is left uninitialized. */
struct page_track_place {
	unsigned long regs[NR_VCPU_REGS];
	unsigned long rflags;
	unsigned long cr3;
	unsigned long event;	/* waits to be injected again */
	unsigned long mode;
};

/* No vCPU has this mode. */
#define PAGE_TRACK_NOWHERE	ULONG_MAX

/* An access that KVM cannot emulate, and that the tracker has allowed, or skips. */
struct page_track_allowed {
	u64 tracker_id;
	gpa_t gpa;
	/* By then, of its ranges. */
	unsigned int nr_changes;
	bool skip;
};

#define PAGE_TRACK_MAX_ALLOWED	4

/* What a vCPU keeps, from its first question or sleep on. */
struct kvm_page_track_question {
	/* To questions of the instruction: one for each write and tracker. */
	struct list_head replies;

	/* There is a question that userspace does not have yet, or that it has. */
	bool asking;
	bool open;

	/* The last question: of whom, and where. */
	u64 tracker_id;
	struct page_track_place place;

	/* The reply to come, or NULL if the emulator cannot do the access. */
	struct page_track_reply *reply;

	/* What userspace is told. */
	u64 user_data;
	gpa_t gpa;
	gva_t gva;
	u32 flags;

	/* Somebody has stopped an access that others may have opened the page for. */
	bool stopped;

	/* What KVM cannot emulate is to be stepped, with the reply that comes. */
	bool steps;

	/* What was allowed and is not done, and where. */
	u8 nr_allowed;
	struct page_track_allowed allowed[PAGE_TRACK_MAX_ALLOWED];
	struct page_track_place allowed_place;

	/* How the vCPU waits, if it does not leave KVM_RUN with the question. */
	struct page_track_sleeper sleeper;
};

/*
 * What was replied to @access for tracker @n, or KVM_PAGE_TRACK_STOP to ask; then
 * @user_data tells userspace which tracker that is.  Of a write, the data is known.  If
 * KVM cannot emulate the access, the reply has the CPU step it if @steps, with or without
 * the write, or the tracker give the page up.
 */
int page_track_ask(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		   u64 user_data, bool steps, struct kvm_page_track_access *access);

/*
 * What @n has replied to an access at @gpa that KVM cannot emulate, and that is to be stepped
 * now; NULL if nothing.
 */
const struct page_track_allowed *
page_track_find_allowed(struct kvm_vcpu *vcpu, gpa_t gpa,
			const struct kvm_page_track_notifier_node *n);

/* It cannot be: the next time, it is asked. */
void page_track_forget_allowed(struct kvm_vcpu *vcpu, gpa_t gpa,
			       const struct kvm_page_track_notifier_node *n);

/* The instruction at @rip, or the delivery of an event there, is done: so is what was allowed. */
void page_track_forget_done(struct kvm_vcpu *vcpu, u64 rip, bool event);

/*
 * Have the tracker give the page up, with which the CPU does the access, if it still asks
 * for it.  Returns 0 or more, or an error.
 */
int page_track_give_up_asked(struct kvm_vcpu *vcpu, u64 tracker_id, gpa_t gpa);

/* Has userspace replied, for that tracker, to this write of @bytes at @gpa? */
bool page_track_was_asked(struct kvm_vcpu *vcpu, gpa_t gpa, int bytes, u64 tracker_id);

/* What an event or question of @vcpu has in its flags: where that is. */
u32 page_track_vcpu_flags(struct kvm_vcpu *vcpu);

/* What @vcpu keeps, allocated if it is not there.  May sleep, cannot fail. */
struct kvm_page_track_question *page_track_get_question(struct kvm_vcpu *vcpu);

/* Is the instruction that asked the first thing that the vCPU is going to do? */
bool page_track_is_where_it_asked(struct kvm_vcpu *vcpu);

/*
 * The question of @vcpu for @n that userspace does not have yet, or NULL if there is none
 * or the vCPU is not any more where it asked.
 */
struct kvm_page_track_question *
page_track_find_question(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n);

/* How many bytes @q is about, 0 if KVM cannot emulate it; those that fit go to @data. */
int page_track_get_asked(const struct kvm_page_track_question *q, u8 *data, size_t size);

/*
 * Do what the last question was for with this reply, which is valid for it.
 *
 * Returns as an exit handler does.  If the page had to be given up and could not be, the
 * question is still there.
 */
int page_track_follow_reply(struct kvm_vcpu *vcpu, u8 reply, const u8 *data);

/* Nobody is there for the question, if any: the tracker or the vCPU has gone. */
void page_track_forget_question(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_PAGE_TRACK_QUESTION_H */
