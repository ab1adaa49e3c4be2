// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: asking userspace before an access.
 *
 * 1. KVM's emulator is about to write to a page with "exit".  page_track_ask() notes
 *    the question and stops the instruction, which has changed nothing.
 * 2. Before the guest is entered, KVM_REQ_PAGE_TRACK has userspace asked: KVM_RUN returns
 *    with the question, or an event has it and the vCPU sleeps.
 * 3. The reply is there: the next KVM_RUN finds it in struct kvm_run, or somebody has
 *    replied by an ioctl and KVM_REQ_PAGE_TRACK finds that.  page_track_follow_reply()
 *    has the emulator do the instruction from the start.
 * 4. page_track_ask() finds the reply: the bytes are written, or others, or none.
 *    Another tracker, or the other page of a write to two, may have a question as
 *    well: on with step 2.
 * 5. The emulator returns, and all replies to questions of the instruction are
 *    forgotten, whatever has become of it.
 *
 * So no reply is there for any other instruction.  If the vCPU is not any more where
 * it was in step 1, replies are forgotten in step 2 or 3: the guest goes on with
 * whatever it is at now.
 *
 * Between steps 2 and 3, the vCPU may be out of KVM_RUN either way: with the question, or
 * for a signal while it sleeps.  All that it has is its architectural state before the
 * instruction.
 *
 * A reply is the tracker's that asked, for the bytes that it was asked for.  Those may
 * be what a tracker before it wants to be written instead.
 *
 * What the emulator cannot do is asked in step 1 when it has failed, and step 3 has the
 * CPU do it.  The tracker gives the page up; or, if it can be stepped, the guest goes on
 * as if nothing were known, faults again, and step 4 finds the access allowed: the vCPU
 * steps it, see page_track_step.c.  If others ask, for that page or the next one of the
 * instruction, the same happens again.  What was allowed counts at the same place only,
 * until it is done, its tracker's ranges change, KVM_RUN ends there without a question, or
 * userspace sets registers.
 *
 * All this is the vCPU's own, whose thread alone uses it, without a lock, but what it
 * sleeps for, which page_track_sleep.c knows of.  Of trackers it knows the id, of which
 * nothing may be left when the reply comes; events and their ring are not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/slab.h>

#include "kvm_cache_regs.h"
#include "page_track_access.h"
#include "page_track_notifier.h"
#include "page_track_question.h"
#include "page_track_range.h"
#include "page_track_user.h"
#include "smm.h"
#include "x86.h"

static_assert(sizeof_field(struct page_track_reply, data) ==
	      sizeof_field(struct kvm_run, page_track.data));

static void get_place(struct kvm_vcpu *vcpu, struct page_track_place *place)
{
	int i;

	for (i = 0; i < NR_VCPU_REGS; i++)
		place->regs[i] = kvm_register_read_raw(vcpu, i);
	place->rflags = kvm_get_rflags(vcpu);
	place->cr3 = kvm_read_cr3(vcpu);
	place->mode = is_guest_mode(vcpu) | is_smm(vcpu) << 1;

	place->event = 0;
	if (vcpu->arch.exception.injected)
		place->event = BIT(8) | vcpu->arch.exception.vector;
	else if (vcpu->arch.interrupt.injected)
		place->event = BIT(9) | vcpu->arch.interrupt.nr;
	else if (vcpu->arch.nmi_injected)
		place->event = BIT(10);
}

bool page_track_is_where_it_asked(struct kvm_vcpu *vcpu)
{
	struct page_track_place now;

	if (kvm_is_exception_pending(vcpu) || vcpu->arch.mp_state != KVM_MP_STATE_RUNNABLE)
		return false;

	get_place(vcpu, &now);
	return !memcmp(&now, &vcpu->arch.page_track_question->place, sizeof(now));
}

void __kvm_page_track_lead_elsewhere(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;

	q->place.mode = PAGE_TRACK_NOWHERE;
	q->nr_allowed = 0;
}

static void forget_replies(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	struct page_track_reply *reply, *next;

	page_track_stop_waiting(&q->sleeper, vcpu);

	list_for_each_entry_safe(reply, next, &q->replies, link)
		kfree(reply);

	INIT_LIST_HEAD(&q->replies);
	q->asking = false;
	q->open = false;
	q->reply = NULL;
}

/* Replies are there for nothing but the instruction that is done with them. */
static struct page_track_reply *find_reply(struct kvm_vcpu *vcpu, u64 tracker_id,
					   gpa_t gpa, int bytes)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	struct page_track_reply *reply;

	if (!kvm_page_track_insn_resumed(vcpu))
		return NULL;

	list_for_each_entry(reply, &q->replies, link) {
		if (reply != q->reply && reply->tracker_id == tracker_id &&
		    reply->gpa == gpa && reply->bytes == bytes)
			return reply;
	}

	return NULL;
}

/* Nobody can undo the skip of a tracker before, or have others asked for more. */
static bool is_skipped(const struct kvm_page_track_question *q,
		       const struct page_track_reply *reply)
{
	const struct page_track_reply *other;

	list_for_each_entry(other, &q->replies, link) {
		if (other->reply == KVM_PAGE_TRACK_REPLY_SKIP &&
		    other->tracker_id < reply->tracker_id &&
		    other->gpa == reply->gpa && other->bytes == reply->bytes)
			return true;
	}

	return false;
}

