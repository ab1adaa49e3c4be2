/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking: what the rest of KVM calls.
 *
 * Counters change under kvm->mmu_lock held for write and are read without a
 * lock; whoever makes or widens an SPTE reads them again under mmu_lock.
 */
#ifndef __KVM_X86_PAGE_TRACK_H
#define __KVM_X86_PAGE_TRACK_H

#include <linux/kvm_host.h>

#include <asm/kvm_page_track.h>

#include "kvm_cache_regs.h"

struct kvm_page_fault;

/* The counters of these many gfns make one block, a page. */
#define KVM_PAGE_TRACK_BLOCK_GFNS	(PAGE_SIZE / sizeof(unsigned short))

/*
 * How many trackers may be registered.  Each counts a gfn once at most.  What is
 * left of a counter is for the shadow MMU, whose additions must not fail: it has
 * fewer than 2^13 upper-level shadow pages of one gfn, see union
 * kvm_mmu_page_role; leave it twice that.
 */
#define KVM_PAGE_TRACK_MAX_TRACKERS	(USHRT_MAX - BIT(14))

/* Layer 1, page_track.c: counters and enforcement. */

/*
 * Private to layer 1: add @count, 1 or -1, to the counter of @gfn; and note that @nr
 * gfns of @gfn's block became tracked, or, if @nr is below 0, untracked.
 *
 * update_gfn_track() returns the new count, or, with nothing changed, -ENOENT if
 * it would be below 0, or -EOVERFLOW.
 * Context: kvm->mmu_lock held for write, slots_lock or srcu held.
 */
int update_gfn_track(struct kvm_memory_slot *slot, gfn_t gfn,
		     enum kvm_page_track_mode mode, int count);
void kvm_page_track_add_nr(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			   enum kvm_page_track_mode mode, long nr);

/*
 * Give each slot of @kvm, and each that will come, a directory for @mode.
 *
 * Returns 0 or -ENOMEM.
 * Context: kvm->slots_arch_lock held, and srcu or slots_lock; may sleep.
 */
int kvm_page_track_enable(struct kvm *kvm, enum kvm_page_track_mode mode);

/*
 * Has @kvm, and with it each of its slots, been enabled for @mode?
 *
 * Context: any.
 */
static inline bool kvm_page_track_mode_enabled(struct kvm *kvm,
					       enum kvm_page_track_mode mode)
{
	/* Pairs with the release in kvm_page_track_enable(). */
	return smp_load_acquire(&kvm->arch.page_track_modes) & BIT(mode);
}

/*
 * Give @slot, which is not visible yet, a directory for each mode that @kvm has
 * enabled.
 *
 * Returns 0 or -ENOMEM, with nothing allocated.
 * Context: kvm->slots_arch_lock held, may sleep.
 */
int kvm_page_track_create_memslot(struct kvm *kvm, struct kvm_memory_slot *slot);

/* Free the counters of @slot.  Context: nobody can reach @slot, may sleep. */
void kvm_page_track_free_memslot(struct kvm *kvm, struct kvm_memory_slot *slot);

/*
 * Count @gfn of @slot up.  The first count stops large mappings of @gfn.  Each
 * removes the access from its SPTEs and flushes TLBs if one had it.  @blocks holds
 * zeroed pages, one at least, of which up to one is taken.
 *
 * Returns 0, or with nothing changed -EOVERFLOW, or -EIO if @slot has no
 * directory for @mode.  Either is a bug of KVM.
 * Context: kvm->mmu_lock held for write, slots_lock or srcu held.
 */
int kvm_slot_page_track_add_page(struct kvm *kvm,
				 struct kvm_mmu_memory_cache *blocks,
				 struct kvm_memory_slot *slot, gfn_t gfn,
				 enum kvm_page_track_mode mode);

/*
 * Count @gfn of @slot down.  The last count allows large mappings again; SPTEs
 * get the access back when the guest faults on them.
 *
 * Returns 1 if @gfn is not tracked any more, 0 if it still is, or -ENOENT with
 * nothing changed.
 * Context: as kvm_slot_page_track_add_page().
 */
int kvm_slot_page_track_remove_page(struct kvm *kvm,
				    struct kvm_memory_slot *slot, gfn_t gfn,
				    enum kvm_page_track_mode mode);

/*
 * Allocate what counting the gfns [@gfn, @end) of @slot will need.  It stays with
 * the slot, whether used or not.
 *
 * Returns 0, -ENOMEM, or -EIO if @slot has no directory, a bug of KVM.
 * Context: slots_lock or srcu held; may sleep, takes kvm->mmu_lock.
 */
int kvm_slot_page_track_prepare_range(struct kvm *kvm,
				      struct kvm_memory_slot *slot, gfn_t gfn,
				      gfn_t end, enum kvm_page_track_mode mode);

/* Layer 1, page_track_walk.c: counting ranges, for trackers of others. */

