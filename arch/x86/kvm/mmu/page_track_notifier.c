// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: the list of trackers.
 *
 * A tracker is a struct kvm_page_track_notifier_node in the list of its VM.  The
 * list changes under kvm->slots_arch_lock and is walked under it or in a
 * kvm->srcu read section.  All of KVM_RUN is one but for the guest itself and a vCPU that
 * sleeps, so that telling the trackers of an emulated write needs no lock of its own.
 *
 * The shadow MMU is the one tracker that is known here, and called directly.  What
 * others track is known to page_track_range.c, and when they are called to
 * page_track_access.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/maple_tree.h>
#include <linux/rculist.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track_notifier.h"
#include "page_track_untracked.h"

/*
 * As the tree of VMAs.  Without MT_FLAGS_ALLOC_RANGE, mt_free_walk() takes the
 * metadata of a node that is not full for a child.
 */
#define RANGES_FLAGS	(MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN)

void kvm_page_track_add_notifier(struct kvm *kvm,
				 struct kvm_page_track_notifier_node *n)
{
	struct hlist_head *list = &kvm->arch.track_notifier_head.track_notifier_list;
	struct kvm_page_track_notifier_node *last = NULL, *pos;
	enum kvm_page_track_mode mode;

	lockdep_assert_held(&kvm->slots_arch_lock);

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		mt_init_flags(&n->ranges[mode], RANGES_FLAGS);
		mt_set_external_lock(&n->ranges[mode], &kvm->slots_arch_lock);
		page_track_untracked_init(&n->untracked[mode]);
		page_track_untracked_init(&n->told[mode]);
	}

	mutex_init(&n->range_lock);
	n->id = ++kvm->arch.track_notifier_head.last_id;

	kvm_page_track_for_each_notifier(kvm, pos)
		last = pos;

	if (last)
		hlist_add_behind_rcu(&n->node, &last->node);
	else
		hlist_add_head_rcu(&n->node, list);
}

void __kvm_page_track_tell_mmu(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
			       const u8 *new, int bytes)
{
	trace_kvm_page_track_write(vcpu->vcpu_id, gpa, bytes);

	if (!READ_ONCE(vcpu->kvm->arch.indirect_shadow_pages))
		return;

	/*
	 * Before any tracker that may sleep: another vCPU may see the new guest
	 * PTE already, and must not use the old SPTE for longer than it has to.
	 */
	kvm_mmu_pte_write(vcpu, gpa, gva, new, bytes, 0, &vcpu->kvm->arch.mmu_sp_tracker);
}

void kvm_page_track_flush_slot(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	struct kvm_page_track_notifier_node *n;
	int idx;

	lockdep_assert_held(&kvm->slots_lock);

	idx = srcu_read_lock(&kvm->srcu);
	kvm_page_track_for_each_notifier(kvm, n) {
		if (n->track_flush_slot)
			n->track_flush_slot(kvm, slot->as_id, slot->base_gfn,
					    slot->npages, n);
	}
	srcu_read_unlock(&kvm->srcu, idx);
}
