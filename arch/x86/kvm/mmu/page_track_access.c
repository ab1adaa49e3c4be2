// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: accesses of the guest.
 *
 * Trackers are called before an access, at the fault and when KVM's emulator is about
 * to write, and after a write.  Whom to tell of a write is decided before it: who
 * stops tracking the gfn between the write and the call is called all the same, see
 * page_track_wait.c; not so for the writes of task switches and of VMX instructions, and
 * for trackers beyond those that there is room for.
 *
 * Whoever starts to track a gfn need not wait: a vCPU that sees another generation
 * after its write calls those who track the gfn by then as well.
 *
 * What a tracker does when it is called, and how it makes up its mind, is not known
 * here, nor how it came to track the gfn.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/slab.h>

#include "kvm_cache_regs.h"
#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track.h"
#include "page_track_access.h"
#include "page_track_found.h"
#include "page_track_notifier.h"
#include "x86.h"

/* What @vcpu keeps, or NULL if memory is short. */
static struct kvm_page_track_vcpu *create_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = vcpu->arch.page_track;

	if (!track) {
		track = kzalloc(sizeof(*track), GFP_KERNEL_ACCOUNT);
		/* Publish zeroes.  Pairs with kvm_page_track_wait(). */
		smp_store_release(&vcpu->arch.page_track, track);
	}

	return track;
}

void kvm_page_track_free_vcpu(struct kvm_vcpu *vcpu)
{
	kfree(vcpu->arch.page_track);
}

static void start_write(struct kvm_page_track_insn *insn, u32 stage)
{
	/* Set it before the look-up.  Pairs with the smp_mb() in kvm_page_track_wait(). */
	smp_store_mb(insn->state, ((insn->state & KVM_PAGE_TRACK_WHICH_WRITE) +
				   KVM_PAGE_TRACK_NEXT_WRITE) | stage);
}

static void end_write(struct kvm_page_track_insn *insn)
{
	/* What trackers were told is visible.  Pairs with is_under_way(). */
	smp_store_release(&insn->state, insn->state & KVM_PAGE_TRACK_WHICH_WRITE);
}

/* Before an access */

/*
 * Returns the first error, the last enum kvm_page_track_verdict that a tracker
 * wants, or -ENOENT if none tracks the gfn.
 */
static int call_track_access(struct kvm_vcpu *vcpu, struct kvm_page_track_access *access)
{
	const struct kvm_page_track_found *found;
	int r, result = -ENOENT;
	unsigned int i = 0;

	while ((found = page_track_next_found(vcpu, &i))) {
		if (!found->node->track_access)
			continue;

		r = found->node->track_access(vcpu, access, found->action, found->node);
		trace_kvm_page_track_access(vcpu->vcpu_id, access->gpa, access->bytes,
					    access->unemulated, r);
		if (r < 0)
			return r == -EAGAIN ? KVM_PAGE_TRACK_STOP : r;
		result = max(result, r);
	}

	return result;
}

/*
 * KVM cannot emulate the access: somebody has to give the page up.  If nobody has it,
 * look again under the lock, with which ranges and counters agree.
 */
static int call_unemulated(struct kvm_vcpu *vcpu, struct kvm_page_track_access *access)
{
	gfn_t gfn = gpa_to_gfn(access->gpa);
	int r = call_track_access(vcpu, access);

	if (r != -ENOENT)
		return r;

	scoped_guard(mutex, &vcpu->kvm->slots_arch_lock)
		page_track_look_up(vcpu, gfn);

	r = call_track_access(vcpu, access);
	if (r != -ENOENT)
		return r;

	if (kvm_slot_page_track_is_active(vcpu->kvm, kvm_vcpu_gfn_to_memslot(vcpu, gfn),
					  gfn, access->mode))
		return KVM_PAGE_TRACK_GO_ON;

	return KVM_PAGE_TRACK_STOP;
}

