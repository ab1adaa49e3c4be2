// SPDX-License-Identifier: GPL-2.0-only
/* Page tracking, layer 3: asking userspace before an access. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include "kvm_cache_regs.h"
#include "page_track_exit.h"
#include "smm.h"

/* Is the vCPU where it asked?  Userspace or an event may have led it elsewhere. */
static bool is_there(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;

	return insn->rip == kvm_rip_read(vcpu) &&
	       insn->cr3 == kvm_read_cr3(vcpu) &&
	       insn->guest_mode == is_guest_mode(vcpu) &&
	       insn->smm == is_smm(vcpu);
}

static struct kvm_page_track_answer *find_answer(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;
	int i;

	if (!is_there(vcpu))
		insn->nr_answers = 0;

	for (i = 0; i < insn->nr_answers; i++) {
		if (insn->answers[i].gpa == gpa)
			return &insn->answers[i];
	}

	return NULL;
}

static size_t answer_bytes(const struct kvm_page_track_answer *answer)
{
	return min_t(size_t, answer->bytes, sizeof(answer->data));
}

/* The bytes are those that were asked for, or have taken their place already. */
static bool is_answer_to(const struct kvm_page_track_answer *answer,
			 const struct kvm_page_track_access *access)
{
	return answer->bytes == access->bytes &&
	       (!memcmp(answer->wanted, access->data, answer_bytes(answer)) ||
		!memcmp(answer->data, access->data, answer_bytes(answer)));
}

/* If there was no room for all who were asked, none before the last is asked again. */
static bool was_asked(const struct kvm_page_track_answer *answer, u64 tracker_id)
{
	int i;

	for (i = 0; i < answer->nr_asked; i++) {
		if (answer->asked[i] == tracker_id)
			return true;
	}

	return i == ARRAY_SIZE(answer->asked) && tracker_id < answer->asked[i - 1];
}

static void set_asked(struct kvm_page_track_answer *answer, u64 tracker_id)
{
	u64 *last = &answer->asked[ARRAY_SIZE(answer->asked) - 1];

	if (answer->nr_asked < ARRAY_SIZE(answer->asked))
		answer->asked[answer->nr_asked++] = tracker_id;
	else
		*last = max(*last, tracker_id);
}

static struct kvm_page_track_answer *add_answer(struct kvm_page_track_insn *insn,
						gpa_t gpa)
{
	struct kvm_page_track_answer *answer;

	if (insn->nr_answers == ARRAY_SIZE(insn->answers))
		insn->nr_answers = 0;

	answer = &insn->answers[insn->nr_answers++];
	answer->gpa = gpa;
	return answer;
}

static int follow_answer(struct kvm_page_track_answer *answer,
			 struct kvm_page_track_access *access)
{
	if (answer->reply == KVM_PAGE_TRACK_REPLY_SKIP)
		return KVM_PAGE_TRACK_SKIP;

	if (answer->reply == KVM_PAGE_TRACK_REPLY_REPLACE)
		access->data = answer->data;

	return KVM_PAGE_TRACK_GO_ON;
}

static void leave(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		  u64 user_data, gpa_t gpa, gva_t gva, u32 flags,
		  struct kvm_page_track_answer *answer)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;

	if (is_guest_mode(vcpu))
		flags |= KVM_PAGE_TRACK_EVENT_NESTED;

	insn->rip = kvm_rip_read(vcpu);
	insn->cr3 = kvm_read_cr3(vcpu);
	insn->guest_mode = is_guest_mode(vcpu);
	insn->smm = is_smm(vcpu);
	insn->asking = true;
	insn->flags = flags;
	insn->tracker_id = n->id;
	insn->user_data = user_data;
	insn->gpa = gpa;
	insn->gva = gva;
	insn->answer = answer;

	kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
}

