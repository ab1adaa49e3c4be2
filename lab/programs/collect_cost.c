// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions to learn which of 65,536 pages a guest has written, and to arm them again,
 * by KVM_PAGE_TRACK_COLLECT with REARM, and by KVM's dirty log, read and cleared; and what
 * the next write to such a page takes.
 *
 * Under QEMU's -icount, the TSC counts the instructions that the emulated machine executes,
 * guest and host.  The VM has either the tracker or the log.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kvm_util.h"
#include "processor.h"
#include "tracker.h"
#include "ucall_common.h"

#define NR_PAGES	65536
#define SIZE		((uint64_t)NR_PAGES * PAGE_SIZE)
#define SLOT		10
#define GPA		0x40000000ul
#define GVA		0x40000000ul

static uint64_t bitmap[NR_PAGES / 64];
static uint64_t step = 1;	/* the guest writes to each step'th page */
static struct tracker t;

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < NR_PAGES; i += READ_ONCE(step))
			WRITE_ONCE(*(uint64_t *)(GVA + i * PAGE_SIZE), i);
		GUEST_SYNC(0);
	}
}

static void collect(struct kvm_vm *vm)
{
	int r = tracker_collect(&t, GPA, SIZE, KVM_PAGE_TRACK_COLLECT_REARM, bitmap);

	TEST_ASSERT(!r, "errno %d", r);
}

static void read_log(struct kvm_vm *vm)
{
	kvm_vm_get_dirty_log(vm, SLOT, bitmap);
	kvm_vm_clear_dirty_log(vm, SLOT, bitmap, 0, NR_PAGES);
}

static int count_bits(void)
{
	int i, nr = 0;

	for (i = 0; i < NR_PAGES / 64; i++)
		nr += __builtin_popcountl(bitmap[i]);
	return nr;
}

static uint64_t write_pages(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	uint64_t start;

	sync_global_to_guest(vm, step);
	start = rdtsc();
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	return rdtsc() - start;
}

/* The second of two rounds, so that nothing is done for the first time. */
static void measure(struct kvm_vm *vm, struct kvm_vcpu *vcpu, const char *what,
		    void (*look)(struct kvm_vm *vm))
{
	static const uint64_t steps[] = { 100, 10, 1 };
	uint64_t start, calls = 0, writes = 0;
	int i, round, nr;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		step = steps[i];
		nr = (NR_PAGES + step - 1) / step;
		for (round = 0; round < 2; round++) {
			writes = write_pages(vm, vcpu);
			start = rdtsc();
			look(vm);
			calls = rdtsc() - start;
			TEST_ASSERT(count_bits() == nr, "%d of %d pages", count_bits(), nr);
		}
		printf("collect_cost: %s, %lu %% of 65536 pages: %lu\n", what, 100 / step, calls);
		printf("collect_cost: write to one of them, %s: %lu\n", what, writes / nr);
	}
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = __vm_create_with_one_vcpu(&vcpu, NR_PAGES, guest_code);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, NR_PAGES, 0);
	virt_map(vm, GVA, GPA, NR_PAGES);
	vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	write_pages(vm, vcpu);

	tracker_create(vm, &t, 32, KVM_PAGE_TRACKER_LOSSY, 0);
	tracker_add(&t, GPA, SIZE, TRACKER_ONCE);
	measure(vm, vcpu, "COLLECT", collect);
	tracker_close(&t);

	vm_mem_region_set_flags(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	step = 1;
	write_pages(vm, vcpu);
	read_log(vm);
	measure(vm, vcpu, "dirty log", read_log);
	kvm_vm_free(vm);
	return 0;
}
