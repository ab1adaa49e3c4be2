// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit in real mode: a far CALL has another code segment already while it
 * pushes where it came from.
 */
#include <string.h>

#include "tracker.h"

#define CODE_GPA	0x1000
#define TARGET_GPA	0x2010	/* 0x200:0x10 */
#define STACK_GPA	0x3000
#define STACK_TOP	0x100
#define NR_PAGES	4

static void set_segment(struct kvm_segment *segment, uint64_t base)
{
	segment->base = base;
	segment->selector = base >> 4;
}

static void start(struct tiny_guest *g)
{
	static const uint8_t call[] = { 0x9a, 0x10, 0x00, 0x00, 0x02 };
	static const uint8_t out[] = { 0xe6, 0x70 };
	struct kvm_regs regs = { .rsp = STACK_TOP, .rflags = 0x2 };
	struct kvm_sregs sregs;

	g->vm = vm_create_barebones();
	g->vcpu = __vm_vcpu_add(g->vm, 0);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, 0, 0, NR_PAGES, 0);
	memcpy(addr_gpa2hva(g->vm, CODE_GPA), call, sizeof(call));
	memcpy(addr_gpa2hva(g->vm, TARGET_GPA), out, sizeof(out));

	vcpu_sregs_get(g->vcpu, &sregs);
	set_segment(&sregs.cs, CODE_GPA);
	set_segment(&sregs.ss, STACK_GPA);
	vcpu_sregs_set(g->vcpu, &sregs);
	vcpu_regs_set(g->vcpu, &regs);
}

int main(void)
{
	const uint16_t cs = CODE_GPA >> 4, ip = 5;
	struct kvm_page_track_event want;
	struct tiny_guest g = {};
	struct tracker t;
	uint16_t *top;

	tracker_require();
	start(&g);
	top = addr_gpa2hva(g.vm, STACK_GPA + STACK_TOP);
	tracker_create(g.vm, &t, 64, 0, 0);
	tracker_add(&t, STACK_GPA, PAGE_SIZE, TRACKER_EXIT);

	vcpu_run(g.vcpu);
	TRACKER_ASSERT_ASKED(&g, STACK_GPA + STACK_TOP - 2, STACK_GPA + STACK_TOP - 2, &cs, 2);
	TEST_ASSERT_EQ(top[-1], 0);
	tracker_reply(&g, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);

	TEST_ASSERT(g.vcpu->run->exit_reason == KVM_EXIT_IO && g.vcpu->run->io.port == 0x70,
		    "exit reason %u (%s)", g.vcpu->run->exit_reason,
		    exit_reason_str(g.vcpu->run->exit_reason));
	TEST_ASSERT_EQ(top[-1], cs);
	TEST_ASSERT_EQ(top[-2], ip);

	/* Of several writes of an instruction, the first one is asked. */
	want = tracker_write_event(&g, STACK_GPA + STACK_TOP - 4, STACK_GPA + STACK_TOP - 4,
				   &ip, 2);
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
	kvm_vm_free(g.vm);
	return 0;
}
