/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: the CPU does itself what KVM cannot emulate, see
 * page_track_step.c.
 *
 * Whatever has no other context is for the vCPU's thread.  A vCPU in a step does not enter or
 * leave guest mode.
 */
#ifndef __KVM_X86_PAGE_TRACK_STEP_H
#define __KVM_X86_PAGE_TRACK_STEP_H

#include <linux/kvm_host.h>

#include "page_track_access.h"
#include "page_track_step_insn.h"
#include "page_track_step_view.h"
#include "page_track_stepped.h"

/* Is @vcpu to execute one instruction, and no more?  Context: any of @vcpu's thread. */
static inline bool kvm_page_track_steps_insn(struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.page_track_step_kind >= KVM_PAGE_TRACK_STEP_INSN &&
			vcpu->arch.page_track_step_kind < KVM_PAGE_TRACK_STEP_EVENT);
}

/* Which flags does the instruction load?  TF, TF and IF, or 0. */
static inline unsigned long kvm_page_track_step_loads(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.page_track_step_kind == KVM_PAGE_TRACK_STEP_LOADS_TF_IF)
		return X86_EFLAGS_TF | X86_EFLAGS_IF;

	return vcpu->arch.page_track_step_kind == KVM_PAGE_TRACK_STEP_LOADS_TF ?
	       X86_EFLAGS_TF : 0;
}

/*
 * The guest's flags behind a step: TF and IF of @before, as they are not those of the step,
 * unless the instruction was executed, if @done, and has loaded them.
 */
static inline unsigned long kvm_page_track_step_rflags(struct kvm_vcpu *vcpu, bool done,
						       unsigned long before,
						       unsigned long rflags)
{
	unsigned long own = X86_EFLAGS_TF | X86_EFLAGS_IF;

	if (done)
		own &= ~kvm_page_track_step_loads(vcpu);

	return (rflags & ~own) | (before & own);
}

/* Is @vcpu to take an event, and to come back before the first instruction? */
static inline bool kvm_page_track_steps_event(struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.page_track_step_kind == KVM_PAGE_TRACK_STEP_EVENT);
}

static inline bool kvm_page_track_in_step(struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.page_track_step_kind != KVM_PAGE_TRACK_NO_STEP);
}

/*
 * Of the breakpoints that a #DB says were hit, those that @dr7 enables: others may be there
 * as well, and without the TF of a step there would have been no #DB for them.
 */
static inline unsigned long kvm_page_track_step_dr6(unsigned long dr6, unsigned long dr7)
{
	int i;

	for (i = 0; i < KVM_NR_DB_REGS; i++) {
		if (!(dr7 & (3ul << (i * DR_ENABLE_SIZE))))
			dr6 &= ~BIT(i);
	}

	return dr6;
}

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * Have @vcpu do what has led to @access itself, with @access's page open to it alone, and
 * tell @n of it afterwards by track_write: of the bytes from @access->gpa on, to the end
 * of the page or KVM_PAGE_TRACK_STEP_DATA.  Others who track the page by then are told as
 * well.  During that call, kvm_page_track_stepped() knows the access.  Another page of the
 * same step is added.
 *
 * What is not done to its end, because of an exception or of another exit, is told if it
 * may have written to the page.  If the bytes cannot be read without sleeping, there are 0.
 *
 * Returns 1 if the guest is to go on; 0 if there can be no step, or the page cannot be open,
 * as also for a tracker that has track_write and no track_access; -EAGAIN if it was another
 * vCPU's turn, or an exception has to be delivered first, and @vcpu has to fault again; or
 * -ENOMEM.  The MMU may have no root behind it: nothing more is to be done with a fault but
 * to have the guest fault again.
 * Context: track_access of @n, kvm->srcu held, may sleep.
 */
int kvm_page_track_step(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
			u8 action, struct kvm_page_track_notifier_node *n);

/*
 * As kvm_page_track_step(), but what is written to the page, for whatever tracker, does not
 * get to memory.  If it is done to its end, those who have opened the page are told that it
 * was skipped, without bytes, and nobody else; if not, nobody is told.
 *
 * Returns -EAGAIN as well if the host has taken the page away since the fault, and 0 as well
 * if it is none of memory, e.g. one of a device.  On an error, the page may be open to those
 * who have not skipped it: the caller ends the step.
 */
int kvm_page_track_skip(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
			u8 action, struct kvm_page_track_notifier_node *n);

/*
 * Can what @vcpu is at be stepped?  It may come to a page that cannot be open.
 * Context: as for kvm_page_track_step().
 */
