/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking, layer 2: writes that KVM itself does for the guest, or for userspace, see
 * page_track_by_kvm.c.
 *
 * The rest of KVM calls kvm_arch_guest_page_written() for them.
 */
#ifndef __KVM_X86_PAGE_TRACK_BY_KVM_H
#define __KVM_X86_PAGE_TRACK_BY_KVM_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/* Context: the creation of @kvm; its destruction, when no vCPU is left, may sleep. */
void kvm_page_track_init_by_kvm(struct kvm *kvm);
void kvm_page_track_stop_by_kvm(struct kvm *kvm);

/*
 * Tell @n, or each tracker, of the writes that wait for that, see track_by_kvm.
 *
 * Returns whether @n has been told of all that KVM had marked before, or false if it does
 * not want to be now.
 * Context: process, may sleep; @n stays registered, or is being removed.
 */
bool kvm_page_track_tell_by_kvm(struct kvm *kvm, struct kvm_page_track_notifier_node *n);
void kvm_page_track_tell_all_by_kvm(struct kvm *kvm);
#else
static inline void kvm_page_track_init_by_kvm(struct kvm *kvm) {}
static inline void kvm_page_track_stop_by_kvm(struct kvm *kvm) {}
static inline void kvm_page_track_tell_all_by_kvm(struct kvm *kvm) {}
#endif

#endif /* __KVM_X86_PAGE_TRACK_BY_KVM_H */