static int get_verdict(struct kvm_vcpu *vcpu, struct page_track_reply *reply,
		       struct kvm_page_track_access *access)
{
	if (reply->reply == KVM_PAGE_TRACK_REPLY_SKIP)
		return KVM_PAGE_TRACK_SKIP;

	if (reply->reply == KVM_PAGE_TRACK_REPLY_REPLACE &&
	    !is_skipped(vcpu->arch.page_track_question, reply))
		access->data = reply->data;

	return KVM_PAGE_TRACK_GO_ON;
}

/* An instruction that can neither ask nor go on would be tried again for ever. */
static void *alloc(size_t size)
{
	return kzalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
}

struct kvm_page_track_question *page_track_get_question(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;

	if (!q) {
		q = alloc(sizeof(*q));
		INIT_LIST_HEAD(&q->replies);
		vcpu->arch.page_track_question = q;
	}

	return q;
}

static struct page_track_reply *add_reply(struct kvm_page_track_question *q, u64 tracker_id,
					  const struct kvm_page_track_access *access)
{
	struct page_track_reply *reply = alloc(struct_size(reply, asked, access->bytes));

	reply->tracker_id = tracker_id;
	reply->gpa = access->gpa;
	reply->bytes = access->bytes;
	memcpy(reply->asked, access->data, access->bytes);
	list_add_tail(&reply->link, &q->replies);
	return reply;
}

u32 page_track_vcpu_flags(struct kvm_vcpu *vcpu)
{
	u32 flags = 0;

	if (is_guest_mode(vcpu))
		flags |= KVM_PAGE_TRACK_EVENT_NESTED;
	if (kvm_arch_vcpu_memslots_id(vcpu))
		flags |= KVM_PAGE_TRACK_EVENT_SMM;

	return flags;
}

static u32 access_flags(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access)
{
	u32 flags = page_track_vcpu_flags(vcpu);

	if (access->gva_valid)
		flags |= KVM_PAGE_TRACK_EVENT_GVA;
	if (access->bytes > sizeof_field(struct page_track_reply, data))
		flags |= KVM_PAGE_TRACK_EVENT_TRUNCATED;
	if (access->page_walk)
		flags |= KVM_PAGE_TRACK_EVENT_PAGE_WALK;
	if (access->unemulated)
		flags |= KVM_PAGE_TRACK_EVENT_UNEMULATED;

	return flags;
}

/* Is what was allowed for what the vCPU is at? */
static bool is_where_allowed(struct kvm_vcpu *vcpu, const struct kvm_page_track_question *q)
{
	struct page_track_place now;

	get_place(vcpu, &now);
	return !memcmp(&now, &q->allowed_place, sizeof(now));
}

/* The next time, it is asked. */
static void forget_allowed_one(struct kvm_page_track_question *q, u64 tracker_id, gpa_t gpa)
{
	int i;

	for (i = q->nr_allowed - 1; i >= 0; i--) {
		if (q->allowed[i].tracker_id == tracker_id && q->allowed[i].gpa == gpa)
			q->allowed[i] = q->allowed[--q->nr_allowed];
	}
}

/* Is there room for one more access of the instruction? */
static bool can_be_allowed(struct kvm_vcpu *vcpu, struct kvm_page_track_question *q)
{
	if (!is_where_allowed(vcpu, q))
		q->nr_allowed = 0;

	/* What its tracker's ranges have made void, it is asked again for. */
	forget_allowed_one(q, q->tracker_id, q->gpa);
	return q->nr_allowed < PAGE_TRACK_MAX_ALLOWED;
}

int page_track_ask(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n,
		   u64 user_data, bool steps, struct kvm_page_track_access *access)
{
	struct page_track_reply *reply = find_reply(vcpu, n->id, access->gpa, access->bytes);
	struct kvm_page_track_question *q;

	if (reply && !memcmp(reply->asked, access->data, access->bytes))
		return get_verdict(vcpu, reply, access);

	if (access->too_late)
		return KVM_PAGE_TRACK_GO_ON;

	/* One at a time. */
	q = page_track_get_question(vcpu);
	q->stopped = true;
	if (q->asking)
		return KVM_PAGE_TRACK_STOP;

	if (!kvm_page_track_insn_resumed(vcpu))
		forget_replies(vcpu);

	/* The bytes are not those of that reply any more. */
	if (reply) {
		list_del(&reply->link);
		kfree(reply);
	}

	q->reply = access->data ? add_reply(q, n->id, access) : NULL;
	q->asking = true;
	q->tracker_id = n->id;
	q->user_data = user_data;
	q->gpa = access->gpa;
	q->gva = access->gva_valid ? access->gva : 0;
	q->flags = access_flags(vcpu, access);
	q->steps = steps && can_be_allowed(vcpu, q);
	if (q->steps)
		q->flags |= KVM_PAGE_TRACK_EVENT_STEPPED;
	get_place(vcpu, &q->place);

	kvm_make_request(KVM_REQ_PAGE_TRACK, vcpu);
	return KVM_PAGE_TRACK_STOP;
}

