// SPDX-License-Identifier: GPL-2.0-only
/*
 * A debugger that single-steps the guest leaves while userspace does the guest's access to a
 * device, which ends the instruction: the guest, which has not set TF, gets no #DB.
 */
#include "kvm_util.h"
#include "processor.h"

#define DEVICE_GPA	0x30000000ul
#define DEVICE_VA	0x40000000ul

static void guest_code(void)
{
	READ_ONCE(*(uint64_t *)DEVICE_VA);
	GUEST_SYNC(0);
	WRITE_ONCE(*(uint64_t *)DEVICE_VA, 1);
	GUEST_SYNC(1);
}

static void set_debugged(struct kvm_vcpu *vcpu, bool debugged)
{
	struct kvm_guest_debug debug = {
		.control = debugged ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0,
	};

	vcpu_guest_debug_set(vcpu, &debug);
}

static void run_to_access(struct kvm_vcpu *vcpu, bool is_write)
{
	set_debugged(vcpu, true);
	do {
		vcpu_run(vcpu);
	} while (vcpu->run->exit_reason == KVM_EXIT_DEBUG);

	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(vcpu->run->mmio.is_write, is_write);
	set_debugged(vcpu, false);
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;
	int i;

	/* An exception that nobody expects ends the guest, and so the test. */
	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	virt_map(vm, DEVICE_VA, DEVICE_GPA, 1);

	for (i = 0; i < 2; i++) {
		run_to_access(vcpu, i);
		vcpu_run(vcpu);
		TEST_ASSERT(get_ucall(vcpu, &uc) == UCALL_SYNC && uc.args[1] == i,
			    "Not at the end of stage %d: exit reason %u", i,
			    vcpu->run->exit_reason);
	}

	kvm_vm_free(vm);
	return 0;
}