int page_track_ask(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		   u64 user_data, struct kvm_page_track_access *access)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;
	struct kvm_page_track_answer *answer = find_answer(vcpu, access->gpa);
	bool valid = answer && is_answer_to(answer, access);
	u32 flags = KVM_PAGE_TRACK_EVENT_GVA;

	if (valid && was_asked(answer, n->id))
		return follow_answer(answer, access);

	if (access->too_late)
		return KVM_PAGE_TRACK_GO_ON;

	/* One question at a time. */
	if (insn->asking)
		return KVM_PAGE_TRACK_STOP;

	if (!answer)
		answer = add_answer(insn, access->gpa);

	/* To the next tracker, the replies to those before have been followed. */
	if (!valid) {
		answer->nr_asked = 0;
		answer->reply = KVM_PAGE_TRACK_REPLY_ALLOW;
		answer->bytes = access->bytes;
		memcpy(answer->wanted, access->data, answer_bytes(answer));
		memcpy(answer->data, access->data, answer_bytes(answer));
	}

	if (access->bytes > sizeof(answer->data))
		flags |= KVM_PAGE_TRACK_EVENT_TRUNCATED;

	leave(vcpu, n, user_data, access->gpa, access->gva, flags, answer);
	return KVM_PAGE_TRACK_STOP;
}

void page_track_tell(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		     u64 user_data, const struct kvm_page_track_event *event)
{
	leave(vcpu, n, user_data, event->gpa, event->gva, event->flags, NULL);
}

bool page_track_was_asked(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *data, int bytes,
			  u64 tracker_id)
{
	struct kvm_page_track_answer *answer;

	/* An event may be delivered between an instruction that asks and its retry. */
	if (!vcpu->arch.page_track_insn.active)
		return false;

	answer = find_answer(vcpu, gpa);
	return answer && answer->bytes == bytes &&
	       !memcmp(answer->data, data, answer_bytes(answer)) &&
	       was_asked(answer, tracker_id);
}

/* The strictest wins: nobody can undo a skip. */
static int read_reply(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;
	struct kvm_page_track_answer *answer = insn->answer;
	struct kvm_run *run = vcpu->run;
	u8 reply = READ_ONCE(run->page_track.reply);

	if (reply > KVM_PAGE_TRACK_REPLY_REPLACE ||
	    (reply != KVM_PAGE_TRACK_REPLY_ALLOW && !answer) ||
	    (reply == KVM_PAGE_TRACK_REPLY_REPLACE && answer->bytes > sizeof(answer->data))) {
		vcpu->arch.complete_userspace_io = read_reply;
		return -EINVAL;
	}

	/* Nothing to follow, or userspace has led the vCPU elsewhere. */
	if (!answer || !is_there(vcpu))
		return 1;

	set_asked(answer, insn->tracker_id);
	if (answer->reply == KVM_PAGE_TRACK_REPLY_SKIP || reply == KVM_PAGE_TRACK_REPLY_ALLOW)
		return 1;

	answer->reply = reply;
	if (reply == KVM_PAGE_TRACK_REPLY_REPLACE)
		memcpy(answer->data, run->page_track.data, answer_bytes(answer));

	return 1;
}

bool page_track_exit_to_ask(struct kvm_vcpu *vcpu,
			    const struct kvm_page_track_notifier_node *n)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;
	struct kvm_page_track_answer *answer = insn->answer;
	struct kvm_run *run = vcpu->run;

	if (!insn->asking || insn->tracker_id != n->id || (answer && !is_there(vcpu)))
		return false;

	memset(&run->page_track, 0, sizeof(run->page_track));
	run->exit_reason = KVM_EXIT_PAGE_TRACK;
	run->page_track.reason = KVM_PAGE_TRACK_REASON_ACCESS;
	run->page_track.flags = insn->flags;
	run->page_track.user_data = insn->user_data;
	run->page_track.gpa = insn->gpa;
	run->page_track.gva = insn->gva;
	run->page_track.mode = KVM_PAGE_TRACK_MODE_WRITE;
	if (answer) {
		run->page_track.len = answer->bytes;
		memcpy(run->page_track.data, answer->data, answer_bytes(answer));
	}

	insn->asking = false;
	vcpu->arch.complete_userspace_io = read_reply;
	return true;
}
