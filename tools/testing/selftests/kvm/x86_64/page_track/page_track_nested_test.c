// SPDX-License-Identifier: GPL-2.0-only
/*
 * A nested guest under two-dimensional paging: its NPT or EPT is shadowed, hence
 * what L1 writes to an upper level is emulated and takes effect at once, and a
 * leaf goes unsync until L1 flushes.
 */
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "vmx.h"

/* L1's tables for L2.  L1 sees them at va = gpa. */
#define TABLE_SLOT	1
#define TABLE_GPA	0xc0000000ul
#define TABLE_PAGES	64

/* A data page holds its own gpa in its first 8 bytes. */
#define DATA_SLOT	2
#define DATA_GPA	0xc8000000ul
#define DATA_PAGES	16

/* What L2 loads from, and the L2 gpa of it, under a root entry of its own. */
#define TEST_VA		0xd0000000ul
#define TEST_GPA	BIT(39)

#define NR_LEVELS	4
#define L2_STACK	64

enum step { EDIT, RUN };

/* What the host has L1 do next, and what came out. */
struct command {
	enum step step;
	uint64_t *entry;
	uint64_t value;
	bool flush;
	uint64_t loaded;
	bool faulted;
};

static struct command cmd;
static uint64_t l2_rsp;

static void l2_code(void)
{
	for (;;) {
		WRITE_ONCE(cmd.loaded, READ_ONCE(*(uint64_t *)TEST_VA));
		if (host_cpu_is_intel)
			vmcall();
		else
			vmmcall();
	}
}

static void flush_ept(void)
{
	struct { uint64_t eptp, zero; } all = {};

	asm volatile("invept %0, %1" : : "m"(all), "r"(2ul) : "cc", "memory");
}

static void run_l2_vmx(bool *launched)
{
	if (cmd.flush)
		flush_ept();

	GUEST_ASSERT(!(*launched ? vmresume() : vmlaunch()));
	*launched = true;

	cmd.faulted = vmreadz(VM_EXIT_REASON) == EXIT_REASON_EPT_VIOLATION;
	if (cmd.faulted) {
		/* Start over: nobody kept the registers of L2. */
		vmwrite(GUEST_RIP, (uint64_t)l2_code);
		vmwrite(GUEST_RSP, l2_rsp);
		return;
	}

	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
	vmwrite(GUEST_RIP, vmreadz(GUEST_RIP) + vmreadz(VM_EXIT_INSTRUCTION_LEN));
}

