// SPDX-License-Identifier: GPL-2.0-only
/* The tiny guest in SMM. */
#include "smm.h"

void tg_add_smm_slots(struct tiny_guest *g)
{
	struct userspace_mem_region *region;
	int i;

	for (i = 0; i < TG_NR_SLOTS; i++) {
		region = memslot2region(g->vm, i);
		vm_set_user_memory_region(g->vm, TG_SMM_SLOT(i), 0,
					  region->region.guest_phys_addr,
					  region->region.memory_size, region->host_mem);
	}

	/* VMX without unrestricted guest has no real mode otherwise. */
	vm_ioctl(g->vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000ul);
}

void tg_set_smm(struct tiny_guest *g, bool smm)
{
	struct kvm_vcpu_events events;

	vcpu_events_get(g->vcpu, &events);
	events.smi.smm = smm;
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	vcpu_events_set(g->vcpu, &events);
}
