// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest whose stack is tracked takes an exception.  KVM does not emulate how the
 * CPU delivers it, so the page of the frame is told and left to the CPU, or the CPU
 * does it in a step, also while KVM does not map the page.
 */
#include <string.h>
#include <sys/mman.h>

#include "tracker.h"
#include "ucall_common.h"

#define NR_EVENTS	1024

static uint64_t stack, handled;

static void handle_de(struct ex_regs *regs)
{
	handled++;
	regs->rip += 2;
}

/* The emulator knows it, and would have the same exception to deliver again. */
static void divide_by_zero(void)
{
	asm volatile("div %%ecx" : : "a"(1), "d"(0), "c"(0) : "cc", "memory");
}

/* Compiled code may use the stack at any time: those are writes of instructions. */
static void guest_code(void)
{
	uint64_t rsp;

	asm volatile("mov %%rsp, %0" : "=r"(rsp));
	stack = rsp;
	GUEST_SYNC(0);

	divide_by_zero();
	GUEST_ASSERT_EQ(handled, 1);
	divide_by_zero();
	GUEST_ASSERT_EQ(handled, 2);
	GUEST_DONE();
}

/* The guest finds what it had there when it comes back, but KVM has to map it anew. */
static void unmap_page(void *page)
{
	char copy[PAGE_SIZE];

	memcpy(copy, page, PAGE_SIZE);
	TEST_ASSERT(!madvise(page, PAGE_SIZE, MADV_DONTNEED), "MADV_DONTNEED failed");
	memcpy(page, copy, PAGE_SIZE);
}

static uint64_t run(struct kvm_vcpu *vcpu)
{
	struct ucall uc;
	uint64_t cmd;

	vcpu_run(vcpu);
	cmd = get_ucall(vcpu, &uc);
	if (cmd == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	return cmd;
}

/*
 * @absent: KVM does not map the page when the CPU needs it.  Bytes that the guest has
 * there are below its stack.
 */
static void test_action(uint32_t action, uint32_t flags, bool absent)
{
	uint32_t finished = KVM_PAGE_TRACK_EVENT_STEPPED | KVM_PAGE_TRACK_EVENT_UNFINISHED;
	struct kvm_page_track_event event;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	struct tracker t;
	int delivered = 0, stepped = 0;
	uint64_t gpa;

	vm_install_exception_handler(vm, DE_VECTOR, handle_de);
	TEST_ASSERT_EQ(run(vcpu), UCALL_SYNC);
	sync_global_from_guest(vm, stack);
	gpa = addr_gva2gpa(vm, stack - 128) & PAGE_MASK;

	tracker_create(vm, &t, NR_EVENTS, flags, 0);
	tracker_add(&t, gpa, PAGE_SIZE, action);
	if (absent)
		unmap_page(addr_gpa2hva(vm, gpa));
	TEST_ASSERT_EQ(run(vcpu), UCALL_DONE);

	while (tracker_pop(&t, &event)) {
		TEST_ASSERT_EQ(event.gpa & PAGE_MASK, gpa);
		delivered += !!(event.flags & KVM_PAGE_TRACK_EVENT_UNEMULATED);
		stepped += (event.flags & finished) == KVM_PAGE_TRACK_EVENT_STEPPED;
	}
	if (flags & KVM_PAGE_TRACKER_STEP)
		TEST_ASSERT(!delivered && stepped >= 2, "%d given up, %d stepped", delivered,
			    stepped);
	else if (action == TRACKER_NOTIFY)
		TEST_ASSERT_EQ(delivered, 1);
	else
		TEST_ASSERT_EQ(t.seq, 1);
	tracker_close(&t);
	kvm_vm_free(vm);
}

int main(void)
{
	tracker_require();
	test_action(TRACKER_NOTIFY, 0, false);
	test_action(TRACKER_ONCE, 0, false);
	test_action(TRACKER_NOTIFY, KVM_PAGE_TRACKER_STEP, false);
	test_action(TRACKER_NOTIFY, KVM_PAGE_TRACKER_STEP, true);
	return 0;
}
