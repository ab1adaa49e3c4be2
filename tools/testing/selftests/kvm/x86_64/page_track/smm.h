/* SPDX-License-Identifier: GPL-2.0-only */
/* The tiny guest in SMM. */
#ifndef SELFTEST_KVM_PAGE_TRACK_SMM_H
#define SELFTEST_KVM_PAGE_TRACK_SMM_H

#include "guest.h"

#define TG_SMM_SLOT(slot)	((1 << 16) | (slot))

/* Give SMM the same memory as the normal address space, and the vCPU a real mode on VMX. */
void tg_add_smm_slots(struct tiny_guest *g);
/* Have the vCPU be in SMM or not, with the same registers. */
void tg_set_smm(struct tiny_guest *g, bool smm);

#endif /* SELFTEST_KVM_PAGE_TRACK_SMM_H */
