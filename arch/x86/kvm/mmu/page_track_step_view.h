/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tracking, layer 2: how long the view of steps stays, see page_track_step_view.c. */
#ifndef __KVM_X86_PAGE_TRACK_STEP_VIEW_H
#define __KVM_X86_PAGE_TRACK_STEP_VIEW_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * A tracker is gone, or a step.  If no tracker of others than KVM is left, nobody steps any
 * more: have a work item free the view.
 *
 * Context: any, with a reference on @kvm.
 */
void kvm_page_track_drop_view(struct kvm *kvm);

/* Context: the creation of @kvm. */
void kvm_page_track_init_steps(struct kvm *kvm);
/* Context: the destruction of @kvm, before that of its MMU; kvm->slots_lock not held. */
void kvm_page_track_stop_steps(struct kvm *kvm);
#else
static inline void kvm_page_track_init_steps(struct kvm *kvm) {}
static inline void kvm_page_track_stop_steps(struct kvm *kvm) {}
#endif

#endif /* __KVM_X86_PAGE_TRACK_STEP_VIEW_H */