/* Ranges of several slots, counted under one kvm->mmu_lock, with one TLB flush. */
struct kvm_page_track_walk {
	struct kvm *kvm;
	enum kvm_page_track_mode mode;
	bool unmapped;		/* the slot is not visible yet, nobody has mapped it */
	bool flush;		/* private to layer 1 */
};

/*
 * Begin, and end: what was counted in between is enforced then.
 *
 * Context: slots_lock or srcu held; takes kvm->mmu_lock, or drops it.
 */
void kvm_page_track_begin_walk(struct kvm_page_track_walk *walk)
	__acquires(&walk->kvm->mmu_lock);
void kvm_page_track_end_walk(struct kvm_page_track_walk *walk)
	__releases(&walk->kvm->mmu_lock);

/*
 * Count each gfn of [@gfn, @end), which is prepared and may be empty, up.  Remove
 * the access from SPTEs of those that became tracked.  Between two blocks,
 * kvm->mmu_lock is dropped, after a flush, for whoever waits.
 *
 * Returns 0, or -EIO if a counter overflows, a bug of KVM.
 * Context: in a walk; may sleep.
 */
int __kvm_slot_page_track_add_range(struct kvm_page_track_walk *walk,
				    struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end);

/*
 * Count them down.  Of the large pages around those that became untracked, zap the
 * SPTEs in pieces of those that can be large again, so that the next access to
 * wherever in one maps it.
 *
 * Returns 0, or -EIO if a counter underflows, a bug of KVM.
 * Context: in a walk; may sleep.
 */
int __kvm_slot_page_track_remove_range(struct kvm_page_track_walk *walk,
				       struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end);

/*
 * Is @gfn tracked, in the address space of @slot or the other one?  A @slot of
 * NULL has nothing to track.  True as well if @slot was replaced by a copy and is
 * too old to know.
 *
 * Context: kvm->srcu or slots_lock held.
 */
bool kvm_slot_page_track_is_active(struct kvm *kvm,
				   const struct kvm_memory_slot *slot, gfn_t gfn,
				   enum kvm_page_track_mode mode);

/* Layer 2, page_track_notifier.c: trackers and dispatch. */

/*
 * Add @n behind the other trackers, for the lifetime of @kvm.
 * Context: kvm->slots_arch_lock held.
 */
void kvm_page_track_add_notifier(struct kvm *kvm,
				 struct kvm_page_track_notifier_node *n);

void __kvm_page_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
			    const u8 *new, int bytes);
int __kvm_page_track_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
				  const void **val, int bytes);

/*
 * Tell the trackers of a write that KVM did for the guest, see track_write.
 *
 * Context: kvm->srcu held, may sleep.
 */
static inline void kvm_page_track_write(struct kvm_vcpu *vcpu, gpa_t gpa,
					gva_t gva, const u8 *new, int bytes)
{
	/*
	 * Make the written bytes visible before looking for trackers.  Either
	 * whoever adds shadow pages reads the new guest PTE, or the list, and
	 * indirect_shadow_pages, have the shadow MMU here.  Pairs with the
	 * smp_mb() in account_shadowed().
	 */
	smp_mb();

	lockdep_assert_once(srcu_read_lock_held(&vcpu->kvm->srcu));

	vcpu->arch.page_track_insn.too_late = true;

	if (!hlist_empty(&vcpu->kvm->arch.track_notifier_head.track_notifier_list))
		__kvm_page_track_write(vcpu, gpa, gva, new, bytes);
}

/*
 * Tell the trackers that @slot is gone, or is somewhere else now, see
 * track_flush_slot.
 *
 * Context: kvm->slots_lock held, @slot unreachable for vCPUs, may sleep.
 */
void kvm_page_track_flush_slot(struct kvm *kvm, const struct kvm_memory_slot *slot);

/*
 * Has another module or userspace trackers of @kvm?
 *
 * Context: any.  A vCPU that does not see a new tracker here yet emulates without
 * track_access; track_write is called all the same, see kvm_page_track_write().
 */
static inline bool kvm_page_track_has_external(struct kvm *kvm)
{
	return IS_ENABLED(CONFIG_KVM_EXTERNAL_WRITE_TRACKING) &&
	       READ_ONCE(kvm->arch.track_notifier_head.nr_external);
}

/*
 * May @kvm have trackers of others?  KVM can emulate nothing in memory that it
 * cannot read.
 *
 * Context: any; final under kvm->slots_arch_lock.
 */
static inline bool kvm_page_track_may_have_external(struct kvm *kvm)
{
	return IS_ENABLED(CONFIG_KVM_EXTERNAL_WRITE_TRACKING) &&
	       kvm->arch.vm_type == KVM_X86_DEFAULT_VM &&
	       !READ_ONCE(kvm->arch.track_notifier_head.no_external);
}

/*
 * Let @kvm, whose memory is going to be encrypted, never have trackers of others.
 *
 * Returns 0, or -EBUSY if it has some.
 * Context: process, may sleep; takes kvm->slots_arch_lock.
 */
int kvm_page_track_forbid_external(struct kvm *kvm);

