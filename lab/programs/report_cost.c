// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions for one guest write that userspace is told of, by several ways, and
 * for one page that is added to a tracker.
 *
 * Under QEMU's -icount, the TSC counts the instructions that the emulated machine
 * executes: guest, host and whoever handles the write.  The guest writes once to
 * each of many pages.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "tracker.h"
#include "ucall_common.h"

#define NR_PAGES	2000
#define SLOT		10
#define GPA		0x40000000ul
#define GVA		0x40000000ul
#define NR_EVENTS	4096
#define BIG_PAGES	65536

/* How often the guest is to touch, and has touched, all pages of the big slot. */
static uint64_t wanted_touches, touches, stop;

/* MOVSS is one of what KVM's emulator does not know. */
static void guest_code(bool unemulated)
{
	int i;

	for (;;) {
		for (i = 0; i < NR_PAGES; i++) {
			if (unemulated)
				asm volatile("movss %%xmm0, %0"
					     : "=m"(*(float *)(GVA + i * PAGE_SIZE)));
			else
				WRITE_ONCE(*(uint64_t *)(GVA + i * PAGE_SIZE), i);
		}
		GUEST_SYNC(0);
	}
}

/* Without PAUSE, at which KVM exits and QEMU leaves its translated code. */
static void guest_spin(uint64_t touch)
{
	int i;

	while (!READ_ONCE(stop)) {
		if (touch && READ_ONCE(touches) < READ_ONCE(wanted_touches)) {
			for (i = 0; i < BIG_PAGES; i++)
				WRITE_ONCE(*(uint64_t *)(GVA + i * PAGE_SIZE), i);
			touches++;
		}
	}
	GUEST_DONE();
}

static struct kvm_vm *create(struct kvm_vcpu **vcpu, uint32_t flags)
{
	struct kvm_vm *vm = vm_create_with_one_vcpu(vcpu, guest_code);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, NR_PAGES, flags);
	virt_map(vm, GVA, GPA, NR_PAGES);
	vcpu_args_set(*vcpu, 1, 0);
	return vm;
}

/* All pages have been written once, so that nothing is faulted in any more. */
static void warm_up(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO, "exit reason %u",
		    vcpu->run->exit_reason);
}

static void tell(const char *name, uint64_t instructions, uint64_t n)
{
	printf("report_cost: %s: %lu\n", name, instructions / n);
}

static void measure_plain(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create(&vcpu, 0);
	uint64_t start;

	warm_up(vcpu);
	start = rdtsc();
	vcpu_run(vcpu);
	tell("plain write", rdtsc() - start, NR_PAGES);
	kvm_vm_free(vm);
}

static void protect(int uffd, void *page, size_t size, uint64_t mode)
{
	struct uffdio_writeprotect wp = {
		.range = { (unsigned long)page, size },
		.mode = mode,
	};

	TEST_ASSERT(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), "UFFDIO_WRITEPROTECT failed");
}

static void *handle_faults(void *arg)
{
	int uffd = *(int *)arg, i;
	struct uffd_msg msg;

	for (i = 0; i < NR_PAGES; i++) {
		TEST_ASSERT(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "no fault");
		protect(uffd, (void *)(msg.arg.pagefault.address & PAGE_MASK), PAGE_SIZE, 0);
	}
	return NULL;
}

static void measure_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create(&vcpu, 0);
	pthread_t thread;
	uint64_t start;
	void *mem = addr_gpa2hva(vm, GPA);

	warm_up(vcpu);
	TEST_ASSERT(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api), "no userfaultfd");
	reg.range.start = (unsigned long)mem;
	reg.range.len = NR_PAGES * PAGE_SIZE;
	TEST_ASSERT(!ioctl(uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER failed");
	protect(uffd, mem, NR_PAGES * PAGE_SIZE, UFFDIO_WRITEPROTECT_MODE_WP);
	pthread_create(&thread, NULL, handle_faults, &uffd);

	start = rdtsc();
	vcpu_run(vcpu);
	tell("userfaultfd write protection", rdtsc() - start, NR_PAGES);
	pthread_join(thread, NULL);
	kvm_vm_free(vm);
	close(uffd);
}

static void measure_readonly(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create(&vcpu, KVM_MEM_READONLY);
	struct kvm_run *run = vcpu->run;
	int i, round;
	uint64_t start = 0;

	for (round = 0; round < 2; round++) {
		start = rdtsc();
		for (i = 0; i < NR_PAGES; i++) {
			vcpu_run(vcpu);
			TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO, "no MMIO");
			memcpy(addr_gpa2hva(vm, run->mmio.phys_addr), run->mmio.data,
			       run->mmio.len);
		}
		vcpu_run(vcpu);
	}
	tell("read-only slot", rdtsc() - start, NR_PAGES);
	kvm_vm_free(vm);
}

