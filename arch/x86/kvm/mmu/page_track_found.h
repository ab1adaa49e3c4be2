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

#include "page_track_notifier.h"
#include "page_track_vcpu.h"

/*
 * The next tracker behind @n that has @gfn, with its @action, or NULL.  The shadow MMU is
 * none of them.  Does without vcpu->arch.page_track.
 */
struct kvm_page_track_notifier_node *
page_track_find_next(struct kvm *kvm, struct kvm_page_track_notifier_node *n, gfn_t gfn,
		     u8 *action);

/* Find those who track @gfn, for page_track_next_found(). */
void page_track_look_up(struct kvm_vcpu *vcpu, gfn_t gfn);

/*
 * Unless they are known and have not changed, be it from another access.  A tracker that is
 * freed has changed before the grace period began: who has not seen that keeps it from ending.
 */
static inline void page_track_look_up_anew(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;
	bool known = insn->first <= gfn && gfn <= insn->last &&
		     insn->generation == kvm_page_track_generation(vcpu->kvm);

	if (known && insn->gfn == gfn)
		return;

	/* Others may have it now than those who know from the fault. */
	vcpu->arch.page_track->fault.told = false;

	if (known)
		insn->gfn = gfn;
	else
		page_track_look_up(vcpu, gfn);
}

/* The next one that there was no room for, or NULL; behind the last that there was if @first. */
const struct kvm_page_track_found *page_track_find_beyond(struct kvm_vcpu *vcpu, bool first);

/*
 * Go through those who were found: the next one, or NULL.  Start with @i of 0.  Valid until
 * the next call.
 */
static inline const struct kvm_page_track_found *
page_track_next_found(struct kvm_vcpu *vcpu, unsigned int *i)
{
	struct kvm_page_track_insn *insn = &vcpu->arch.page_track->insn;
	unsigned int next = (*i)++;

	if (next < insn->nr_found)
		return &insn->found[next];

	return insn->more ? page_track_find_beyond(vcpu, next == insn->nr_found) : NULL;
}

/*
 * kvm_page_track_untrack_page() for an @n that was found to have @gfn with @action, without
 * another look at its ranges if nobody's have changed since.
 *
 * Context: a callback of @n, which it was found for; otherwise as there.
 */
int page_track_untrack_found(struct kvm_vcpu *vcpu, struct kvm_page_track_notifier_node *n,
			     gfn_t gfn, u8 action);

#endif /* __KVM_X86_PAGE_TRACK_FOUND_H */
