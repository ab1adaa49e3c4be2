// SPDX-License-Identifier: GPL-2.0-only
/*
 * A debugger that single-steps the guest leaves while userspace does the guest's access to a
 * device, which ends the instruction: the guest, which has not set TF, gets no #DB.
 *
 * One that comes meanwhile has the guest stop behind the next instruction.  If userspace has
 * the guest, which has set TF, go on elsewhere without it, there is no #DB.
 */
#include "kvm_util.h"
#include "processor.h"

#define DEVICE_GPA	0x30000000ul
#define DEVICE_VA	0x40000000ul
#define DEVICE_PORT	0x60
#define TRAP_FLAG	0x100

static void guest_code(void)
{
	READ_ONCE(*(uint64_t *)DEVICE_VA);
	GUEST_SYNC(0);
	WRITE_ONCE(*(uint64_t *)DEVICE_VA, 1);
	GUEST_SYNC(1);
}

/* Instructions that end at the exit, and one of a byte behind them. */
static void guest_write(void)
{
	unsigned long from = (unsigned long)&from;

	asm volatile("mov %%al, (%0); nop" : : "r"(DEVICE_VA) : "memory");
	asm volatile("outsb; nop" : "+S"(from) : "d"(DEVICE_PORT) : "memory");
	GUEST_DONE();
}

/* TF traps behind the store. */
static void guest_trap(void)
{
	asm volatile("pushf; orl %1, (%%rsp); popf; mov %%al, (%0)"
		     : : "r"(DEVICE_VA), "i"(TRAP_FLAG) : "memory", "cc");
	GUEST_FAIL("TF does not trap");
}

static void guest_elsewhere(void)
{
	GUEST_DONE();
}

static void set_debugged(struct kvm_vcpu *vcpu, bool debugged)
{
	struct kvm_guest_debug debug = {
		.control = debugged ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0,
	};

	vcpu_guest_debug_set(vcpu, &debug);
}

/* An exception that nobody expects ends the guest, and so the test. */
static struct kvm_vm *create_vm(struct kvm_vcpu **vcpu, void (*code)(void))
{
	struct kvm_vm *vm = vm_create_with_one_vcpu(vcpu, code);

	virt_map(vm, DEVICE_VA, DEVICE_GPA, 1);
	return vm;
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

static void test_leave(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&vcpu, guest_code);
	struct ucall uc;
	int i;

	for (i = 0; i < 2; i++) {
		run_to_access(vcpu, i);
		vcpu_run(vcpu);
		TEST_ASSERT(get_ucall(vcpu, &uc) == UCALL_SYNC && uc.args[1] == i,
			    "Not at the end of stage %d: exit reason %u", i,
			    vcpu->run->exit_reason);
	}

	kvm_vm_free(vm);
}

static void test_come(void)
{
	static const uint32_t exits[] = { KVM_EXIT_MMIO, KVM_EXIT_IO };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&vcpu, guest_write);
	struct kvm_regs regs;
	int i;

	for (i = 0; i < ARRAY_SIZE(exits); i++) {
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, exits[i]);
		vcpu_regs_get(vcpu, &regs);
		set_debugged(vcpu, true);
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_DEBUG);
		TEST_ASSERT_EQ(vcpu->run->debug.arch.pc, regs.rip + 1);
		set_debugged(vcpu, false);
	}

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_DONE);
	kvm_vm_free(vm);
}

static void test_go_elsewhere(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&vcpu, guest_trap);
	struct kvm_regs regs;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	vcpu_regs_get(vcpu, &regs);
	TEST_ASSERT(regs.rflags & TRAP_FLAG, "TF is clear");
	regs.rflags &= ~TRAP_FLAG;
	regs.rip = (unsigned long)guest_elsewhere;
	vcpu_regs_set(vcpu, &regs);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_DONE);
	kvm_vm_free(vm);
}

int main(void)
{
	test_leave();
	test_come();
	test_go_elsewhere();
	return 0;
}
