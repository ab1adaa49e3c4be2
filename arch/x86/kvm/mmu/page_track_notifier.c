// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: trackers and dispatch.
 *
 * A tracker is a struct kvm_page_track_notifier_node in the list of its VM.  The
 * list changes under kvm->mmu_lock and is walked in a kvm->srcu read section.
 * All of KVM_RUN but the guest itself is one, so that telling the trackers of an
 * emulated write needs no lock of its own.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/indirect_call_wrapper.h>
#include <linux/kvm_host.h>
#include <linux/rculist.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track.h"

static void add_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	struct hlist_head *list = &kvm->arch.track_notifier_head.track_notifier_list;
	struct hlist_node *last = NULL, *pos;

	lockdep_assert_held_write(&kvm->mmu_lock);

	hlist_for_each(pos, list)
		last = pos;

	if (last)
		hlist_add_behind_rcu(&n->node, last);
	else
		hlist_add_head_rcu(&n->node, list);
}

void kvm_page_track_add_notifier(struct kvm *kvm,
				 struct kvm_page_track_notifier_node *n)
{
	write_lock(&kvm->mmu_lock);
	add_notifier(kvm, n);
	write_unlock(&kvm->mmu_lock);
}

void __kvm_page_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new,
			    int bytes)
{
	struct kvm_page_track_notifier_node *n;
	struct kvm *kvm = vcpu->kvm;

	trace_kvm_page_track_write(vcpu->vcpu_id, gpa, bytes);

	/* The shadow MMU is a tracker of almost every VM that gets here. */
	hlist_for_each_entry_srcu(n, &kvm->arch.track_notifier_head.track_notifier_list,
				  node, srcu_read_lock_held(&kvm->srcu)) {
		if (n->track_write)
			INDIRECT_CALL_1(n->track_write, kvm_mmu_pte_write,
					vcpu, gpa, new, bytes, n);
	}
}

void kvm_page_track_flush_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
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

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
int kvm_page_track_register_notifier(struct kvm *kvm,
				     struct kvm_page_track_notifier_node *n)
{
	int idx, r;

	if (!kvm || kvm->mm != current->mm)
		return -ESRCH;

	idx = srcu_read_lock(&kvm->srcu);

	/* A slot is being moved either before this, or with this in view. */
	mutex_lock(&kvm->slots_arch_lock);

	r = kvm_page_track_enable(kvm, KVM_PAGE_TRACK_WRITE);
	if (!r) {
		kvm_get_kvm(kvm);

		write_lock(&kvm->mmu_lock);
		add_notifier(kvm, n);
		kvm->arch.track_notifier_head.nr_external++;
		write_unlock(&kvm->mmu_lock);
	}

	mutex_unlock(&kvm->slots_arch_lock);
	srcu_read_unlock(&kvm->srcu, idx);

	return r;
}
EXPORT_SYMBOL_GPL(kvm_page_track_register_notifier);

void kvm_page_track_unregister_notifier(struct kvm *kvm,
					struct kvm_page_track_notifier_node *n)
{
	write_lock(&kvm->mmu_lock);
	hlist_del_rcu(&n->node);
	kvm->arch.track_notifier_head.nr_external--;
	write_unlock(&kvm->mmu_lock);

	/* Wait for whoever walks the list and may have found @n. */
	synchronize_srcu(&kvm->srcu);

	kvm_put_kvm(kvm);
}
EXPORT_SYMBOL_GPL(kvm_page_track_unregister_notifier);

int kvm_page_track_add_page(struct kvm *kvm, gfn_t gfn,
			    enum kvm_page_track_mode mode)
{
	struct kvm_mmu_memory_cache blocks = { .gfp_zero = __GFP_ZERO };
	struct kvm_memory_slot *slot;
	int idx, r;

	if (mode >= KVM_PAGE_TRACK_MAX || !kvm_page_track_mode_enabled(kvm, mode))
		return -EINVAL;

	r = __kvm_mmu_topup_memory_cache(&blocks, 1, 1);
	if (r)
		goto out_free;

	idx = srcu_read_lock(&kvm->srcu);

	slot = gfn_to_memslot(kvm, gfn);
	if (slot) {
		write_lock(&kvm->mmu_lock);
		r = kvm_slot_page_track_add_page(kvm, &blocks, slot, gfn, mode,
						 KVM_PAGE_TRACK_MAX_COUNT);
		write_unlock(&kvm->mmu_lock);
	} else {
		r = -EINVAL;
	}

	srcu_read_unlock(&kvm->srcu, idx);

out_free:
	kvm_mmu_free_memory_cache(&blocks);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_page_track_add_page);

int kvm_page_track_remove_page(struct kvm *kvm, gfn_t gfn,
			       enum kvm_page_track_mode mode)
{
	struct kvm_memory_slot *slot;
	int idx, r = -EINVAL;

	if (mode >= KVM_PAGE_TRACK_MAX || !kvm_page_track_mode_enabled(kvm, mode))
		return -EINVAL;

	idx = srcu_read_lock(&kvm->srcu);

	slot = gfn_to_memslot(kvm, gfn);
	if (slot) {
		write_lock(&kvm->mmu_lock);
		r = kvm_slot_page_track_remove_page(kvm, slot, gfn, mode);
		write_unlock(&kvm->mmu_lock);
	}

	/* Have the next access map the page anew, with a huge page if possible. */
	if (r > 0) {
		kvm_zap_gfn_range(kvm, gfn, gfn + 1);
		r = 0;
	}

	srcu_read_unlock(&kvm->srcu, idx);

	return r;
}
EXPORT_SYMBOL_GPL(kvm_page_track_remove_page);
#endif /* CONFIG_KVM_EXTERNAL_WRITE_TRACKING */
