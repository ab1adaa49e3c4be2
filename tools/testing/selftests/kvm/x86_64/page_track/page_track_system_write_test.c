// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that the emulator makes past its checks for MMIO, e.g. those of SIDT,
 * reach the trackers.
 *
 * The guest lets SIDT write a page directory entry that moves a page.  If the
 * shadow MMU is not told, the guest goes on reading the old page: no TLB flush
 * makes KVM look at an upper-level entry again.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

#define FEP_PARAM	"/sys/module/kvm/parameters/force_emulation_prefix"

#define GVA_OLD		0xc0000000ul
#define GVA_NEW		0xc0200000ul
#define GVA_TABLE	0xd0000000ul

#define VAL_OLD		0x01d01d01d01d01d0ul
#define VAL_NEW		0x1e51e51e51e51e51ul

static char fep_before[8];

static void restore_fep(void)
{
	int fd = open(FEP_PARAM, O_WRONLY);

	if (fd >= 0) {
		TEST_ASSERT(write(fd, fep_before, strlen(fep_before)) > 0,
			    "cannot restore " FEP_PARAM);
		close(fd);
	}
}

/* Have KVM emulate each instruction that has the prefix. */
static void force_emulation(void)
{
	int fd = open(FEP_PARAM, O_RDWR);

	__TEST_REQUIRE(fd >= 0, "cannot write " FEP_PARAM);
	TEST_ASSERT(read(fd, fep_before, sizeof(fep_before) - 1) > 0,
		    "cannot read " FEP_PARAM);
	TEST_ASSERT(pwrite(fd, "1", 1, 0) == 1, "cannot write " FEP_PARAM);
	close(fd);
	atexit(restore_fep);
}

/*
 * SIDT stores 2 bytes of limit, then 8 bytes of base: the first 8 bytes are the
 * entry, the others are zero as the base has its upper bits clear.
 */
static void sidt_entry(uint64_t *entry, uint64_t val)
{
	struct desc_ptr idtr = { .size = (uint16_t)val, .address = val >> 16 };
	struct desc_ptr saved;

	asm volatile("sidt %0" : "=m"(saved));
	asm volatile("lidt %0" : : "m"(idtr));
	asm volatile(KVM_FEP "sidt (%0)" : : "r"(entry) : "memory");
	asm volatile("lidt %0" : : "m"(saved));
}

static void guest_code(void)
{
	uint64_t *pde = (uint64_t *)GVA_TABLE + ((GVA_OLD >> 21) & 511);
	uint64_t *pde_new = pde + 1;
	uint64_t *page = (uint64_t *)GVA_OLD;

	*(uint64_t *)GVA_NEW = VAL_NEW;
	WRITE_ONCE(*page, VAL_OLD);
	GUEST_ASSERT_EQ(READ_ONCE(*page), VAL_OLD);
	GUEST_SYNC(0);

	/* The next entry becomes not present, it has served. */
	sidt_entry(pde, READ_ONCE(*pde_new));
	GUEST_SYNC(1);

	asm volatile("invlpg (%0)" : : "r"(page) : "memory");
	GUEST_ASSERT_EQ(READ_ONCE(*page), VAL_NEW);
	GUEST_DONE();
}

/* The gpa of the page directory that maps @gva. */
static uint64_t page_directory(struct kvm_vm *vm, uint64_t gva)
{
	int level = PG_LEVEL_2M;

	return addr_hva2gpa(vm, __vm_get_page_table_entry(vm, gva, &level)) & PAGE_MASK;
}

static uint64_t run_to_stage(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	case UCALL_SYNC:
	case UCALL_DONE:
		return uc.cmd;
	}

	TEST_FAIL("the guest stopped, exit reason %u", vcpu->run->exit_reason);
	return 0;
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	uint64_t writes;

	force_emulation();

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	virt_map(vm, GVA_OLD, vm_alloc_page_table(vm), 1);
	virt_map(vm, GVA_NEW, vm_alloc_page_table(vm), 1);
	virt_map(vm, GVA_TABLE, page_directory(vm, GVA_OLD), 1);

	run_to_stage(vcpu);
	writes = vm_get_stat(vm, "mmu_pte_write");
	run_to_stage(vcpu);
	writes = vm_get_stat(vm, "mmu_pte_write") - writes;
	TEST_ASSERT(writes == !kvm_is_tdp_enabled(),
		    "wanted %d write to page tables, got %lu",
		    !kvm_is_tdp_enabled(), writes);
	TEST_ASSERT(run_to_stage(vcpu) == UCALL_DONE, "the guest did not finish");

	kvm_vm_free(vm);
	return 0;
}
