// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM, or the CPU on its behalf, writes to pages that L1's VMCS names while L2 runs or
 * when it exits: MSRs that are stored, the log of dirty pages, the virtual APIC page, the
 * posted-interrupt descriptor; and Hyper-V's enlightened VMCS itself.
 */
#include "by_kvm.h"
#include "hyperv.h"
#include "processor.h"
#include "vmx.h"

#define L2_STACK	64
#define L2_TPR		5
#define NR_LOGGED	512	/* dirty pages that a log has room for */
#define NOTIFY_VECTOR	0xf2
#define NR_EVENTS	4096	/* each exit of L2 makes one */
#define EPT_DIRTY	BIT_ULL(9)

/* What a page is for, and whether KVM has it. */
enum { STORED, LOG, APIC, POSTED, NR_PAGES };

static const char *const names[NR_PAGES] = {
	"MSRs stored at an exit", "log of dirty pages", "virtual APIC page",
	"posted-interrupt descriptor",
};

struct pages {
	uint64_t gpa[NR_PAGES];
	bool used[NR_PAGES];
	uint64_t written_gpa;	/* L2 writes to it */
};

static struct pages pages;
static uint64_t *written;

static void l2_code(void)
{
	WRITE_ONCE(*written, 1);
	if (pages.used[APIC])
		asm volatile("mov %0, %%cr8" : : "r"((uint64_t)L2_TPR));
	vmcall();
}

/* Set @bits in the control @field, if all of them are there, as the MSR @msr says. */
static bool allow(uint32_t field, uint32_t msr, uint32_t bits)
{
	if (((rdmsr(msr) >> 32) & bits) != bits)
		return false;

	GUEST_ASSERT(!vmwrite(field, vmreadz(field) | bits));
	return true;
}

static bool allow_secondary(uint32_t bits)
{
	return allow(SECONDARY_VM_EXEC_CONTROL, MSR_IA32_VMX_PROCBASED_CTLS2, bits);
}

static void set_vmcs(struct vmx_pages *vmx)
{
	vmwrite(VM_EXIT_MSR_STORE_ADDR, pages.gpa[STORED]);
	vmwrite(VM_EXIT_MSR_STORE_COUNT, 1);
	pages.used[STORED] = true;

	if (vmx->eptp_gpa && allow_secondary(SECONDARY_EXEC_ENABLE_PML)) {
		vmwrite(PML_ADDRESS, pages.gpa[LOG]);
		vmwrite(GUEST_PML_INDEX, NR_LOGGED - 1);
		pages.used[LOG] = true;
	}

	if (allow(CPU_BASED_VM_EXEC_CONTROL, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		  CPU_BASED_TPR_SHADOW)) {
		/* L2's CR8 is that of the page. */
		vmwrite(CPU_BASED_VM_EXEC_CONTROL, vmreadz(CPU_BASED_VM_EXEC_CONTROL) &
			~(CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING));
		vmwrite(VIRTUAL_APIC_PAGE_ADDR, pages.gpa[APIC]);
		pages.used[APIC] = true;
	}

	if (pages.used[APIC] &&
	    (rdmsr(MSR_IA32_VMX_TRUE_PINBASED_CTLS) >> 32) & PIN_BASED_POSTED_INTR &&
	    allow_secondary(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)) {
		GUEST_ASSERT(allow(PIN_BASED_VM_EXEC_CONTROL, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
				   PIN_BASED_POSTED_INTR | PIN_BASED_EXT_INTR_MASK));
		GUEST_ASSERT(allow(VM_EXIT_CONTROLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
				   VM_EXIT_ACK_INTR_ON_EXIT));
		vmwrite(POSTED_INTR_NV, NOTIFY_VECTOR);
		vmwrite(POSTED_INTR_DESC_ADDR, pages.gpa[POSTED]);
		pages.used[POSTED] = true;
	}
}

static void l1_code(struct vmx_pages *vmx)
{
	uint64_t stack[L2_STACK];

	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_code, &stack[L2_STACK]);
	set_vmcs(vmx);
	GUEST_SYNC(0);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
	GUEST_DONE();
}

static void l1_evmcs_code(struct vmx_pages *vmx, struct hyperv_test_pages *hv)
{
	uint64_t stack[L2_STACK];

	wrmsr(HV_X64_MSR_GUEST_OS_ID, HYPERV_LINUX_OS_ID);
	enable_vp_assist(hv->vp_assist_gpa, hv->vp_assist);
	evmcs_enable();
	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_evmcs(hv));
	prepare_vmcs(vmx, l2_code, &stack[L2_STACK]);
	GUEST_SYNC(0);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
	GUEST_ASSERT(!vmclear(hv->enlightened_vmcs_gpa));
	GUEST_DONE();
}

static uint64_t alloc_page(struct kvm_vm *vm, uint64_t *gva)
{
	*gva = vm_vaddr_alloc_page(vm);
	return addr_gva2gpa(vm, *gva);
}

/* Of the events of @t, those by KVM to the page at @gpa. */
static int count_events(struct tracker *t, uint64_t gpa)
{
	struct kvm_page_track_event event;
	int nr = 0;

	tracker_poll(t, 0);
	while (tracker_pop(t, &event)) {
		TEST_ASSERT_EQ(event.gpa & PAGE_MASK, gpa);
		if (!(event.flags & KVM_PAGE_TRACK_EVENT_BY_KVM))
			continue;
		by_kvm_assert_event(&event, gpa, 0);
		nr++;
	}

	return nr;
}

