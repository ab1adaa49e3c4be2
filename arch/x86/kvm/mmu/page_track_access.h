/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: accesses that trackers are called for, before and after, see
 * page_track_access.c.
 *
 * Whatever has no other context is for the vCPU's thread.
 */
#ifndef __KVM_X86_PAGE_TRACK_ACCESS_H
#define __KVM_X86_PAGE_TRACK_ACCESS_H

#include <linux/kvm_host.h>

#include "page_track_notifier.h"
#include "page_track_vcpu.h"

struct kvm_page_fault;

void __kvm_page_track_begin_insn(struct kvm_vcpu *vcpu, bool is_fault, bool can_stop);
void __kvm_page_track_end_insn(struct kvm_vcpu *vcpu);
int __kvm_page_track_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
				  const void **val, int bytes);
void __kvm_page_track_decide_write(struct kvm_vcpu *vcpu, gfn_t gfn);
bool kvm_page_track_emulation_failed(struct kvm_vcpu *vcpu);

/* What @vcpu keeps, or NULL. */
static inline struct kvm_page_track_vcpu *kvm_page_track_get_vcpu(struct kvm_vcpu *vcpu)
{
	return IS_ENABLED(CONFIG_KVM_EXTERNAL_WRITE_TRACKING) ? vcpu->arch.page_track : NULL;
}

/*
 * KVM's emulator starts an instruction, or an element of a string instruction, because
 * of a fault or not.  If @can_stop, it may be tried again from here.
 *
 * Context: may sleep.
 */
static inline void kvm_page_track_begin_insn(struct kvm_vcpu *vcpu, bool is_fault,
					     bool can_stop)
{
	if (kvm_page_track_has_external(vcpu->kvm))
		__kvm_page_track_begin_insn(vcpu, is_fault, can_stop);
}

/* May kvm_page_track_before_write() call trackers? */
static inline bool kvm_page_track_insn_active(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = kvm_page_track_get_vcpu(vcpu);

	return track && track->insn.active;
}

/* That was its end. */
static inline void kvm_page_track_end_insn(struct kvm_vcpu *vcpu)
{
	if (kvm_page_track_insn_active(vcpu))
		__kvm_page_track_end_insn(vcpu);
}

/* The instruction has used a device, or written: it cannot be stopped any more. */
static inline void kvm_page_track_forbid_stop(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = kvm_page_track_get_vcpu(vcpu);

	if (track)
		track->insn.too_late = true;
}

/*
 * Tell the trackers that KVM's emulator is about to write @bytes at *@val, to one
 * page that has memory, see track_access.  May lead *@val to other bytes.
 *
 * Returns 0 if they are to be written, 1 if not, which counts as written, or -EAGAIN
 * if the instruction has to stop.
 * Context: kvm->srcu held, may sleep.
 */
static inline int kvm_page_track_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
					      const void **val, int bytes)
{
	if (!kvm_page_track_insn_active(vcpu))
		return 0;

	return __kvm_page_track_before_write(vcpu, gpa, gva, val, bytes);
}

/*
 * KVM's emulator is about to write to @gpa, all parts of the write having been asked for.
 *
 * Context: as kvm_page_track_before_write().
 */
static inline void kvm_page_track_decide_write(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_page_track_insn *insn;

	if (!kvm_page_track_insn_active(vcpu))
		return;

	/* If the last one asked for was the other part, or it is the same gfn, and told. */
	insn = &vcpu->arch.page_track->insn;
	if (insn->gfn != gpa_to_gfn(gpa) ||
	    (insn->state & KVM_PAGE_TRACK_STAGE) != KVM_PAGE_TRACK_DECIDED)
		__kvm_page_track_decide_write(vcpu, gpa_to_gfn(gpa));
}

/*
 * Call track_write of all trackers but the shadow MMU.
 *
 * Context: kvm->srcu held, may sleep.
 */
void kvm_page_track_tell_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			       int bytes);

/*
 * Tell the trackers of a write that KVM did for the guest, see track_write.  The
 * shadow MMU is the first one.
 *
 * Context: kvm->srcu held, may sleep.
 */
static inline void kvm_page_track_write(struct kvm_vcpu *vcpu, gpa_t gpa,
					gva_t gva, const u8 *new, int bytes)
{
	kvm_page_track_forbid_stop(vcpu);
	kvm_page_track_tell_mmu(vcpu, gpa, gva, new, bytes);

	if (kvm_page_track_has_external(vcpu->kvm))
		kvm_page_track_tell_write(vcpu, gpa, gva, new, bytes);
}

/*
 * Tell the trackers of a fault on a gfn that is write-protected, see track_access.
 *
 * Returns RET_PF_WRITE_PROTECTED, RET_PF_RETRY, RET_PF_CONTINUE if the fault is to be
 * handled as on a gfn that is not write-protected, or an error.
 * Context: kvm->srcu held, may sleep.
 */
int kvm_page_track_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);

/* A fault starts to be handled: the trackers have not been told of it. */
static inline void kvm_page_track_begin_fault(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = kvm_page_track_get_vcpu(vcpu);

	if (track)
		track->fault.valid = false;
}

/* Has an instruction whose emulation was resumed to end with the current element? */
static inline bool kvm_page_track_insn_resumed(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = kvm_page_track_get_vcpu(vcpu);

	return track && track->insn.resumed;
}

/*
 * KVM's emulator cannot do the instruction.  Tell the trackers if that was after a
 * fault that kvm_page_track_fault() has told.
 *
 * Returns whether the instruction is to be tried again: natively, or from the fault.
 * Context: kvm->srcu held, may sleep.
 */
static inline bool kvm_page_track_retry_on_failure(struct kvm_vcpu *vcpu, bool is_fault)
{
	return kvm_page_track_insn_resumed(vcpu) ||
	       (is_fault && kvm_page_track_has_external(vcpu->kvm) &&
		kvm_page_track_emulation_failed(vcpu));
}

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * Have an instruction that a tracker has stopped emulated, or one element of it, from
 * the start.  If it cannot be, the guest goes on with it natively.
 *
 * Returns as an exit handler does.
 * Context: before KVM_RUN enters the guest, kvm->srcu held.
 */
int kvm_page_track_resume_insn(struct kvm_vcpu *vcpu);

/*
 * Call track_enter of the trackers.  Returns what the first of them does that does not
 * let the vCPU enter the guest, or 0.
 *
 * Context: before KVM_RUN enters the guest, kvm->srcu held.
 */
int kvm_page_track_enter(struct kvm_vcpu *vcpu);

/*
 * Wait until no vCPU tells @n, whose ranges have changed, of a write any more that it
 * decided to tell before the change.  Vcpus that sleep before their write, e.g. for
 * userfaultfd, are not waited for; they do not tell @n.  Ends early on a fatal signal.
 *
 * Context: process, may sleep; not in a callback, which is what it waits for.
 */
void kvm_page_track_wait(struct kvm *kvm, const struct kvm_page_track_notifier_node *n);

/* Does @vcpu's thread sleep, or is it gone?  Context: any. */
bool kvm_page_track_is_asleep(struct kvm_vcpu *vcpu);

/* Free what @vcpu keeps.  Context: @vcpu will not run any more. */
void kvm_page_track_free_vcpu(struct kvm_vcpu *vcpu);
#else
static inline void kvm_page_track_free_vcpu(struct kvm_vcpu *vcpu) {}
#endif

#endif /* __KVM_X86_PAGE_TRACK_ACCESS_H */
