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

#include <linux/indirect_call_wrapper.h>
#include <linux/kvm_host.h>
#include <linux/maple_tree.h>
#include <linux/rculist.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track.h"

void kvm_page_track_add_notifier(struct kvm *kvm,
				 struct kvm_page_track_notifier_node *n)
{
	struct hlist_head *list = &kvm->arch.track_notifier_head.track_notifier_list;
	struct hlist_node *last = NULL, *pos;
	enum kvm_page_track_mode mode;

	lockdep_assert_held(&kvm->slots_arch_lock);

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		mt_init_flags(&n->ranges[mode], MT_FLAGS_LOCK_EXTERN);
		mt_set_external_lock(&n->ranges[mode], &kvm->slots_arch_lock);
	}

	hlist_for_each(pos, list)
		last = pos;

	if (last)
		hlist_add_behind_rcu(&n->node, last);
	else
		hlist_add_head_rcu(&n->node, list);
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

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
int kvm_page_track_register_notifier(struct kvm *kvm,
				     struct kvm_page_track_notifier_node *n)
{
	if (!kvm || kvm->mm != current->mm)
		return -ESRCH;

	guard(mutex)(&kvm->slots_arch_lock);

	if (kvm->arch.track_notifier_head.nr_external >= KVM_PAGE_TRACK_MAX_TRACKERS)
		return -EOVERFLOW;

	kvm_get_kvm(kvm);
	kvm_page_track_add_notifier(kvm, n);
	kvm->arch.track_notifier_head.nr_external++;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_page_track_register_notifier);

void kvm_page_track_unregister_notifier(struct kvm *kvm,
					struct kvm_page_track_notifier_node *n)
{
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	mutex_lock(&kvm->slots_arch_lock);

	hlist_del_init_rcu(&n->node);
	kvm->arch.track_notifier_head.nr_external--;

	kvm_page_track_remove_all_ranges(kvm, n);

	mutex_unlock(&kvm->slots_arch_lock);
	srcu_read_unlock(&kvm->srcu, idx);

	/* Wait for whoever walks the list and may have found @n. */
	synchronize_srcu(&kvm->srcu);

	kvm_put_kvm(kvm);
}
EXPORT_SYMBOL_GPL(kvm_page_track_unregister_notifier);
#endif /* CONFIG_KVM_EXTERNAL_WRITE_TRACKING */