static void note_fault(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault)
{
	struct kvm_page_track_fault *told = &vcpu->arch.page_track->fault;
	struct kvm_page_track_access *access = &told->access;

	access->mode = KVM_PAGE_TRACK_WRITE;
	/* If it was told before, the guest's tables may have led elsewhere then. */
	access->gpa = gfn_to_gpa(fault->gfn) | offset_in_page(fault->addr);
	access->gva = fault->addr;
	/* Otherwise the fault was in a second dimension. */
	access->gva_valid = vcpu->arch.mmu == &vcpu->arch.root_mmu && !tdp_enabled;
	access->page_walk = fault->error_code & PFERR_GUEST_PAGE_MASK;
	/* KVM can emulate instructions, but not the delivery. */
	access->unemulated = kvm_event_needs_reinjection(vcpu);
	access->page_ready = !is_error_noslot_pfn(fault->pfn);

	page_track_look_up_anew(vcpu, fault->gfn);
	told->valid = true;
}

int kvm_page_track_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm_page_track_vcpu *track = create_vcpu(vcpu);
	struct kvm_page_track_fault *told;
	int r;

	if (!track)
		return -ENOMEM;

	told = &track->fault;

	/* It will not be written. */
	if (fault->slot->flags & KVM_MEM_READONLY) {
		told->valid = false;
		return RET_PF_WRITE_PROTECTED;
	}

	note_fault(vcpu, fault);

	r = told->access.unemulated ? call_unemulated(vcpu, &told->access) :
				      call_track_access(vcpu, &told->access);
	if (r < 0 && r != -ENOENT)
		return r;

	told->told = r == KVM_PAGE_TRACK_GO_ON;

	/* Handle the fault as on any page, and call once more on the way. */
	if (r == KVM_PAGE_TRACK_WANT_PAGE && !told->access.page_ready) {
		fault->page_track = true;
		return RET_PF_CONTINUE;
	}

	if (r != KVM_PAGE_TRACK_STOP)
		return RET_PF_WRITE_PROTECTED;

	if (kvm_slot_page_track_is_active(vcpu->kvm, fault->slot, fault->gfn,
					  KVM_PAGE_TRACK_WRITE))
		return RET_PF_RETRY;

	/* The last tracker has given the page up. */
	return RET_PF_CONTINUE;
}

/* Not inline, to spare those who know from the fault the stack that @access needs. */
static noinline int ask_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
				     const void **val, int bytes)
{
	bool too_late = vcpu->arch.page_track->insn.too_late;
	struct kvm_page_track_access access = {
		.mode = KVM_PAGE_TRACK_WRITE,
		.gpa = gpa,
		.gva = gva,
		.gva_valid = true,
		.too_late = too_late,
		.data = *val,
		.bytes = bytes,
	};
	int r;

	r = call_track_access(vcpu, &access);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || r == KVM_PAGE_TRACK_STOP)
		return too_late ? 0 : -EAGAIN;

	*val = access.data;
	return r == KVM_PAGE_TRACK_SKIP;
}

int __kvm_page_track_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
				  const void **val, int bytes)
{
	const struct kvm_page_track_fault *fault = &vcpu->arch.page_track->fault;
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;

	start_write(insn, KVM_PAGE_TRACK_DECIDED);
	page_track_look_up_anew(vcpu, gpa_to_gfn(gpa));

	/* Nobody has it, or who has knows from the fault. */
	if (!insn->nr_found ||
	    (fault->valid && fault->told && fault->access.gpa == gpa))
		return 0;

	return ask_before_write(vcpu, gpa, gva, val, bytes);
}

void __kvm_page_track_decide_write(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	start_write(&vcpu->arch.page_track->insn, KVM_PAGE_TRACK_DECIDED);
	page_track_look_up_anew(vcpu, gfn);
}

/* After a write */

static void call_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			     int bytes, const struct kvm_page_track_found *found)
{
	if (found->node->track_write)
		found->node->track_write(vcpu, gpa, gva, new, bytes, found->action,
					 found->node);
}

/*
 * Is what was looked up before the write for @gfn?  If so, store who was taken back
 * from it.
 */
static bool was_decided(struct kvm_page_track_insn *insn, gfn_t gfn, u32 *taken_back)
{
	u32 next, state = READ_ONCE(insn->state);

	if ((state & KVM_PAGE_TRACK_STAGE) != KVM_PAGE_TRACK_DECIDED || insn->gfn != gfn)
		return false;

	/* Nobody is taken back after the write.  Pairs with the one in take_back(). */
	do {
		next = state - KVM_PAGE_TRACK_DECIDED + KVM_PAGE_TRACK_WRITTEN;
	} while (!try_cmpxchg(&insn->state, &state, next));

	*taken_back = state;
	return true;
}

