/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: who tracks the gfn of an access, found once for all that is asked
 * of it.
 *
 * Context of all: the vCPU's thread, kvm->srcu held, vcpu->arch.page_track is not NULL.
 */
#ifndef __KVM_X86_PAGE_TRACK_FOUND_H
#define __KVM_X86_PAGE_TRACK_FOUND_H

#include <linux/kvm_host.h>

#include "page_track_access.h"
#include "page_track_notifier.h"

/*
 * The next tracker behind @n that has @gfn, with its @action, or NULL.  The shadow MMU is
 * none of them.  Does without vcpu->arch.page_track.
 */
struct kvm_page_track_notifier_node *
page_track_find_next(struct kvm *kvm, struct kvm_page_track_notifier_node *n, gfn_t gfn,
		     int *action);

/* Find those who track @gfn, for page_track_next_found(). */
void page_track_look_up(struct kvm_vcpu *vcpu, gfn_t gfn);

/* Unless they are known from the same fault or instruction, and have not changed. */
static inline void page_track_look_up_anew(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;

	if (insn->gfn == gfn && insn->generation == kvm_page_track_generation(vcpu->kvm))
		return;

	/* Others may have it now than those who know from the fault. */
	vcpu->arch.page_track->fault.told = false;
	page_track_look_up(vcpu, gfn);
}

/*
 * Go through those who were found.  Start with @i of 0, and keep @found.  Returns false
 * behind the last one.
 */
static inline bool page_track_next_found(struct kvm_vcpu *vcpu, unsigned int *i,
					 struct kvm_page_track_found *found)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;
	int action;

	if (*i < insn->nr_found) {
		*found = insn->found[(*i)++];
		return true;
	}

	if (!insn->more)
		return false;

	found->node = page_track_find_next(vcpu->kvm, found->node, insn->gfn, &action);
	found->action = action;
	return found->node;
}

#endif /* __KVM_X86_PAGE_TRACK_FOUND_H */
