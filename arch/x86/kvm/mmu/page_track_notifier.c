// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: trackers and dispatch.
 *
 * A tracker is a struct kvm_page_track_notifier_node in the list of its VM.  The
 * list changes under kvm->slots_arch_lock and is walked under it or in a
 * kvm->srcu read section.  All of KVM_RUN but the guest itself is one, so that
 * telling the trackers of an emulated write needs no lock of its own.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/maple_tree.h>
#include <linux/rculist.h>

#include "kvm_cache_regs.h"
#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track.h"
#include "page_track_dropped.h"
#include "x86.h"

/*
 * As the tree of VMAs.  Without MT_FLAGS_ALLOC_RANGE, mt_free_walk() takes the
 * metadata of a node that is not full for a child.
 */
#define RANGES_FLAGS	(MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN)

void kvm_page_track_add_notifier(struct kvm *kvm,
				 struct kvm_page_track_notifier_node *n)
{
	struct hlist_head *list = &kvm->arch.track_notifier_head.track_notifier_list;
	struct hlist_node *last = NULL, *pos;
	enum kvm_page_track_mode mode;

	lockdep_assert_held(&kvm->slots_arch_lock);

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		mt_init_flags(&n->ranges[mode], RANGES_FLAGS);
		mt_set_external_lock(&n->ranges[mode], &kvm->slots_arch_lock);
		page_track_dropped_init(&n->dropped[mode]);
	}

	mutex_init(&n->range_lock);
	n->id = ++kvm->arch.track_notifier_head.last_id;

	hlist_for_each(pos, list)
		last = pos;

	if (last)
		hlist_add_behind_rcu(&n->node, last);
	else
		hlist_add_head_rcu(&n->node, list);
}

void __kvm_page_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
			    const u8 *new, int bytes)
{
	trace_kvm_page_track_write(vcpu->vcpu_id, gpa, bytes);

	/*
	 * Before any tracker that may sleep: another vCPU may see the new guest
	 * PTE already, and must not use the old SPTE for longer than it has to.
	 */
	kvm_mmu_pte_write(vcpu, gpa, gva, new, bytes, 0, &vcpu->kvm->arch.mmu_sp_tracker);

	if (kvm_page_track_has_external(vcpu->kvm))
		kvm_page_track_tell_write(vcpu, gpa, gva, new, bytes);
}

void kvm_page_track_flush_slot(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	struct kvm_page_track_notifier_node *n;
	int idx;

	lockdep_assert_held(&kvm->slots_lock);

	idx = srcu_read_lock(&kvm->srcu);
	hlist_for_each_entry_srcu(n, &kvm->arch.track_notifier_head.track_notifier_list,
				  node, srcu_read_lock_held(&kvm->srcu)) {
		if (n->track_flush_slot)
			n->track_flush_slot(kvm, slot->as_id, slot->base_gfn,
					    slot->npages, n);
	}
	srcu_read_unlock(&kvm->srcu, idx);
}

int kvm_page_track_forbid_external(struct kvm *kvm)
{
	guard(mutex)(&kvm->slots_arch_lock);

	if (kvm_page_track_has_external(kvm))
		return -EBUSY;

	WRITE_ONCE(kvm->arch.track_notifier_head.no_external, true);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_page_track_forbid_external);

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
struct kvm_page_track_notifier_node *kvm_page_track_find_notifier(struct kvm *kvm, u64 id)
{
	struct kvm_page_track_notifier_node *n;

	hlist_for_each_entry_srcu(n, &kvm->arch.track_notifier_head.track_notifier_list,
				  node, srcu_read_lock_held(&kvm->srcu)) {
		if (n->id == id)
			return n;
	}

	return NULL;
}

int kvm_page_track_register_notifier(struct kvm *kvm,
				     struct kvm_page_track_notifier_node *n)
{
	if (!kvm || kvm->mm != current->mm)
		return -ESRCH;

	guard(mutex)(&kvm->slots_arch_lock);

	if (!kvm_page_track_may_have_external(kvm))
		return -EOPNOTSUPP;

	if (kvm->arch.track_notifier_head.nr_external >= KVM_PAGE_TRACK_MAX_TRACKERS)
		return -EOVERFLOW;

	kvm_get_kvm(kvm);
	kvm_page_track_add_notifier(kvm, n);
	WRITE_ONCE(kvm->arch.track_notifier_head.nr_external,
		   kvm->arch.track_notifier_head.nr_external + 1);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_page_track_register_notifier);

/* No vCPU finds @n any more, but one that found it before may be in a callback. */
static void remove_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	int idx;

	/* What may be long comes first, with breaks. */
	kvm_page_track_remove_most_ranges(kvm, n);

	idx = srcu_read_lock(&kvm->srcu);
	mutex_lock(&kvm->slots_arch_lock);

	/* In this order: who faults on a gfn that is tracked still finds @n. */
	kvm_page_track_remove_all_ranges(kvm, n);

	hlist_del_init_rcu(&n->node);
	WRITE_ONCE(kvm->arch.track_notifier_head.nr_external,
		   kvm->arch.track_notifier_head.nr_external - 1);

	mutex_unlock(&kvm->slots_arch_lock);
	srcu_read_unlock(&kvm->srcu, idx);
}

static void destroy_dropped(struct kvm_page_track_notifier_node *n)
{
	enum kvm_page_track_mode mode;

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++)
		page_track_dropped_destroy(&n->dropped[mode]);
}

void kvm_page_track_unregister_notifier(struct kvm *kvm,
					struct kvm_page_track_notifier_node *n)
{
	remove_notifier(kvm, n);

	/* Wait for whoever walks the list and may have found @n. */
	synchronize_srcu(&kvm->srcu);

	destroy_dropped(n);
	kvm_put_kvm(kvm);
}
EXPORT_SYMBOL_GPL(kvm_page_track_unregister_notifier);

static void free_notifier(struct rcu_head *rcu)
{
	struct kvm_page_track_notifier_node *n;

	n = container_of(rcu, struct kvm_page_track_notifier_node, rcu);
	destroy_dropped(n);
	n->free(n);
}

void kvm_page_track_unregister_notifier_async(struct kvm *kvm,
					      struct kvm_page_track_notifier_node *n,
					      void (*free)(struct kvm_page_track_notifier_node *n))
{
	remove_notifier(kvm, n);

	n->free = free;
	call_srcu(&kvm->srcu, &n->rcu, free_notifier);

	/* If this is the last one, kvm_page_track_cleanup() waits for @n. */
	kvm_put_kvm(kvm);
}

void kvm_page_track_cleanup(struct kvm *kvm)
{
	/* No reader is left, so that this takes no longer than a grace period. */
	srcu_barrier(&kvm->srcu);
}
#endif /* CONFIG_KVM_EXTERNAL_WRITE_TRACKING */
