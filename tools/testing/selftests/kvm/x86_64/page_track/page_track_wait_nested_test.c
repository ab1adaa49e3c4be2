// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker that has vCPUs wait, while a nested guest runs: another process is asked
 * before L2 writes, and L2 goes on with the reply; the VMM sees none of it.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asleep.h"
#include "svm_util.h"
#include "ucall_common.h"
#include "vmx.h"

#define L2_STACK	64
#define NR_WRITES	3
#define VAL		0x600df00dul
#define OTHER		0x77ul

static uint64_t *page;

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

static const uint32_t replies[NR_WRITES] = {
	KVM_PAGE_TRACK_REPLY_ALLOW, KVM_PAGE_TRACK_REPLY_SKIP, KVM_PAGE_TRACK_REPLY_REPLACE,
};

/* In another process. */
static int reply_to_all(struct tracker *t, uint64_t gpa)
{
	struct kvm_page_track_event event;
	int i, r = 0;

	for (i = 0; i < NR_WRITES && !r; i++) {
		event = asleep_get_event(t);
		TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_NESTED &&
			    event.flags & KVM_PAGE_TRACK_EVENT_ASKS, "flags 0x%x", event.flags);
		TEST_ASSERT_EQ(event.gpa, gpa + 8 * i);
		TEST_ASSERT_EQ(event.len, 8);
		TEST_ASSERT_EQ(*(uint64_t *)event.data, VAL + i);
		r = asleep_reply(t, &event, replies[i], OTHER);
	}
	return r;
}

int main(void)
{
	static const uint64_t want[NR_WRITES] = { VAL, 0, OTHER };
	struct kvm_vcpu *vcpu;
	uint64_t gpa, gva, *mem;
	struct kvm_vm *vm;
	struct tracker t;
	struct ucall uc;
	int i, status;
	pid_t pid;

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
	tracker_create(vm, &t, KVM_PAGE_TRACK_MIN_EVENTS, KVM_PAGE_TRACKER_WAIT, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_EXIT);

	pid = fork();
	TEST_ASSERT(pid >= 0, "errno %d", errno);
	if (!pid)
		_exit(reply_to_all(&t, gpa));

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	for (i = 0; i < NR_WRITES; i++)
		TEST_ASSERT_EQ(mem[i], want[i]);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "The other process: 0x%x",
		    status);

	tracker_close(&t);
	kvm_vm_free(vm);
	return 0;
}