/* What was written is there: the MSR, the page of L2's write, the priority. */
static void check_content(struct kvm_vcpu *vcpu, int page)
{
	uint64_t *mem = addr_gpa2hva(vcpu->vm, pages.gpa[page]);
	int i;

	switch (page) {
	case STORED:
		TEST_ASSERT_EQ(mem[1], vcpu_get_msr(vcpu, MSR_IA32_APICBASE));
		break;
	case LOG:
		for (i = NR_LOGGED - 1; i && mem[i] != pages.written_gpa; i--)
			;
		TEST_ASSERT(i, "The log does not have L2's page");
		break;
	case APIC:
		TEST_ASSERT_EQ(*((uint8_t *)mem + APIC_TASKPRI), L2_TPR << 4);
		break;
	}
}

/* The EPT of libkvm has all pages dirty. */
static void clear_dirty(struct kvm_vm *vm, uint64_t *table, uint64_t gpa)
{
	int level;

	for (level = PG_LEVEL_512G; level > PG_LEVEL_4K; level--)
		table = addr_gpa2hva(vm, PTE_GET_PA(table[gpa >> PG_LEVEL_SHIFT(level) & 511]));
	table[gpa >> PG_LEVEL_SHIFT(PG_LEVEL_4K) & 511] &= ~EPT_DIRTY;
}

static void test_vmcs(void)
{
	struct tracker t[NR_PAGES];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_create_with_one_vcpu(&vcpu, l1_code);
	uint64_t vmx_gva, gva;
	struct vmx_pages *vmx = vcpu_alloc_vmx(vm, &vmx_gva);
	int i, nr;

	for (i = 0; i < NR_PAGES; i++)
		pages.gpa[i] = alloc_page(vm, &gva);
	*(uint32_t *)addr_gpa2hva(vm, pages.gpa[STORED]) = MSR_IA32_APICBASE;
	pages.written_gpa = alloc_page(vm, &gva);
	written = (void *)gva;
	if (kvm_cpu_has_ept()) {
		prepare_eptp(vmx, vm, 0);
		nested_map_memslot(vmx, vm, 0);
		clear_dirty(vm, vmx->eptp_hva, pages.written_gpa);
	}
	vcpu_args_set(vcpu, 1, vmx_gva);
	sync_global_to_guest(vm, pages);
	sync_global_to_guest(vm, written);

	by_kvm_run_to(vcpu, UCALL_SYNC);
	sync_global_from_guest(vm, pages);
	for (i = 0; i < NR_PAGES; i++) {
		tracker_create(vm, &t[i], NR_EVENTS, 0, 0);
		tracker_add(&t[i], pages.gpa[i], PAGE_SIZE, TRACKER_NOTIFY);
	}
	by_kvm_run_to(vcpu, UCALL_DONE);

	for (i = 0; i < NR_PAGES; i++) {
		nr = count_events(&t[i], pages.gpa[i]);
		pr_info("%s: %d events%s\n", names[i], nr,
			pages.used[i] ? "" : ", as KVM has it not for guests here");
		TEST_ASSERT(!nr == !pages.used[i], "%s: %d events", names[i], nr);
		if (pages.used[i])
			check_content(vcpu, i);
		tracker_close(&t[i]);
	}
	kvm_vm_free(vm);
}

static void test_evmcs(void)
{
	uint64_t vmx_gva, hv_gva, gva;
	struct hyperv_test_pages *hv;
	struct kvm_vcpu *vcpu;
	struct tracker t;
	struct kvm_vm *vm;
	int nr;

	if (!kvm_has_cap(KVM_CAP_HYPERV_ENLIGHTENED_VMCS)) {
		pr_info("KVM has no enlightened VMCS here\n");
		return;
	}

	vm = vm_create_with_one_vcpu(&vcpu, l1_evmcs_code);
	vcpu_set_hv_cpuid(vcpu);
	vcpu_enable_evmcs(vcpu);
	vcpu_alloc_vmx(vm, &vmx_gva);
	hv = vcpu_alloc_hyperv_test_pages(vm, &hv_gva);
	alloc_page(vm, &gva);
	written = (void *)gva;
	memset(&pages, 0, sizeof(pages));
	vcpu_args_set(vcpu, 2, vmx_gva, hv_gva);
	sync_global_to_guest(vm, pages);
	sync_global_to_guest(vm, written);

	by_kvm_run_to(vcpu, UCALL_SYNC);
	tracker_create(vm, &t, NR_EVENTS, 0, 0);
	tracker_add(&t, hv->enlightened_vmcs_gpa, PAGE_SIZE, TRACKER_NOTIFY);
	by_kvm_run_to(vcpu, UCALL_DONE);
	nr = count_events(&t, hv->enlightened_vmcs_gpa);
	pr_info("enlightened VMCS: %d events\n", nr);
	TEST_ASSERT(nr, "No event by KVM");
	tracker_close(&t);
	kvm_vm_free(vm);
}

int main(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_VMX));
	tracker_require();

	test_vmcs();
	test_evmcs();
	return 0;
}