bool kvm_page_track_can_step(struct kvm_vcpu *vcpu);

const struct kvm_page_track_stepped *
__kvm_page_track_stepped(const struct kvm_page_track_step *step);

/* NULL if KVM has emulated what is told.  Context: track_write. */
static inline const struct kvm_page_track_stepped *
kvm_page_track_stepped(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = kvm_page_track_get_vcpu(vcpu);

	return track && track->step ? __kvm_page_track_stepped(track->step) : NULL;
}

/*
 * Wait until the step that is under way, if any, has told @n, whose ranges have changed.  If
 * its vCPU sleeps before it can write, it is not waited for, and tells @n if that tracks the
 * page when it does.  Ends early on a fatal signal.
 *
 * Context: process, may sleep; not in a callback.
 */
void kvm_page_track_wait_for_step(struct kvm *kvm,
				  const struct kvm_page_track_notifier_node *n);

bool __kvm_page_track_has_copies(struct kvm_vcpu *vcpu);
struct page *__kvm_page_track_find_copy(struct kvm_vcpu *vcpu, gfn_t gfn);
bool __kvm_page_track_use_open(struct kvm_vcpu *vcpu, gfn_t gfn);
void __kvm_page_track_end_step(struct kvm_vcpu *vcpu, bool done);

/*
 * Does @vcpu skip something in a step?  If so, it maps by 4 KiB.
 *
 * Context: @vcpu's thread.
 */
static inline bool kvm_page_track_has_copies(struct kvm_vcpu *vcpu)
{
	return kvm_page_track_in_step(vcpu) && __kvm_page_track_has_copies(vcpu);
}

/*
 * What @vcpu has to map in the place of @gfn, to skip what it writes there, or NULL.  It
 * stays as long as @vcpu.
 *
 * Context: @vcpu's thread.
 */
static inline struct page *kvm_page_track_find_copy(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return kvm_page_track_in_step(vcpu) ? __kvm_page_track_find_copy(vcpu, gfn) : NULL;
}

/* Is @pfn that?  Context: @vcpu's thread. */
static inline bool kvm_page_track_is_copy(struct kvm_vcpu *vcpu, gfn_t gfn, kvm_pfn_t pfn)
{
	struct page *copy = kvm_page_track_find_copy(vcpu, gfn);

	return copy && page_to_pfn(copy) == pfn;
}

/*
 * May @vcpu write to @gfn though it is tracked?  If so, it will be able to.
 *
 * Context: @vcpu's thread.
 */
static inline bool kvm_page_track_use_open(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return kvm_page_track_in_step(vcpu) && __kvm_page_track_use_open(vcpu, gfn);
}

/*
 * Whatever it was, the exit is not one that a step goes on after: leave the view.  An
 * instruction was executed if @done; whether an event was taken is known.
 *
 * Context: before the exit is handled, kvm->srcu held, may sleep.
 */
static inline void kvm_page_track_end_step(struct kvm_vcpu *vcpu, bool done)
{
	if (kvm_page_track_in_step(vcpu))
		__kvm_page_track_end_step(vcpu, done);
}

/*
 * As kvm_page_track_end_step(), for an exception of the instruction: it is the guest's,
 * unless the instruction has become one that cannot be stepped.  False if it is to be
 * handled as any, since KVM has @intercepted it not only for the sake of the step.
 */
bool kvm_page_track_step_exception(struct kvm_vcpu *vcpu, u8 vector, bool intercepted,
				   bool has_error, u32 error, gva_t address);

/* Free what @vcpu keeps.  Context: before kvm_page_track_free_vcpu(). */
void kvm_page_track_free_step(struct kvm_vcpu *vcpu);
#else
static inline bool kvm_page_track_use_open(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return false;
}

static inline bool kvm_page_track_has_copies(struct kvm_vcpu *vcpu)
{
	return false;
}

static inline struct page *kvm_page_track_find_copy(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return NULL;
}

static inline bool kvm_page_track_is_copy(struct kvm_vcpu *vcpu, gfn_t gfn, kvm_pfn_t pfn)
{
	return false;
}

static inline void kvm_page_track_end_step(struct kvm_vcpu *vcpu, bool done) {}
static inline bool kvm_page_track_step_exception(struct kvm_vcpu *vcpu, u8 vector,
						 bool intercepted, bool has_error,
						 u32 error, gva_t address)
{
	return false;
}

static inline void kvm_page_track_free_step(struct kvm_vcpu *vcpu) {}
#endif

#endif /* __KVM_X86_PAGE_TRACK_STEP_H */
