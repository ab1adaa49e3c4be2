// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions for one guest write to a shadowed page directory.
 *
 * Under QEMU's -icount, the TSC counts the instructions that the emulated
 * machine executes, host and guest.  The guest stores a page directory entry,
 * and takes the TSC before and after.  Between two stores it uses the entry,
 * so that KVM links the shadow page again and does not see write flooding.
 */
#include <stdio.h>

#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

#define NR_WRITES	2000
#define TARGET_GVA	0xc0000000ul
#define TABLE_GVA	0xd0000000ul

static uint64_t sum, empty;

static void guest_code(uint64_t index)
{
	volatile uint64_t *pde = (uint64_t *)TABLE_GVA + index;
	volatile uint64_t *target = (uint64_t *)TARGET_GVA;
	uint64_t val = *pde, start;
	int i;

	for (i = 0; i < NR_WRITES; i++) {
		(void)*target;

		start = rdtsc();
		*pde = val;
		sum += rdtsc() - start;

		start = rdtsc();
		empty += rdtsc() - start;
	}

	GUEST_DONE();
}

int main(void)
{
	uint64_t *pde, before, writes;
	int level = PG_LEVEL_2M;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);

	virt_map(vm, TARGET_GVA, vm_alloc_page_table(vm), 1);
	pde = __vm_get_page_table_entry(vm, TARGET_GVA, &level);
	virt_map(vm, TABLE_GVA, addr_hva2gpa(vm, pde) & PAGE_MASK, 1);
	vcpu_args_set(vcpu, 1, (TARGET_GVA >> 21) & 511);

	before = vm_get_stat(vm, "mmu_pte_write");
	vcpu_run(vcpu);
	TEST_ASSERT(get_ucall(vcpu, &uc) == UCALL_DONE, "the guest did not finish");
	writes = vm_get_stat(vm, "mmu_pte_write") - before;

	sync_global_from_guest(vm, sum);
	sync_global_from_guest(vm, empty);
	printf("write_cost: %lu instructions per write, %lu of %d writes emulated\n",
	       (sum - empty) / NR_WRITES, writes, NR_WRITES);

	kvm_vm_free(vm);
	return 0;
}
