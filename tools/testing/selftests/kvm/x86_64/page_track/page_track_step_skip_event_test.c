// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace skips what the CPU writes when it delivers an exception: the guest is in the
 * handler, and nothing of the frame is in memory.
 */
#include <string.h>

#include "tracker.h"
#include "ucall_common.h"

#define FRAME_SIZE	(5 * sizeof(uint64_t))

static uint64_t stack;

static void guest_code(void)
{
	uint64_t rsp;

	asm volatile("mov %%rsp, %0" : "=r"(rsp));
	stack = rsp;
	GUEST_SYNC(0);

	asm volatile("div %%ecx" : : "a"(1), "d"(0), "c"(0) : "cc", "memory");
	GUEST_DONE();
}

static void handle_de(struct ex_regs *regs)
{
}

/* Go on until the vCPU asks, for what KVM cannot emulate or for anything else. */
static void run_to_question(struct kvm_vcpu *vcpu, bool unemulated)
{
	struct kvm_run *run = vcpu->run;
	int i;

	for (i = 0; i < 1000; i++) {
		vcpu_run(vcpu);
		TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
		if (unemulated == !!(run->page_track.flags & KVM_PAGE_TRACK_EVENT_UNEMULATED))
			return;
		run->page_track.reply = KVM_PAGE_TRACK_REPLY_ALLOW;
	}
	TEST_FAIL("The vCPU asks for ever");
}

int main(void)
{
	uint8_t before[PAGE_SIZE], *page;
	struct kvm_regs at_fault, regs;
	struct kvm_vcpu *vcpu;
	struct tracker t;
	struct kvm_vm *vm;
	uint64_t gpa;

	tracker_require();
	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	vm_install_exception_handler(vm, DE_VECTOR, handle_de);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_SYNC);
	sync_global_from_guest(vm, stack);
	gpa = addr_gva2gpa(vm, stack - 128) & PAGE_MASK;
	page = addr_gpa2hva(vm, gpa);

	tracker_create(vm, &t, 32, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_EXIT);
	run_to_question(vcpu, true);
	TEST_ASSERT(vcpu->run->page_track.flags & KVM_PAGE_TRACK_EVENT_STEPPED,
		    "flags are 0x%x", vcpu->run->page_track.flags);
	vcpu_regs_get(vcpu, &at_fault);
	memcpy(before, page, PAGE_SIZE);
	vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_SKIP;

	/* The handler's first push is asked for, and is not done yet. */
	run_to_question(vcpu, false);
	vcpu_regs_get(vcpu, &regs);
	TEST_ASSERT(regs.rip != at_fault.rip, "rip is 0x%llx still", regs.rip);
	TEST_ASSERT_EQ(regs.rsp, (at_fault.rsp & ~15ull) - FRAME_SIZE);
	TEST_ASSERT(!memcmp(page, before, PAGE_SIZE), "The frame was written");
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
	kvm_vm_free(vm);
	return 0;
}