bool page_track_was_asked(struct kvm_vcpu *vcpu, gpa_t gpa, int bytes, u64 tracker_id)
{
	return find_reply(vcpu, tracker_id, gpa, bytes);
}

void page_track_forget_done(struct kvm_vcpu *vcpu, u64 rip, bool event)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;

	if (q && q->allowed_place.regs[VCPU_REGS_RIP] == rip &&
	    !!q->allowed_place.event == event)
		q->nr_allowed = 0;
}

/* If an interrupt came first, and led to an exit, the instruction is still to come. */
void __kvm_page_track_end_run(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;

	if (q->nr_allowed && !q->open && is_where_allowed(vcpu, q))
		q->nr_allowed = 0;
}

const struct page_track_allowed *
page_track_find_allowed(struct kvm_vcpu *vcpu, gpa_t gpa,
			const struct kvm_page_track_notifier_node *n)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	const struct page_track_allowed *allowed;

	if (!q || !q->nr_allowed || !is_where_allowed(vcpu, q))
		return NULL;

	for (allowed = q->allowed; allowed < q->allowed + q->nr_allowed; allowed++) {
		if (allowed->tracker_id == n->id && allowed->gpa == gpa)
			return allowed->nr_changes == READ_ONCE(n->nr_changes) ? allowed : NULL;
	}

	return NULL;
}

void page_track_forget_allowed(struct kvm_vcpu *vcpu, gpa_t gpa,
			       const struct kvm_page_track_notifier_node *n)
{
	forget_allowed_one(vcpu->arch.page_track_question, n->id, gpa);
}

void __kvm_page_track_forget_allowed(struct kvm_vcpu *vcpu)
{
	vcpu->arch.page_track_question->nr_allowed = 0;
}

/* Returns false if the page has to be given up. */
static bool allow(struct kvm_vcpu *vcpu, struct kvm_page_track_question *q, bool skip)
{
	struct kvm_page_track_notifier_node *n;
	unsigned int nr_changes;

	if (!can_be_allowed(vcpu, q) || !q->steps)
		return false;

	n = kvm_page_track_find_notifier(vcpu->kvm, q->tracker_id);
	nr_changes = n ? READ_ONCE(n->nr_changes) : 0;
	/* If it does not ask for that any more, nothing has to be allowed. */
	if (!n || kvm_page_track_get_action(n, gpa_to_gfn(q->gpa), KVM_PAGE_TRACK_WRITE) !=
		  KVM_PAGE_TRACK_ACTION_EXIT)
		return true;

	q->allowed[q->nr_allowed++] = (struct page_track_allowed) {
		.tracker_id = q->tracker_id,
		.gpa = q->gpa,
		.nr_changes = nr_changes,
		.skip = skip,
	};
	q->allowed_place = q->place;
	return true;
}

int page_track_give_up_asked(struct kvm_vcpu *vcpu, u64 tracker_id, gpa_t gpa)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	struct kvm_page_track_notifier_node *n;

	forget_allowed_one(q, tracker_id, gpa);
	n = kvm_page_track_find_notifier(vcpu->kvm, tracker_id);
	if (!n)
		return 0;

	guard(mutex)(&vcpu->kvm->slots_arch_lock);

	return kvm_page_track_untrack_page(vcpu->kvm, n, gpa_to_gfn(gpa), KVM_PAGE_TRACK_WRITE,
					   KVM_PAGE_TRACK_ACTION_EXIT);
}

int page_track_follow_reply(struct kvm_vcpu *vcpu, u8 val, const u8 *data)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;
	struct page_track_reply *reply = q->reply;
	int r;

	q->open = false;
	if (!reply) {
		if (allow(vcpu, q, val == KVM_PAGE_TRACK_REPLY_SKIP))
			return 1;
		r = page_track_give_up_asked(vcpu, q->tracker_id, q->gpa);
		return r < 0 ? r : 1;
	}

	reply->reply = val;
	memcpy(reply->data, data, sizeof(reply->data));
	q->reply = NULL;

	r = kvm_page_track_resume_insn(vcpu);
	if (!q->asking)
		forget_replies(vcpu);
	return r;
}

struct kvm_page_track_question *
page_track_find_question(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n)
{
	struct kvm_page_track_question *q = vcpu->arch.page_track_question;

	if (!q || !q->asking || q->tracker_id != n->id || !page_track_is_where_it_asked(vcpu))
		return NULL;

	return q;
}

int page_track_get_asked(const struct kvm_page_track_question *q, u8 *data, size_t size)
{
	if (!q->reply)
		return 0;

	memcpy(data, q->reply->asked, min_t(size_t, q->reply->bytes, size));
	return q->reply->bytes;
}

void page_track_forget_question(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.page_track_question)
		forget_replies(vcpu);
}

void kvm_page_track_free_question(struct kvm_vcpu *vcpu)
{
	page_track_forget_question(vcpu);
	kfree(vcpu->arch.page_track_question);
}
