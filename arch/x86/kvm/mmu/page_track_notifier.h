/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: the trackers of a VM, see page_track_notifier.c.
 *
 * They are in a list, which changes under kvm->slots_arch_lock and is walked under
 * that or kvm->srcu.
 */
#ifndef __KVM_X86_PAGE_TRACK_NOTIFIER_H
#define __KVM_X86_PAGE_TRACK_NOTIFIER_H

#include <linux/kvm_host.h>
#include <linux/rculist.h>

/*
 * How many trackers may be registered.  Each counts a gfn once at most.  What is
 * left of a counter is for the shadow MMU, whose additions must not fail: it has
 * fewer than 2^14 upper-level shadow pages of one gfn, see union
 * kvm_mmu_page_role; leave it twice that.
 */
#define KVM_PAGE_TRACK_MAX_TRACKERS	(USHRT_MAX - BIT(15))

/* Context: kvm->srcu or kvm->slots_arch_lock held. */
static inline struct hlist_head *kvm_page_track_notifiers(struct kvm *kvm)
{
	lockdep_assert_once(srcu_read_lock_held(&kvm->srcu) ||
			    lockdep_is_held(&kvm->slots_arch_lock));

	return &kvm->arch.track_notifier_head.track_notifier_list;
}

/* In the order of registration.  Context: as above. */
#define kvm_page_track_for_each_notifier(_kvm, _n)				\
	hlist_for_each_entry_srcu(_n, kvm_page_track_notifiers(_kvm), node, true)

/*
 * The tracker behind @n, the first one if that is NULL, or NULL behind the last.
 *
 * Context: kvm->srcu held.
 */
static inline struct kvm_page_track_notifier_node *
kvm_page_track_next_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	struct hlist_head *list = kvm_page_track_notifiers(kvm);
	struct hlist_node __rcu **p = n ? &hlist_next_rcu(&n->node) : &hlist_first_rcu(list);
	struct hlist_node *pos = srcu_dereference(*p, &kvm->srcu);

	return hlist_entry_safe(pos, struct kvm_page_track_notifier_node, node);
}

/*
 * Add @n behind the other trackers, for the lifetime of @kvm.
 * Context: kvm->slots_arch_lock held.
 */
void kvm_page_track_add_notifier(struct kvm *kvm,
				 struct kvm_page_track_notifier_node *n);

void __kvm_page_track_tell_mmu(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
			       const u8 *new, int bytes);

/*
 * Tell the shadow MMU of a write that KVM did for the guest.
 *
 * Context: kvm->srcu held, may sleep.
 */
static inline void kvm_page_track_tell_mmu(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
					   const u8 *new, int bytes)
{
	/*
	 * Make the written bytes visible before looking for trackers.  Either
	 * whoever adds shadow pages reads the new guest PTE, or the list, and
	 * indirect_shadow_pages, have the shadow MMU here.  Pairs with the
	 * smp_mb() in account_shadowed().
	 */
	smp_mb();

	lockdep_assert_once(srcu_read_lock_held(&vcpu->kvm->srcu));

	if (!hlist_empty(&vcpu->kvm->arch.track_notifier_head.track_notifier_list))
		__kvm_page_track_tell_mmu(vcpu, gpa, gva, new, bytes);
}

/*
 * Tell the trackers that @slot is gone, or is somewhere else now, see
 * track_flush_slot.
 *
 * Context: kvm->slots_lock held, @slot unreachable for vCPUs, may sleep.
 */
void kvm_page_track_flush_slot(struct kvm *kvm, const struct kvm_memory_slot *slot);

/*
 * Have others than KVM trackers of @kvm?
 *
 * Context: any.  A vCPU that does not see a new tracker here yet emulates without
 * track_access; track_write is called all the same, as who has written looks again.
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

/* What some tracker tracks has changed.  Context: kvm->slots_arch_lock held. */
static inline void kvm_page_track_changed(struct kvm *kvm)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;

	lockdep_assert_held(&kvm->slots_arch_lock);

	/* Who sees this sees the change.  Pairs with kvm_page_track_generation(). */
	atomic64_set_release(&head->generation, atomic64_read(&head->generation) + 1);
}

/* How often that was.  Context: any. */
static inline u64 kvm_page_track_generation(struct kvm *kvm)
{
	/* Pairs with the release in kvm_page_track_changed(). */
	return atomic64_read_acquire(&kvm->arch.track_notifier_head.generation);
}

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * The tracker of this @id, or NULL.  Valid as long as kvm->srcu is held.
 *
 * Context: kvm->srcu held.
 */
struct kvm_page_track_notifier_node *kvm_page_track_find_notifier(struct kvm *kvm, u64 id);

/*
 * As kvm_page_track_register_notifier(), in any process: page tracking looks at the
 * memory of the VM's own by gfn only, and never at that of current.
 *
 * Not for other modules, whose callbacks may take the caller's memory for the guest's.
 */
int __kvm_page_track_register_notifier(struct kvm *kvm,
				       struct kvm_page_track_notifier_node *n);

/*
 * These two are kvm_page_track_unregister_notifier() without waiting for vCPUs, which may
 * take as long as whoever serves a userfaultfd.
 *
 * Not for other modules: @free, and with it the callbacks, may run as long as @kvm
 * exists, and nothing keeps the text of another module until then.
 */

/*
 * Remove what @n tracks, and @n from the list.  A vCPU that has found it before may be in
 * a callback, or call one still.
 *
 * Context: process, may sleep; takes kvm->slots_arch_lock and kvm->mmu_lock.
 */
void kvm_page_track_remove_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n);

/*
 * After that: call @free, once, when no callback runs any more.
 *
 * Context: process, may sleep; the reference on @kvm goes.  @free is called from a work
 * item, may sleep, and must not touch @kvm, which waits for it when it is destroyed.
 */
void kvm_page_track_free_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
				  void (*free)(struct kvm_page_track_notifier_node *n));

/*
 * Wait until each @free of above has returned.
 *
 * Context: @kvm is being destroyed, may sleep; hold no lock that a @free takes.
 */
void kvm_page_track_cleanup(struct kvm *kvm);

/* Context: the creation of @kvm. */
void kvm_page_track_init(struct kvm *kvm);
#else
static inline void kvm_page_track_init(struct kvm *kvm) {}
static inline void kvm_page_track_cleanup(struct kvm *kvm) {}
#endif

#endif /* __KVM_X86_PAGE_TRACK_NOTIFIER_H */