static bool is_told(const struct kvm_page_track_insn *insn, u32 taken_back,
		    const struct kvm_page_track_notifier_node *n)
{
	int i;

	for (i = 0; i < insn->nr_found; i++) {
		if (insn->found[i].node == n)
			return !(taken_back & KVM_PAGE_TRACK_TAKEN_BACK(i));
	}

	return false;
}

/* Call those who track the gfn now, and have not been called. */
static noinline void tell_others(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
				 int bytes, u32 taken_back)
{
	struct kvm_page_track_vcpu *track = vcpu->arch.page_track;
	struct kvm_page_track_found found = {};

	while ((found.node = page_track_find_next(vcpu->kvm, found.node, gpa_to_gfn(gpa),
						  &found.action))) {
		if (!track || !is_told(&track->insn, taken_back, found.node))
			call_track_write(vcpu, gpa, gva, new, bytes, &found);
	}
}

void kvm_page_track_tell_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			       int bytes)
{
	struct kvm_page_track_vcpu *track = create_vcpu(vcpu);
	struct kvm_page_track_insn *insn;
	gfn_t gfn = gpa_to_gfn(gpa);
	u32 taken_back = 0;
	int i;

	if (!track) {
		tell_others(vcpu, gpa, gva, new, bytes, 0);
		return;
	}

	insn = &track->insn;
	if (!was_decided(insn, gfn, &taken_back)) {
		start_write(insn, KVM_PAGE_TRACK_WRITTEN);
		page_track_look_up(vcpu, gfn);
	}

	for (i = 0; i < insn->nr_found; i++) {
		if (!(taken_back & KVM_PAGE_TRACK_TAKEN_BACK(i)))
			call_track_write(vcpu, gpa, gva, new, bytes, &insn->found[i]);
	}

	/*
	 * Those that there was no room for, those who track the gfn since then, and who
	 * was taken back for the sake of another gfn, or of a call that has failed.
	 */
	if (insn->more || taken_back & KVM_PAGE_TRACK_ANY_TAKEN_BACK ||
	    insn->generation != kvm_page_track_generation(vcpu->kvm))
		tell_others(vcpu, gpa, gva, new, bytes, taken_back);

	end_write(insn);
}

/* Instructions */

void __kvm_page_track_begin_insn(struct kvm_vcpu *vcpu, bool is_fault, bool can_stop)
{
	struct kvm_page_track_vcpu *track = create_vcpu(vcpu);

	/* Short of memory, go on: whoever tracks what is written is told after it. */
	if (!track)
		return;

	track->insn.active = true;
	track->insn.too_late = !can_stop;

	if (!is_fault)
		track->fault.valid = false;
}

void __kvm_page_track_end_insn(struct kvm_vcpu *vcpu)
{
	vcpu->arch.page_track->insn.active = false;
	end_write(&vcpu->arch.page_track->insn);
}

bool kvm_page_track_emulation_failed(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = vcpu->arch.page_track;
	struct kvm_page_track_fault *fault;
	int r;

	/* Another fault than one on a gfn that is write-protected? */
	if (!track || !track->fault.valid)
		return false;

	fault = &track->fault;
	fault->access.unemulated = true;
	page_track_look_up(vcpu, gpa_to_gfn(fault->access.gpa));
	r = call_unemulated(vcpu, &fault->access);
	return r < 0 || r == KVM_PAGE_TRACK_STOP;
}

int kvm_page_track_resume_insn(struct kvm_vcpu *vcpu)
{
	int r;

	vcpu->arch.page_track->insn.resumed = true;
	r = kvm_emulate_instruction(vcpu, 0);
	vcpu->arch.page_track->insn.resumed = false;
	return r;
}

int kvm_page_track_enter(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_notifier_node *n;
	int r;

	kvm_page_track_for_each_notifier(vcpu->kvm, n) {
		r = n->track_enter ? n->track_enter(vcpu, n) : 0;
		if (r)
			return r;
	}

	return 0;
}
