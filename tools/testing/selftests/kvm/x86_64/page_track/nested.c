// SPDX-License-Identifier: GPL-2.0-only
/* A nested guest that writes to a page.  Whatever becomes of the bytes, L2 goes on. */
#include "nested.h"
#include "processor.h"
#include "svm_util.h"
#include "ucall_common.h"
#include "vmx.h"

#define L2_STACK	64

static uint64_t *page;

static void l2_code(void)
{
	int i;

	for (i = 0; i < L2_WRITES; i++)
		WRITE_ONCE(page[i], L2_VAL + i);
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
	GUEST_SYNC(0);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
	GUEST_ASSERT(!vmclear(vmx->vmcs_gpa));
}

static void l1_svm(struct svm_test_data *svm, void *stack)
{
	generic_svm_setup(svm, l2_code, stack);
	GUEST_SYNC(0);
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

static void assert_ucall(struct kvm_vcpu *vcpu, uint64_t cmd)
{
	struct ucall uc;

	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, cmd);
}

struct kvm_vm *nested_create(struct kvm_vcpu **vcpu, uint64_t *gpa, uint64_t *control_gpa)
{
	struct kvm_vm *vm;
	uint64_t gva;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM) || kvm_cpu_has(X86_FEATURE_VMX));

	vm = vm_create_with_one_vcpu(vcpu, l1_code);
	if (host_cpu_is_intel)
		*control_gpa = vcpu_alloc_vmx(vm, &gva)->vmcs_gpa;
	else
		*control_gpa = vcpu_alloc_svm(vm, &gva)->vmcb_gpa;
	vcpu_args_set(*vcpu, 1, gva);

	page = (void *)vm_vaddr_alloc_page(vm);
	sync_global_to_guest(vm, page);
	*gpa = addr_gva2gpa(vm, (uint64_t)page);

	vcpu_run(*vcpu);
	assert_ucall(*vcpu, UCALL_SYNC);
	return vm;
}

void nested_assert_done(struct kvm_vcpu *vcpu, uint64_t gpa, const uint64_t *want)
{
	uint64_t *mem = addr_gpa2hva(vcpu->vm, gpa);
	int i;

	assert_ucall(vcpu, UCALL_DONE);
	for (i = 0; i < L2_WRITES; i++)
		TEST_ASSERT_EQ(mem[i], want[i]);
}

void nested_restore_state(struct kvm_vcpu *vcpu)
{
	static union {
		struct kvm_nested_state state;
		uint8_t size[16384];
	} nested;

	nested.state.size = sizeof(nested);
	vcpu_nested_state_get(vcpu, &nested.state);
	vcpu_nested_state_set(vcpu, &nested.state);
}
