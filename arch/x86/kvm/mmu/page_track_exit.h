/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 3: KVM_RUN returns before an access, see page_track_exit.c.
 */
#ifndef __KVM_X86_PAGE_TRACK_EXIT_H
#define __KVM_X86_PAGE_TRACK_EXIT_H

#include <linux/kvm_host.h>

/*
 * KVM_REQ_PAGE_TRACK: Is there a question for @n?  If so, vcpu->run has it, and the
 * vCPU reads the reply when it enters KVM_RUN again.
 *
 * Context: the vCPU's thread, kvm->srcu held.
 */
bool page_track_exit_to_ask(struct kvm_vcpu *vcpu,
			    const struct kvm_page_track_notifier_node *n);

#endif /* __KVM_X86_PAGE_TRACK_EXIT_H */