/*
 * KVM's emulator starts an instruction, or an element of a string instruction, after
 * a fault at @cr2_or_gpa, if any.  If @can_stop, it may be tried again from here.
 *
 * Context: the vCPU's thread.
 */
static inline void kvm_page_track_begin_insn(struct kvm_vcpu *vcpu, gpa_t cr2_or_gpa,
					     bool can_stop)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;

	insn->active = can_stop && kvm_page_track_has_external(vcpu->kvm);
	insn->too_late = false;
	insn->fault_told &= vcpu->arch.page_track_fault.cr2_or_gpa == cr2_or_gpa &&
			    vcpu->arch.page_track_fault.rip == kvm_rip_read(vcpu);
}

/* That was its end.  If @stopped, it will be tried again. */
static inline void kvm_page_track_end_insn(struct kvm_vcpu *vcpu, bool stopped)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;

	insn->active = false;
	insn->fault_told = false;
	if (!stopped)
		insn->nr_answers = 0;
}

/*
 * May kvm_page_track_before_write() call trackers?
 *
 * Context: the vCPU's thread.
 */
static inline bool kvm_page_track_insn_active(struct kvm_vcpu *vcpu)
{
	return IS_ENABLED(CONFIG_KVM_EXTERNAL_WRITE_TRACKING) &&
	       vcpu->arch.page_track_insn.active;
}

/*
 * Tell the trackers that KVM's emulator is about to write @bytes at *@val, in one
 * page, for an instruction, see track_access.  May lead *@val to other bytes.
 *
 * Returns 0 if they are to be written, 1 if not, or -EAGAIN if the instruction has
 * to stop.
 * Context: kvm->srcu held, may sleep.
 */
static inline int kvm_page_track_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
					      const void **val, int bytes)
{
	int r;

	if (!kvm_page_track_insn_active(vcpu))
		return 0;

	/* The trackers know from the fault. */
	if (vcpu->arch.page_track_insn.fault_told &&
	    vcpu->arch.page_track_fault.access.gpa == gpa)
		return 0;

	r = __kvm_page_track_before_write(vcpu, gpa, gva, val, bytes);

	/* What is skipped counts as written. */
	if (r > 0)
		vcpu->arch.page_track_insn.too_late = true;

	return r;
}

/*
 * Tell the trackers of a fault on a gfn that is write-protected, see track_access.
 *
 * Returns RET_PF_WRITE_PROTECTED, RET_PF_RETRY, RET_PF_CONTINUE if the gfn is not
 * write-protected any more, or an error.
 * Context: kvm->srcu held, may sleep.
 */
int kvm_page_track_fault(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault);

/*
 * Tell the trackers that KVM's emulator failed after a fault at @cr2_or_gpa, if that
 * is the one that kvm_page_track_fault() has told last.
 *
 * Returns whether the instruction is to be tried again.
 * Context: kvm->srcu held, may sleep.
 */
bool kvm_page_track_emulation_failed(struct kvm_vcpu *vcpu, gpa_t cr2_or_gpa);

/* Layer 2, page_track_range.c: ranges of trackers, which only other modules have. */

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * Count what the trackers' ranges have of @slot, which is not visible yet.
 *
 * Returns 0, or with the counters of @slot freed -ENOMEM, or -EIO for a bug.
 * Context: slots_lock and kvm->slots_arch_lock held; may sleep, takes
 * kvm->mmu_lock.
 */
int kvm_page_track_apply_ranges(struct kvm *kvm, struct kvm_memory_slot *slot);

/*
 * Remove what @n tracks, and let others take the locks again and again.  What is
 * added meanwhile may be left, and anything if memory is short.
 *
 * Context: process, may sleep; takes kvm->slots_arch_lock and mmu_lock.
 */
void kvm_page_track_remove_most_ranges(struct kvm *kvm,
				       struct kvm_page_track_notifier_node *n);

/*
 * Remove all that @n tracks.
 *
 * Context: kvm->srcu and kvm->slots_arch_lock held; may sleep, takes
 * kvm->mmu_lock.
 */
void kvm_page_track_remove_all_ranges(struct kvm *kvm,
				      struct kvm_page_track_notifier_node *n);

/*
 * The action that @n gave for @gfn, or -ENOENT if it does not track @gfn.
 * Context: any; @n stays registered or kvm->srcu is held.
 */
int kvm_page_track_get_action(struct kvm_page_track_notifier_node *n, gfn_t gfn,
			      enum kvm_page_track_mode mode);

/*
 * Remove @gfn from what @n tracks if it has this @action still.
 *
 * Returns 1 if so, 0 if not, or -ENOMEM, or -EIO for a bug.
 * Context: kvm->srcu held; may sleep, takes kvm->slots_arch_lock and mmu_lock.
 */
int kvm_page_track_drop_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			     gfn_t gfn, enum kvm_page_track_mode mode, u8 action);
#else
static inline int kvm_page_track_apply_ranges(struct kvm *kvm,
					      struct kvm_memory_slot *slot)
{
	return 0;
}
#endif

#endif /* __KVM_X86_PAGE_TRACK_H */
