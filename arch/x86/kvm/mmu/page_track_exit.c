// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: KVM_RUN returns with a question, and the next one reads the
 * reply.  These are steps 2 and 3 of page_track_question.c, for trackers whose VMM knows
 * KVM_EXIT_PAGE_TRACK.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include "page_track_exit.h"
#include "page_track_question.h"
#include "page_track_user.h"

static int read_reply(struct kvm_vcpu *vcpu);

/* KVM_RUN returns the error @r, with nothing changed, and takes another reply. */
static int read_another_reply(struct kvm_vcpu *vcpu, int r)
{
	vcpu->arch.complete_userspace_io = read_reply;
	return r;
}

static int read_reply(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	u8 reply = READ_ONCE(vcpu->run->page_track.reply);
	bool is_emulated = q->reply;
	int r;

	if (!page_track_is_where_it_asked(vcpu)) {
		page_track_forget_question(vcpu);
		kvm_page_track_forget_allowed(vcpu);
		return 1;
	}

	if (!page_track_is_valid_reply(is_emulated ? q->reply->bytes : 0, q->steps, reply))
		return read_another_reply(vcpu, -EINVAL);

	r = page_track_follow_reply(vcpu, reply, vcpu->run->page_track.data);
	if (r < 0 && !is_emulated)
		return read_another_reply(vcpu, r);

	return r;
}

bool page_track_exit_to_ask(struct kvm_vcpu *vcpu,
			    const struct kvm_page_track_notifier_node *n)
{
	struct kvm_page_track_question *q = page_track_find_question(vcpu, n);
	struct kvm_run *run = vcpu->run;

	if (!q)
		return false;

	memset(&run->page_track, 0, sizeof(run->page_track));
	run->exit_reason = KVM_EXIT_PAGE_TRACK;
	run->page_track.reason = KVM_PAGE_TRACK_REASON_ACCESS;
	run->page_track.flags = q->flags;
	run->page_track.user_data = q->user_data;
	run->page_track.gpa = q->gpa;
	run->page_track.gva = q->gva;
	run->page_track.mode = KVM_PAGE_TRACK_MODE_WRITE;
	run->page_track.len = page_track_get_asked(q, run->page_track.data,
						   sizeof(run->page_track.data));

	q->asking = false;
	q->open = true;
	vcpu->arch.complete_userspace_io = read_reply;
	return true;
}
