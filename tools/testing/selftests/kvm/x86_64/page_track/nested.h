/* SPDX-License-Identifier: GPL-2.0-only */
/* A nested guest that writes to a page, see nested.c. */
#ifndef PAGE_TRACK_NESTED_H
#define PAGE_TRACK_NESTED_H

#include "kvm_util.h"

/* L2 writes L2_VAL + i to the eight bytes number i of its page. */
#define L2_WRITES	3
#define L2_VAL		0x600df00dul

/*
 * A VM whose L1 is about to start L2, by the VMCB or VMCS at *@control_gpa; what L2 writes to
 * is at *@gpa.  L1 clears the VMCS in the end.  Skips without SVM and VMX.
 */
struct kvm_vm *nested_create(struct kvm_vcpu **vcpu, uint64_t *gpa, uint64_t *control_gpa);

/* L2 and L1 have come to their ends, and @want is what is in the page. */
void nested_assert_done(struct kvm_vcpu *vcpu, uint64_t gpa, const uint64_t *want);

/* Set the nested state to what it is. */
void nested_restore_state(struct kvm_vcpu *vcpu);

#endif /* PAGE_TRACK_NESTED_H */
