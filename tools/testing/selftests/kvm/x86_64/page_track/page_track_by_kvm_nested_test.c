// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM writes to a guest's VMCB or VMCS that a tracker has: at each VMRUN and exit of the
 * nested guest, or when the VMCS is cleared.
 */
#include "by_kvm.h"
#include "svm_util.h"
#include "ucall_common.h"
#include "vmx.h"

#define L2_STACK	64

static void l2_code(void)
{
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

static void run_to(struct kvm_vcpu *vcpu, uint64_t cmd)
{
	struct ucall uc;

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, cmd);
}

/* KVM has written to the page @nr times at least.  L1 may have, too, as it does. */
static void assert_written(struct tracker *t, uint64_t gpa, int nr)
{
	struct kvm_page_track_event event;
	int found = 0;

	tracker_poll(t, 0);
	while (tracker_pop(t, &event)) {
		TEST_ASSERT_EQ(event.gpa & PAGE_MASK, gpa);
		if (event.flags & KVM_PAGE_TRACK_EVENT_BY_KVM) {
			by_kvm_assert_event(&event, gpa, 0);
			found++;
		}
	}
	TEST_ASSERT(found >= nr, "%d events by KVM, wanted %d", found, nr);
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct tracker t;
	struct kvm_vm *vm;
	uint64_t gva, gpa;

	tracker_require();
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM) || kvm_cpu_has(X86_FEATURE_VMX));

	vm = vm_create_with_one_vcpu(&vcpu, l1_code);
	if (host_cpu_is_intel)
		gpa = vcpu_alloc_vmx(vm, &gva)->vmcs_gpa;
	else
		gpa = vcpu_alloc_svm(vm, &gva)->vmcb_gpa;
	vcpu_args_set(vcpu, 1, gva);
	run_to(vcpu, UCALL_SYNC);

	tracker_create(vm, &t, 64, 0, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_NOTIFY);
	run_to(vcpu, UCALL_DONE);

	/* Those of VMRUN come before L2 runs, those of its exit before L1 does. */
	assert_written(&t, gpa, host_cpu_is_intel ? 1 : 2);

	tracker_close(&t);
	kvm_vm_free(vm);
	return 0;
}
