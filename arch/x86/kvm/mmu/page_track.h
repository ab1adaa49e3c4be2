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

/*
 * Tell the trackers of a write that KVM did for the guest, see track_write.  The
 * shadow MMU is the first one.
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
 * track_access; track_write is called all the same, as kvm_page_track_write() looks
 * again.
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

/* Layer 2, page_track_access.c: accesses that trackers of others are called for. */

void __kvm_page_track_begin_insn(struct kvm_vcpu *vcpu, bool is_fault);
void __kvm_page_track_end_insn(struct kvm_vcpu *vcpu);
int __kvm_page_track_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
				  const void **val, int bytes);
void __kvm_page_track_decide_write(struct kvm_vcpu *vcpu, gfn_t gfn);
bool kvm_page_track_emulation_failed(struct kvm_vcpu *vcpu);

/*
 * KVM's emulator starts an instruction, or an element of a string instruction, because
 * of a fault or not.  If @can_stop, it may be tried again from here.
 *
 * Context: the vCPU's thread.
 */
static inline void kvm_page_track_begin_insn(struct kvm_vcpu *vcpu, bool is_fault,
					     bool can_stop)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;

	insn->too_late = !can_stop;
	if (!kvm_page_track_has_external(vcpu->kvm))
		return;

	insn->active = true;
	__kvm_page_track_begin_insn(vcpu, is_fault);
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

/* That was its end.  Context: the vCPU's thread. */
static inline void kvm_page_track_end_insn(struct kvm_vcpu *vcpu)
{
	if (kvm_page_track_insn_active(vcpu))
		__kvm_page_track_end_insn(vcpu);
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
	/* If the last one asked for was not the other part. */
	if (kvm_page_track_insn_active(vcpu) &&
	    vcpu->arch.page_track_insn.gfn != gpa_to_gfn(gpa))
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
 * Tell the trackers of a fault on a gfn that is write-protected, see track_access.
 *
 * Returns RET_PF_WRITE_PROTECTED, RET_PF_RETRY, RET_PF_CONTINUE if the fault is to be
 * handled as on a gfn that is not write-protected, or an error.
 * Context: kvm->srcu held, may sleep.
 */
int kvm_page_track_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);

/*
 * A fault starts to be handled: the trackers have not been told of it.
 *
 * Context: the vCPU's thread.
 */
static inline void kvm_page_track_begin_fault(struct kvm_vcpu *vcpu)
{
	vcpu->arch.page_track_fault.valid = false;
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
	if (!IS_ENABLED(CONFIG_KVM_EXTERNAL_WRITE_TRACKING))
		return false;

	return vcpu->arch.page_track_insn.resumed ||
	       (is_fault && kvm_page_track_has_external(vcpu->kvm) &&
		kvm_page_track_emulation_failed(vcpu));
}

/*
 * Have an instruction that a tracker has stopped emulated, or one element of it, from
 * the start.  If it cannot be, the guest goes on with it natively.
 *
 * Returns as an exit handler does.
 * Context: before KVM_RUN enters the guest, kvm->srcu held.
 */
int kvm_page_track_resume_insn(struct kvm_vcpu *vcpu);

/*
 * Has an instruction whose emulation was resumed to end with the current element?
 *
 * Context: the vCPU's thread.
 */
static inline bool kvm_page_track_insn_resumed(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.page_track_insn.resumed;
}

/*
 * Wait until no vCPU tells @n, whose ranges have changed, of a write any more that it
 * decided to tell before the change.  Vcpus that sleep before their write, e.g. for
 * userfaultfd, are not waited for; they do not tell @n.  Ends early on a fatal signal.
 *
 * Context: process, may sleep; not in a callback, which is what it waits for.
 */
void kvm_page_track_wait(struct kvm *kvm, const struct kvm_page_track_notifier_node *n);

/* What some tracker tracks has changed.  Context: kvm->slots_arch_lock held. */
static inline void kvm_page_track_changed(struct kvm *kvm)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;

	lockdep_assert_held(&kvm->slots_arch_lock);

	/* Who sees this sees the change.  Pairs with get_generation(). */
	smp_store_release(&head->generation, head->generation + 1);
}

/*
 * The tracker of this @id, or NULL.  Valid as long as kvm->srcu is held.
 *
 * Context: kvm->srcu held.
 */
struct kvm_page_track_notifier_node *kvm_page_track_find_notifier(struct kvm *kvm, u64 id);

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * As kvm_page_track_unregister_notifier(), but without waiting for vCPUs, which may
 * take as long as whoever serves a userfaultfd: a callback that has been called may
 * still run.  @free is called, once, when none does any more.
 *
 * Not for other modules: @free, and with it the callbacks, may run as long as @kvm
 * exists, and nothing keeps the text of another module until then.
 *
 * Context: process, may sleep; takes kvm->slots_arch_lock and kvm->mmu_lock.  @free
 * is called with bottom halves disabled, from a work item of kvm->srcu.
 */
void kvm_page_track_unregister_notifier_async(struct kvm *kvm,
					      struct kvm_page_track_notifier_node *n,
					      void (*free)(struct kvm_page_track_notifier_node *n));

/*
 * Wait until each @free of above has been called.
 *
 * Context: @kvm is being destroyed, may sleep.
 */
void kvm_page_track_cleanup(struct kvm *kvm);
#else
static inline void kvm_page_track_cleanup(struct kvm *kvm) {}
#endif

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
 * Remove @gfn from what @n tracks if it has this @action still.  Who tells of that
 * before the lock is released is not overtaken by an @n that adds @gfn again.
 *
 * Returns 1 if so, 0 if not, or -ENOMEM, or -EIO for a bug.
 * Context: kvm->srcu and kvm->slots_arch_lock held; may sleep, takes mmu_lock.
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