static void run_l2_svm(struct svm_test_data *svm)
{
	struct vmcb *vmcb = svm->vmcb;

	vmcb->control.tlb_ctl = cmd.flush ? TLB_CONTROL_FLUSH_ALL_ASID : 0;
	run_guest(vmcb, svm->vmcb_gpa);

	cmd.faulted = vmcb->control.exit_code == SVM_EXIT_NPF;
	if (cmd.faulted)
		return;

	GUEST_ASSERT_EQ(vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	vmcb->save.rip += 3;
}

static void setup_l2(void *nested, void *stack)
{
	struct svm_test_data *svm = nested;

	l2_rsp = (uint64_t)stack;

	if (host_cpu_is_intel) {
		GUEST_ASSERT(prepare_for_vmx_operation(nested));
		GUEST_ASSERT(load_vmcs(nested));
		prepare_vmcs(nested, l2_code, stack);
	} else {
		generic_svm_setup(svm, l2_code, stack);
		svm->vmcb->control.nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
		svm->vmcb->control.nested_cr3 = TABLE_GPA;
	}
}

static void l1_code(void *nested)
{
	uint64_t stack[L2_STACK];
	bool launched = false;

	setup_l2(nested, &stack[L2_STACK]);

	for (;;) {
		GUEST_SYNC(0);

		if (cmd.step == EDIT)
			WRITE_ONCE(*cmd.entry, cmd.value);
		else if (host_cpu_is_intel)
			run_l2_vmx(&launched);
		else
			run_l2_svm(nested);
	}
}

struct nested {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	uint64_t next;		/* free table */
};

static void do_command(struct nested *n)
{
	struct ucall uc;

	sync_global_to_guest(n->vm, cmd);
	vcpu_run(n->vcpu);
	if (get_ucall(n->vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
	sync_global_from_guest(n->vm, cmd);
}

/* An entry for a table of @level. */
static uint64_t make_entry(int level, uint64_t gpa)
{
	/* EPT: rwx, accessed, dirty, write-back.  NPT: all, accessed, dirty. */
	if (host_cpu_is_intel)
		return gpa | (level == 1 ? 0x337 : 0x107);

	return gpa | 0x67;
}

static uint64_t alloc_table(struct nested *n)
{
	TEST_ASSERT(n->next < TABLE_GPA + TABLE_PAGES * PAGE_SIZE, "Out of tables");
	n->next += PAGE_SIZE;
	return n->next - PAGE_SIZE;
}

static uint64_t *entry_in(struct nested *n, uint64_t table, uint64_t gpa, int level)
{
	uint64_t *entries = addr_gpa2hva(n->vm, table);

	return &entries[gpa >> PG_LEVEL_SHIFT(level) & 511];
}

/* The entry for @gpa at @level, with new tables down to there. */
static uint64_t *walk(struct nested *n, uint64_t gpa, int level)
{
	uint64_t table = TABLE_GPA, *entry;
	int l;

	for (l = NR_LEVELS; l > level; l--) {
		entry = entry_in(n, table, gpa, l);
		if (!*entry)
			*entry = make_entry(l, alloc_table(n));
		table = PTE_GET_PA(*entry);
	}

	return entry_in(n, table, gpa, level);
}

static void map(struct nested *n, uint64_t gpa, uint64_t to)
{
	*walk(n, gpa, 1) = make_entry(1, to);
}

/* The entry for a table of @level that leads TEST_GPA to @data. */
static uint64_t new_path(struct nested *n, int level, uint64_t data)
{
	uint64_t table, gpa = data;
	int l;

	for (l = 1; l < level; l++) {
		table = alloc_table(n);
		*entry_in(n, table, TEST_GPA, l) = make_entry(l, gpa);
		gpa = table;
	}

	return make_entry(level, gpa);
}

static void setup(struct nested *n)
{
	struct vmx_pages *vmx;
	uint64_t gpa, size;
	vm_vaddr_t gva;
	int i;

	n->vm = vm_create_with_one_vcpu(&n->vcpu, l1_code);
	n->next = TABLE_GPA + PAGE_SIZE;
	vm_userspace_mem_region_add(n->vm, VM_MEM_SRC_ANONYMOUS, TABLE_GPA,
				    TABLE_SLOT, TABLE_PAGES, 0);
	vm_userspace_mem_region_add(n->vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA, DATA_SLOT,
				    DATA_PAGES, 0);
	virt_map(n->vm, TABLE_GPA, TABLE_GPA, TABLE_PAGES);
	virt_map(n->vm, TEST_VA, TEST_GPA, 1);

	for (i = 0; i < DATA_PAGES; i++) {
		gpa = DATA_GPA + i * PAGE_SIZE;
		*(uint64_t *)addr_gpa2hva(n->vm, gpa) = gpa;
	}

	if (host_cpu_is_intel) {
		vmx = vcpu_alloc_vmx(n->vm, &gva);
		vmx->eptp_gpa = TABLE_GPA;
	} else {
		vcpu_alloc_svm(n->vm, &gva);
	}
	vcpu_args_set(n->vcpu, 1, gva);

	/* L2 runs on what L1 has: code, stack, page tables. */
	size = memslot2region(n->vm, 0)->region.memory_size;
	for (gpa = 0; gpa < size; gpa += PAGE_SIZE)
		map(n, gpa, gpa);
	map(n, TEST_GPA, DATA_GPA);

	do_command(n);
}

static uint64_t data(int i)
{
	return DATA_GPA + i * PAGE_SIZE;
}

/* By L1. */
static void edit(struct nested *n, int level, uint64_t value)
{
	void *hva = walk(n, TEST_GPA, level);

	cmd.step = EDIT;
	cmd.value = value;
	cmd.entry = (void *)addr_hva2gpa(n->vm, hva);
	do_command(n);
}

static void run_l2(struct nested *n, bool flush)
{
	cmd.step = RUN;
	cmd.flush = flush;
	cmd.loaded = 0;
	do_command(n);
}

static void assert_loaded(struct nested *n, int i)
{
	run_l2(n, false);
	TEST_ASSERT(!cmd.faulted, "L2 faulted, wanted 0x%lx", data(i));
	TEST_ASSERT(cmd.loaded == data(i), "L2 loaded 0x%lx, wanted 0x%lx", cmd.loaded,
		    data(i));
}

static void assert_stat(struct nested *n, const char *name, uint64_t want)
{
	uint64_t got = vm_get_stat(n->vm, name);

	TEST_ASSERT(got == want, "%s: wanted %lu, got %lu", name, want, got);
}

/* The base has no such statistic. */
static void assert_tracked(struct nested *n, uint64_t want)
{
	uint64_t got = ~0ul;

	__vm_get_stat(n->vm, "page_track_pages", &got, 1);
	TEST_ASSERT(got == want || got == ~0ul, "%lu pages tracked, wanted %lu", got,
		    want);
}

static void test_upper(struct nested *n)
{
	int level, i = 0, writes = 0;

	/* Two upper tables for L2's memory, two for TEST_GPA, and the root. */
	assert_tracked(n, 0);
	assert_loaded(n, 0);
	assert_tracked(n, 5);

	for (level = 2; level <= NR_LEVELS; level++) {
		edit(n, level, new_path(n, level, data(++i)));
		assert_stat(n, "mmu_pte_write", ++writes);
		assert_stat(n, "mmu_unsync", 0);
		assert_loaded(n, i);
	}
}

static void test_leaf(struct nested *n)
{
	int i;

	assert_loaded(n, 0);
	for (i = 1; i < 4; i++) {
		edit(n, 1, make_entry(1, data(i)));
		assert_stat(n, "mmu_unsync", 1);
		assert_stat(n, "mmu_pte_write", 0);
		run_l2(n, true);
		TEST_ASSERT_EQ(cmd.loaded, data(i));
		assert_stat(n, "mmu_unsync", 0);
	}
}

/* L1 takes an entry away, has the fault of L2, and puts another one there. */
static void test_fault(struct nested *n)
{
	int level, i = 0;

	assert_loaded(n, 0);
	for (level = 2; level <= NR_LEVELS; level++) {
		edit(n, level, 0);
		run_l2(n, false);
		TEST_ASSERT(cmd.faulted, "L2 had no fault at level %d", level);

		edit(n, level, new_path(n, level, data(++i)));
		assert_loaded(n, i);
	}
}

/* L1's tables lose their slot while tracked, and get it back. */
static void test_slot(struct nested *n)
{
	struct userspace_mem_region *region = memslot2region(n->vm, TABLE_SLOT);

	assert_loaded(n, 0);
	vm_set_user_memory_region(n->vm, TABLE_SLOT, 0, TABLE_GPA, 0, NULL);
	assert_tracked(n, 0);
	vm_set_user_memory_region(n->vm, TABLE_SLOT, 0, TABLE_GPA,
				  region->region.memory_size, region->host_mem);
	edit(n, 2, new_path(n, 2, data(1)));
	assert_loaded(n, 1);
	edit(n, 3, new_path(n, 3, data(2)));
	assert_loaded(n, 2);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*fn)(struct nested *n);
	} cases[] = {
		{ "upper levels", test_upper },
		{ "leaf", test_leaf },
		{ "faults of L2", test_fault },
		{ "slot", test_slot },
	};
	struct kvm_vm *idle;
	int i;

	__TEST_REQUIRE(kvm_is_tdp_enabled(), "KVM offers no two-dimensional paging to L1");
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM) || kvm_cpu_has(X86_FEATURE_VMX));

	idle = vm_create_barebones();
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(cases));

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nested n;

		setup(&n);
		cases[i].fn(&n);
		kvm_vm_free(n.vm);
		ksft_test_result_pass("%s\n", cases[i].name);
	}

	kvm_vm_free(idle);
	ksft_finished();
}
