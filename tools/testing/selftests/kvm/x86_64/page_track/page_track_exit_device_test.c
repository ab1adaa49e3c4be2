// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit and devices: an instruction that has read from one is not stopped, as
 * it would read once more; and a device is not what a tracker tracks.
 */
#include <string.h>

#include "apic.h"
#include "cases.h"
#include "tracker.h"
#include "ucall_common.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)
#define DEVICE_VA	0x50000000ul	/* a device's page, then one of memory */
#define DEVICE_GPA	0x10000000ul
#define PORT		0x77

static void init(struct tiny_guest *g, struct tracker *t)
{
	tg_map(g, VA, GPA);
	tg_map(g, DEVICE_VA, DEVICE_GPA);
	tg_map(g, DEVICE_VA + PAGE_SIZE, tg_data(5));
	memset(addr_gpa2hva(g->vm, GPA), 0x11, PAGE_SIZE);
	memset(addr_gpa2hva(g->vm, tg_data(5)), 0x22, PAGE_SIZE);
	tracker_create(g->vm, t, 64, 0, 0);
	tracker_add(t, GPA, PAGE_SIZE, TRACKER_EXIT);
}

static void assert_mem(struct tiny_guest *g, const char *want)
{
	TEST_ASSERT(!memcmp(addr_gpa2hva(g->vm, GPA), want, strlen(want)),
		    "Not the bytes that had to be written");
}

static void assert_told(struct tiny_guest *g, struct tracker *t, int offset, uint8_t byte)
{
	struct kvm_page_track_event want;

	want = tracker_write_event(g, VA + offset, GPA + offset, &byte, 1);
	TRACKER_ASSERT_EVENT(t, &want);
}

static void test_ins(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA, .rdx = PORT };
	struct kvm_run *run = g->vcpu->run;
	struct tracker t;

	init(g, &t);
	tg_start(g, TG_INS1, &regs);
	vcpu_run(g->vcpu);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO && run->io.port == PORT &&
		    run->io.direction == KVM_EXIT_IO_IN, "exit reason %u", run->exit_reason);
	*((uint8_t *)run + run->io.data_offset) = 0xab;
	vcpu_run(g->vcpu);
	tg_assert_ended(g);
	assert_mem(g, "\xab\x11");
	assert_told(g, &t, 0, 0xab);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Give a device's byte. */
static void read_device(struct tiny_guest *g, uint64_t gpa, uint8_t byte)
{
	struct kvm_run *run = g->vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write &&
		    run->mmio.phys_addr == gpa && run->mmio.len == 1,
		    "exit reason %u, gpa 0x%llx", run->exit_reason, run->mmio.phys_addr);
	run->mmio.data[0] = byte;
	vcpu_run(g->vcpu);
}

/* Two bytes are of a device, two of memory. */
static void test_movs(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA, .rsi = DEVICE_VA + PAGE_SIZE - 2, .rcx = 4 };
	struct tracker t;
	int i;

	init(g, &t);
	tg_start(g, TG_REP_MOVS1, &regs);
	vcpu_run(g->vcpu);
	for (i = 0; i < 2; i++)
		read_device(g, DEVICE_GPA + PAGE_SIZE - 2 + i, 0xa0 + i);

	for (i = 2; i < 4; i++) {
		TRACKER_ASSERT_ASKED(g, VA + i, GPA + i, "\x22", 1);
		tracker_reply(g, i == 2 ? KVM_PAGE_TRACK_REPLY_SKIP :
					  KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
	}

	tg_assert_ended(g);
	assert_mem(g, "\xa0\xa1\x11\x22\x11");
	assert_told(g, &t, 0, 0xa0);
	assert_told(g, &t, 1, 0xa1);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void read_lapic(uint8_t *to)
{
	unsigned long n = 1, from = APIC_DEFAULT_GPA + APIC_LVR;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	GUEST_DONE();
}

/* The device is KVM's own, the version of the local APIC, in a VM that has one. */
static void test_lapic(struct tiny_guest *g)
{
	struct tiny_guest own = {};
	struct kvm_page_track_event event;
	struct tracker t;
	struct ucall uc;
	uint64_t gva, gpa;

	own.vm = vm_create_with_one_vcpu(&own.vcpu, read_lapic);
	virt_pg_map(own.vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	gva = vm_vaddr_alloc_page(own.vm);
	gpa = addr_gva2gpa(own.vm, gva);
	vcpu_args_set(own.vcpu, 1, gva);
	tracker_create(own.vm, &t, 64, 0, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_EXIT);

	vcpu_run(own.vcpu);
	TEST_ASSERT_EQ(get_ucall(own.vcpu, &uc), UCALL_DONE);
	TEST_ASSERT_EQ(*(uint8_t *)addr_gpa2hva(own.vm, gpa), 0x14);
	TEST_ASSERT(tracker_pop(&t, &event), "Neither told nor asked");
	TEST_ASSERT_EQ(event.gpa, gpa);
	TEST_ASSERT_EQ(event.len, 1);
	TEST_ASSERT_EQ(event.phase, KVM_PAGE_TRACK_PHASE_AFTER);
	TEST_ASSERT_EQ(event.data[0], 0x14);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
	kvm_vm_free(own.vm);
}

static void assert_device_written(struct tiny_guest *g, uint64_t gpa, const void *data,
				  int len)
{
	struct kvm_run *run = g->vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
		    run->mmio.phys_addr == gpa && run->mmio.len == len &&
		    !memcmp(run->mmio.data, data, len), "exit reason %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
	vcpu_run(g->vcpu);
	tg_assert_ended(g);
}

/* A range may be where no slot is: these are not writes to memory. */
static void test_device(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = DEVICE_VA + 8, .rax = 0x0807060504030201 };
	uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t other = DEVICE_GPA + PAGE_SIZE;
	struct tracker t;

	init(g, &t);
	tracker_add(&t, DEVICE_GPA, 2 * PAGE_SIZE, TRACKER_EXIT);
	tg_start(g, TG_STORE8, &regs);
	vcpu_run(g->vcpu);
	assert_device_written(g, DEVICE_GPA + 8, data, 8);

	/* Three bytes are to memory, the fault is there.  KVM has no note of that device. */
	tg_map(g, VA + PAGE_SIZE, other);
	regs.rdi = VA + PAGE_SIZE - 3;
	tg_start(g, TG_STORE8, &regs);
	vcpu_run(g->vcpu);
	TRACKER_ASSERT_ASKED(g, regs.rdi, GPA + PAGE_SIZE - 3, data, 3);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
	assert_device_written(g, other, data + 3, 5);
	TEST_ASSERT(!memcmp(addr_gpa2hva(g->vm, GPA + PAGE_SIZE - 3), data, 3),
		    "Not the bytes that were asked");
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "input from a port is told, not asked", test_ins, TG_4LEVEL_BIT },
		{ "MOVS from a device is told, from memory asked", test_movs, TG_ALL_MODES },
		{ "MOVS from a device of KVM's is told", test_lapic, TG_4LEVEL_BIT },
		{ "a write to a device is not asked", test_device, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
