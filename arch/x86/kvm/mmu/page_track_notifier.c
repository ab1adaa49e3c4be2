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
	struct kvm_page_track_notifier_node *n;
	struct kvm *kvm = vcpu->kvm;

	trace_kvm_page_track_write(vcpu->vcpu_id, gpa, bytes);

	/* The shadow MMU is a tracker of almost every VM that gets here. */
	hlist_for_each_entry_srcu(n, &kvm->arch.track_notifier_head.track_notifier_list,
				  node, srcu_read_lock_held(&kvm->srcu)) {
		if (n->track_write)
			INDIRECT_CALL_1(n->track_write, kvm_mmu_pte_write,
					vcpu, gpa, gva, new, bytes, n);
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
/*
 * Returns the first error, the last enum kvm_page_track_verdict that a tracker
 * wants, or -ENOENT if none tracks the gfn.
 */
static int call_track_access(struct kvm_vcpu *vcpu,
			     struct kvm_page_track_access *access)
{
	struct kvm_page_track_notifier_node *n;
	struct kvm *kvm = vcpu->kvm;
	int action, r, result = -ENOENT;

	hlist_for_each_entry_srcu(n, &kvm->arch.track_notifier_head.track_notifier_list,
				  node, srcu_read_lock_held(&kvm->srcu)) {
		if (!n->track_access)
			continue;

		action = kvm_page_track_get_action(n, gpa_to_gfn(access->gpa),
						   access->mode);
		if (action < 0)
			continue;

		r = n->track_access(vcpu, access, action, n);
		trace_kvm_page_track_access(vcpu->vcpu_id, access->gpa, access->bytes,
					    access->unemulated, r);
		if (r < 0)
			return r;
		result = max(result, r);
	}

	return result;
}

/*
 * KVM cannot emulate the access: somebody has to drop the page.  If nobody has it,
 * look again when those who change ranges are through with them.
 */
static int call_unemulated(struct kvm_vcpu *vcpu,
			   struct kvm_page_track_access *access)
{
	gfn_t gfn = gpa_to_gfn(access->gpa);
	int r = call_track_access(vcpu, access);

	if (r != -ENOENT)
		return r;

	mutex_lock(&vcpu->kvm->slots_arch_lock);
	mutex_unlock(&vcpu->kvm->slots_arch_lock);

	r = call_track_access(vcpu, access);
	if (r != -ENOENT)
		return r;

	if (kvm_slot_page_track_is_active(vcpu->kvm, kvm_vcpu_gfn_to_memslot(vcpu, gfn),
					  gfn, access->mode))
		return KVM_PAGE_TRACK_GO_ON;

	return KVM_PAGE_TRACK_STOP;
}

int kvm_page_track_fault(struct kvm_vcpu *vcpu, const struct kvm_page_fault *fault)
{
	struct kvm_page_track_fault *told = &vcpu->arch.page_track_fault;
	struct kvm_page_track_access *access = &told->access;
	int r;

	/* It will not be written, see __kvm_page_track_before_write(). */
	if (fault->slot->flags & KVM_MEM_READONLY) {
		told->cr2_or_gpa = INVALID_GPA;
		return RET_PF_WRITE_PROTECTED;
	}

	told->cr2_or_gpa = fault->addr;
	told->rip = kvm_rip_read(vcpu);

	access->mode = KVM_PAGE_TRACK_WRITE;
	access->gpa = gfn_to_gpa(fault->gfn) | offset_in_page(fault->addr);
	access->gva = fault->addr;
	/* Otherwise the fault was in a second dimension. */
	access->gva_valid = vcpu->arch.mmu == &vcpu->arch.root_mmu && !tdp_enabled;
	access->page_walk = fault->error_code & PFERR_GUEST_PAGE_MASK;
	/* KVM can emulate instructions, but not the delivery. */
	access->unemulated = kvm_event_needs_reinjection(vcpu);

	r = access->unemulated ? call_unemulated(vcpu, access) :
				 call_track_access(vcpu, access);
	if (r < 0 && r != -ENOENT)
		return r;

	vcpu->arch.page_track_insn.fault_told = r == KVM_PAGE_TRACK_GO_ON;
	if (r != KVM_PAGE_TRACK_STOP)
		return RET_PF_WRITE_PROTECTED;

	if (kvm_slot_page_track_is_active(vcpu->kvm, fault->slot, fault->gfn, access->mode))
		return RET_PF_RETRY;

	/* The last tracker has dropped the page. */
	return RET_PF_CONTINUE;
}

int __kvm_page_track_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
				  const void **val, int bytes)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track_insn;
	struct kvm_page_track_access access = {
		.mode = KVM_PAGE_TRACK_WRITE,
		.gpa = gpa,
		.gva = gva,
		.gva_valid = true,
		.too_late = insn->too_late,
		.data = *val,
		.bytes = bytes,
	};
	int r;

	/* A device, nothing or read-only memory is not written. */
	if (kvm_is_error_hva(kvm_vcpu_gfn_to_hva(vcpu, gpa_to_gfn(gpa))))
		return 0;

	r = call_track_access(vcpu, &access);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || r == KVM_PAGE_TRACK_STOP)
		return insn->too_late ? 0 : -EAGAIN;

	*val = access.data;
	return r == KVM_PAGE_TRACK_SKIP;
}

bool kvm_page_track_emulation_failed(struct kvm_vcpu *vcpu, gpa_t cr2_or_gpa)
{
	struct kvm_page_track_fault *fault = &vcpu->arch.page_track_fault;
	int r;

	/* Another fault than one on a gfn that is write-protected? */
	if (fault->cr2_or_gpa != cr2_or_gpa || fault->rip != kvm_rip_read(vcpu))
		return false;

	fault->access.unemulated = true;
	r = call_unemulated(vcpu, &fault->access);
	return r < 0 || r == KVM_PAGE_TRACK_STOP;
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

void kvm_page_track_unregister_notifier(struct kvm *kvm,
					struct kvm_page_track_notifier_node *n)
{
	enum kvm_page_track_mode mode;
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

	/* Wait for whoever walks the list and may have found @n. */
	synchronize_srcu(&kvm->srcu);

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++)
		page_track_dropped_destroy(&n->dropped[mode]);

	kvm_put_kvm(kvm);
}
EXPORT_SYMBOL_GPL(kvm_page_track_unregister_notifier);
#endif /* CONFIG_KVM_EXTERNAL_WRITE_TRACKING */
