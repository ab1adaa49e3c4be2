// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: who tracks the gfn of an access.  What that is asked for, and when
 * it may have changed, is known to page_track_access.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include "page_track_found.h"
#include "page_track_notifier.h"
#include "page_track_range.h"

struct kvm_page_track_notifier_node *
page_track_find_next(struct kvm *kvm, struct kvm_page_track_notifier_node *n, gfn_t gfn,
		     u8 *action)
{
	int r;

	while ((n = kvm_page_track_next_notifier(kvm, n))) {
		/* It has no ranges, and is called first in any case. */
		if (n == &kvm->arch.mmu_sp_tracker)
			continue;

		r = kvm_page_track_get_action(n, gfn, KVM_PAGE_TRACK_WRITE);
		if (r >= 0) {
			*action = r;
			break;
		}
	}

	return n;
}

void page_track_look_up(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;
	struct kvm_page_track_notifier_node *n = NULL;
	int action;

	insn->gfn = gfn;
	insn->first = 0;
	insn->last = ~(gfn_t)0;
	insn->generation = kvm_page_track_generation(vcpu->kvm);
	insn->nr_found = 0;
	insn->more = false;

	while ((n = kvm_page_track_next_notifier(vcpu->kvm, n))) {
		if (n == &vcpu->kvm->arch.mmu_sp_tracker)
			continue;

		action = kvm_page_track_get_action_around(n, gfn, KVM_PAGE_TRACK_WRITE,
							  &insn->first, &insn->last);
		if (action < 0)
			continue;

		/* Of those beyond, nothing is known for other gfns. */
		insn->more = insn->nr_found == ARRAY_SIZE(insn->found);
		if (insn->more) {
			insn->first = gfn;
			insn->last = gfn;
			return;
		}

		insn->found[insn->nr_found].node = n;
		insn->found[insn->nr_found++].action = action;
	}
}

const struct kvm_page_track_found *page_track_find_beyond(struct kvm_vcpu *vcpu, bool first)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;
	struct kvm_page_track_found *found = &insn->beyond;

	if (first)
		*found = insn->found[insn->nr_found - 1];

	found->node = page_track_find_next(vcpu->kvm, found->node, insn->gfn, &found->action);
	return found->node ? found : NULL;
}

int page_track_untrack_found(struct kvm_vcpu *vcpu, struct kvm_page_track_notifier_node *n,
			     gfn_t gfn, u8 action)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;

	lockdep_assert_held(&vcpu->kvm->slots_arch_lock);

	/* One beyond was found later than the generation says. */
	if (insn->gfn == gfn && !insn->more &&
	    insn->generation == kvm_page_track_generation(vcpu->kvm))
		return __kvm_page_track_untrack_page(vcpu->kvm, n, gfn, KVM_PAGE_TRACK_WRITE);

	return kvm_page_track_untrack_page(vcpu->kvm, n, gfn, KVM_PAGE_TRACK_WRITE, action);
}
