// SPDX-License-Identifier: GPL-2.0-only
/*
 * An emulated write to a page table that KVM shadows changes all entries that it touches.
 *
 * The guest has read by an entry of a page directory, writes that entry together with the
 * end of the one before, by one instruction that KVM emulates, and reads again.
 */
#include "kvm_util.h"
#include "processor.h"

#define DATA_SLOT	1
#define DATA_GPA	0x10000000ul
#define DATA_VA		0x40000000ul
#define TABLE_VA	0x80000000ul

/* What both pages of data are full of. */
#define BEFORE		1
#define BEHIND		2

struct insn {
	const char *name;
	/* Write @entry to @at. */
	void (*write)(uint64_t entry, void *at);
};

/* One byte ahead of it, which is 0, and three bytes of @entry. */
static void write_mov(uint64_t entry, void *at)
{
	asm volatile(KVM_FEP "movl %0, (%1)"
		     :: "r"((uint32_t)entry << 8), "r"(at - 1) : "memory");
}

/* The limit, which is 0 as well, and as the base the whole @entry. */
static void write_sgdt(uint64_t entry, void *at)
{
	const struct desc_ptr gdt = { .address = entry };
	struct desc_ptr own;

	asm volatile("sgdt %0; lgdt %2; " KVM_FEP "sgdt (%1); lgdt %0"
		     : "=m"(own) : "r"(at - sizeof(gdt.size)), "m"(gdt) : "memory");
}

static uint8_t read_middle(void)
{
	/* Not with what the TLB has. */
	asm volatile("mov %0, %%cr3" : : "r"(get_cr3()) : "memory");
	return READ_ONCE(*(uint8_t *)(DATA_VA + PG_SIZE_2M));
}

static void guest_code(const struct insn *insn, uint64_t entry, void *at)
{
	GUEST_ASSERT_EQ(read_middle(), BEFORE);
	insn->write(entry, at);
	GUEST_SYNC(read_middle());
}

/* Have the middle one of three entries lead where the last one does. */
static void test_insn(const struct insn *insn)
{
	uint64_t entry, *middle, gpa;
	int level = PG_LEVEL_2M, i;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;
	uint8_t *mem;

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA, DATA_SLOT, 2, 0);
	mem = addr_gpa2hva(vm, DATA_GPA);
	memset(mem, BEFORE, PAGE_SIZE);
	memset(mem + PAGE_SIZE, BEHIND, PAGE_SIZE);
	for (i = 0; i < 3; i++)
		virt_map(vm, DATA_VA + i * PG_SIZE_2M, DATA_GPA + i / 2 * PAGE_SIZE, 1);

	entry = *__vm_get_page_table_entry(vm, DATA_VA + 2 * PG_SIZE_2M, &level);
	middle = __vm_get_page_table_entry(vm, DATA_VA + PG_SIZE_2M, &level);
	TEST_ASSERT((entry ^ *middle) < BIT(24), "Three bytes have to do");
	gpa = addr_hva2gpa(vm, middle);
	virt_map(vm, TABLE_VA, gpa & PAGE_MASK, 1);

	vcpu_args_set(vcpu, 3, insn, entry, TABLE_VA + gpa % PAGE_SIZE);
	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
	TEST_ASSERT_EQ(*middle & PHYSICAL_PAGE_MASK, entry & PHYSICAL_PAGE_MASK);
	ksft_test_result(uc.args[1] == BEHIND, "%s into a page directory: page %lu of 2\n",
			 insn->name, uc.args[1]);
	kvm_vm_free(vm);
}

int main(void)
{
	static const struct insn insns[] = {
		{ "mov", write_mov },
		{ "sgdt", write_sgdt },
	};
	int i;

	ksft_print_header();
	__TEST_REQUIRE(kvm_is_forced_emulation_enabled(),
		       "Write 1 to /sys/module/kvm/parameters/force_emulation_prefix");
	ksft_set_plan(ARRAY_SIZE(insns));
	for (i = 0; i < ARRAY_SIZE(insns); i++)
		test_insn(&insns[i]);

	ksft_finished();
}
