// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions to track one page, and to untrack it, by what KVM exports to other modules,
 * as KVMGT does for each page table of a virtual GPU: of the base, and of ours.
 *
 * Under QEMU's -icount, the TSC counts the instructions of the host.  Pages are mapped for
 * the guest, each by itself or in huge pages, or not; they follow on each other or do not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "track_one.h"
#include "ucall_common.h"

#define NR_PAGES	8192ul
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define NR		256
#define SLOT		10
#define GPA		0x40000000ul

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < NR_PAGES; i++)
			WRITE_ONCE(*(uint64_t *)(GPA + i * PAGE_SIZE), i);
		GUEST_SYNC(0);
	}
}

static void load_module(void)
{
	int fd = open("/modules/track_one.ko", O_RDONLY);

	TEST_ASSERT(fd >= 0 && !syscall(SYS_finit_module, fd, "", 0), "track_one.ko: errno %d", errno);
	close(fd);
}

/* The second of two rounds, so that nothing is done for the first time. */
static void measure(struct kvm_vm *vm, struct kvm_vcpu *vcpu, const char *what, uint32_t step)
{
	struct track_one one = { .vm_fd = vm->fd, .step = step, .gfn = GPA >> PAGE_SHIFT, .nr = NR };
	int fd = open("/dev/track_one", O_WRONLY), i;

	for (i = 0; i < 2; i++) {
		if (vcpu)
			vcpu_run(vcpu);
		TEST_ASSERT(fd >= 0 && write(fd, &one, sizeof(one)) == sizeof(one), "errno %d", errno);
	}
	printf("single_cost: add a gfn, %s: %llu\n", what, one.add / NR);
	printf("single_cost: remove it, %s: %llu\n", what, one.remove / NR);

	/* A tracker, of which there is a new one each time, has to make room first. */
	one.nr = 1;
	TEST_ASSERT(write(fd, &one, sizeof(one)) == sizeof(one), "errno %d", errno);
	printf("single_cost: add the first gfn, %s: %llu\n", what, one.add);
	close(fd);
}

static void measure_vm(int advice, const char *rows, const char *scattered)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = __vm_create_with_one_vcpu(&vcpu, 0, guest_code);
	void *mem;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS_THP, GPA, SLOT, NR_PAGES, 0);
	mem = addr_gpa2hva(vm, GPA);
	TEST_ASSERT(!madvise(mem, SIZE, advice), "madvise: errno %d", errno);
	virt_map(vm, GPA, GPA, NR_PAGES);

	measure(vm, vcpu, rows, 1);
	measure(vm, vcpu, scattered, NR_PAGES / NR - 1);
	kvm_vm_free(vm);
}

int main(void)
{
	load_module();
	measure_vm(MADV_NOHUGEPAGE, "4K, in a row", "4K, scattered");
	measure_vm(MADV_HUGEPAGE, "2M, in a row", "2M, scattered");
	return 0;
}