/* Look at each event, as a consumer would, in its place. */
static uint64_t consume(struct tracker *t)
{
	struct kvm_page_track_ring *ring = t->ring;
	const struct kvm_page_track_event *e;
	uint64_t n = 0, sum = 0;

	while (ring->tail != __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE)) {
		e = &t->events[ring->tail % NR_EVENTS];
		/* A step that the host has interrupted comes again. */
		if (!(e->flags & KVM_PAGE_TRACK_EVENT_UNFINISHED)) {
			sum += e->gpa;
			n++;
		}
		__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
	}
	TEST_ASSERT(sum == n * GPA + n * (n - 1) / 2 * PAGE_SIZE, "wrong events");
	return n;
}

static void measure_tracker(const char *name, uint32_t flags, uint32_t action)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create(&vcpu, 0);
	uint64_t start = 0, n = 0;
	struct tracker t;
	int round;

	tracker_create(vm, &t, NR_EVENTS, flags, 0);
	vcpu_args_set(vcpu, 1, !!(flags & KVM_PAGE_TRACKER_STEP));
	warm_up(vcpu);
	for (round = 0; round < 2; round++) {
		start = rdtsc();
		/* "Notify" needs no second time, to arm "once" again is part of it. */
		if (!round || action == TRACKER_ONCE)
			tracker_add(&t, GPA, NR_PAGES * PAGE_SIZE, action);
		vcpu_run(vcpu);
		n = consume(&t);
	}
	tell(name, rdtsc() - start, NR_PAGES);
	TEST_ASSERT(n == NR_PAGES, "%lu events", n);
	tracker_close(&t);
	kvm_vm_free(vm);
}

static void *run_vcpu(void *vcpu)
{
	vcpu_run(vcpu);
	return NULL;
}

static void touch_big_slot(struct kvm_vm *vm)
{
	wanted_touches++;
	sync_global_to_guest(vm, wanted_touches);
	do {
		usleep(10000);
		sync_global_from_guest(vm, touches);
	} while (touches != wanted_touches);
}

/* Of this thread, the vCPUs take turns with it. */
static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ul + ts.tv_nsec;
}

static void measure_add(void)
{
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm = __vm_create_with_vcpus(VM_SHAPE_DEFAULT, 2, BIG_PAGES, guest_spin,
						   vcpus);
	pthread_t threads[2];
	uint64_t start, flushes;
	struct tracker t;
	int i;

	tracker_create(vm, &t, NR_EVENTS, 0, 0);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, BIG_PAGES, 0);
	virt_map(vm, GVA, GPA, BIG_PAGES);
	for (i = 0; i < 2; i++) {
		vcpu_args_set(vcpus[i], 1, i);
		pthread_create(&threads[i], NULL, run_vcpu, vcpus[i]);
	}

	touch_big_slot(vm);
	flushes = vm_get_stat(vm, "remote_tlb_flush_requests");
	start = thread_ns();
	tracker_add(&t, GPA, BIG_PAGES * PAGE_SIZE, TRACKER_NOTIFY);
	tell("page of a range that is added", thread_ns() - start, BIG_PAGES);
	tell("remote TLB flushes for the range", vm_get_stat(vm, "remote_tlb_flush_requests") - flushes, 1);
	tracker_remove(&t, GPA, BIG_PAGES * PAGE_SIZE);

	touch_big_slot(vm);
	flushes = vm_get_stat(vm, "remote_tlb_flush_requests");
	start = thread_ns();
	for (i = 0; i < BIG_PAGES; i++)
		tracker_add(&t, GPA + i * PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	tell("page that is added by itself", thread_ns() - start, BIG_PAGES);
	tell("remote TLB flushes for the pages", vm_get_stat(vm, "remote_tlb_flush_requests") - flushes, 1);

	stop = 1;
	sync_global_to_guest(vm, stop);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	tracker_close(&t);
	kvm_vm_free(vm);
}

int main(void)
{
	measure_plain();
	measure_userfaultfd();
	measure_readonly();
	measure_tracker("notify", 0, TRACKER_NOTIFY);
	measure_tracker("notify, stepped", KVM_PAGE_TRACKER_STEP, TRACKER_NOTIFY);
	measure_tracker("notify, WAIT", KVM_PAGE_TRACKER_WAIT, TRACKER_NOTIFY);
	measure_tracker("once, armed again at once", 0, TRACKER_ONCE);
	measure_tracker("once, armed again at once, WAIT", KVM_PAGE_TRACKER_WAIT, TRACKER_ONCE);
	measure_add();
	return 0;
}
