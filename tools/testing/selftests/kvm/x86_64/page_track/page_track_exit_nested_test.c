// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit while a nested guest runs: userspace is asked before L2 writes, and L2
 * goes on with the reply.
 */
#include "tracker.h"
#include "svm_util.h"
#include "ucall_common.h"
#include "vmx.h"

#define L2_STACK	64
#define NR_WRITES	3
#define VAL		0x600df00dul

static uint64_t *page;

/* Whatever happens to the bytes, L2 goes on to its next instruction. */
static void l2_code(void)
{
	int i;

	for (i = 0; i < NR_WRITES; i++)
		WRITE_ONCE(page[i], VAL + i);
	if (host_cpu_is_intel)
		vmcall();
	else
		vmmcall();
}

static void l1_vmx(struct vmx_pages *vmx, void *stack)
{
	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_code, stack);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
}

static void l1_svm(struct svm_test_data *svm, void *stack)
{
	generic_svm_setup(svm, l2_code, stack);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
}

static void l1_code(void *nested)
{
	uint64_t stack[L2_STACK];

	if (host_cpu_is_intel)
		l1_vmx(nested, &stack[L2_STACK]);
	else
		l1_svm(nested, &stack[L2_STACK]);
	GUEST_DONE();
}

static void assert_asked(struct kvm_vcpu *vcpu, uint64_t gpa, uint64_t val)
{
	struct kvm_run *run = vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS,
		    "exit reason %u (%s)", run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->page_track.flags & KVM_PAGE_TRACK_EVENT_NESTED, "flags 0x%x",
		    run->page_track.flags);
	TEST_ASSERT_EQ(run->page_track.gpa, gpa);
	TEST_ASSERT_EQ(run->page_track.len, 8);
	TEST_ASSERT_EQ(*(uint64_t *)run->page_track.data, val);
}

int main(void)
{
	static const uint8_t replies[NR_WRITES] = {
		KVM_PAGE_TRACK_REPLY_ALLOW, KVM_PAGE_TRACK_REPLY_SKIP,
		KVM_PAGE_TRACK_REPLY_REPLACE,
	};
	static const uint64_t want[NR_WRITES] = { VAL, 0, 0x77 };
	uint64_t gpa, *mem, gva;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct tracker t;
	struct ucall uc;
	int i;

	tracker_require();
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM) || kvm_cpu_has(X86_FEATURE_VMX));

	vm = vm_create_with_one_vcpu(&vcpu, l1_code);
	if (host_cpu_is_intel)
		vcpu_alloc_vmx(vm, &gva);
	else
		vcpu_alloc_svm(vm, &gva);
	vcpu_args_set(vcpu, 1, gva);

	page = (void *)vm_vaddr_alloc_page(vm);
	sync_global_to_guest(vm, page);
	gpa = addr_gva2gpa(vm, (uint64_t)page);
	mem = addr_gpa2hva(vm, gpa);
	tracker_create(vm, &t, 64, 0, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_EXIT);

	vcpu_run(vcpu);
	for (i = 0; i < NR_WRITES; i++) {
		assert_asked(vcpu, gpa + 8 * i, VAL + i);
		TEST_ASSERT_EQ(mem[i], 0);
		vcpu->run->page_track.reply = replies[i];
		*(uint64_t *)vcpu->run->page_track.data = 0x77;
		vcpu_run(vcpu);
	}

	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	for (i = 0; i < NR_WRITES; i++)
		TEST_ASSERT_EQ(mem[i], want[i]);
	TRACKER_ASSERT_EMPTY(&t);

	tracker_close(&t);
	kvm_vm_free(vm);
	return 0;
}
