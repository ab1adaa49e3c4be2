// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions for one guest write, if another process has attached a tracker that has vCPUs
 * wait: beside an idle tracker and without it, and for events that the process reads, and
 * questions that it answers.
 *
 * Under QEMU's -icount, the TSC counts the instructions that the emulated machine executes:
 * guest, host, both processes, and the switches between them, as there is one CPU on which
 * they take turns.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach.h"
#include "processor.h"
#include "ucall_common.h"

#define NR_PAGES	2000
#define SLOT		10
#define GPA		0x40000000ul
#define GVA		0x40000000ul
#define IDLE_GPA	(GPA + NR_PAGES * PAGE_SIZE)	/* nobody writes there */
#define NR_ROUNDS	10	/* who runs when differs from one to the next */
#define TIMEOUT_MS	20000	/* only a bug takes this long */

/* How the guest writes to its pages. */
enum way {
	PLAIN,		/* the CPU does it */
	FAULT,		/* the same, and KVM has nothing mapped */
	EMULATED,	/* KVM does it, whether the page is tracked or not */
};

static enum way way;

static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		if (READ_ONCE(way) == EMULATED)
			for (i = 0; i < NR_PAGES; i++)
				asm volatile(KVM_FEP "movq %0, (%1)"
					     : : "r" (i), "r" (GVA + i * PAGE_SIZE) : "memory");
		else
			for (i = 0; i < NR_PAGES; i++)
				WRITE_ONCE(*(uint64_t *)(GVA + i * PAGE_SIZE), i);
		GUEST_SYNC(0);
	}
}

static void unmap_in_kvm(struct kvm_vm *vm)
{
	void *mem = addr_gpa2hva(vm, GPA);

	TEST_ASSERT(!mprotect(mem, NR_PAGES * PAGE_SIZE, PROT_NONE) &&
		    !mprotect(mem, NR_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE),
		    "errno %d", errno);
}

/* The VMM: have the guest write as told, and tell how many instructions that took. */
static void run_vmm(int sock)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	uint64_t start;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, NR_PAGES + 1, 0);
	virt_map(vm, GVA, GPA, NR_PAGES);
	if (write(sock, &vm->fd, sizeof(int)) != sizeof(int))
		_exit(1);

	while (read(sock, &way, sizeof(way)) == sizeof(way)) {
		sync_global_to_guest(vm, way);
		if (way == FAULT)
			unmap_in_kvm(vm);
		start = rdtsc();
		vcpu_run(vcpu);
		start = rdtsc() - start;
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
		if (write(sock, &start, sizeof(start)) != sizeof(start))
			_exit(1);
	}
	_exit(0);
}

static void begin(struct vmm *vmm, enum way w)
{
	TEST_ASSERT(write(vmm->sock, &w, sizeof(w)) == sizeof(w), "errno %d", errno);
}

static uint64_t end(struct vmm *vmm)
{
	uint64_t instructions;

	TEST_ASSERT(read(vmm->sock, &instructions, sizeof(instructions)) == sizeof(instructions),
		    "The VMM has ended");
	return instructions;
}

/* All pages have been written once, so that nothing is faulted in any more. */
static void start_vmm(struct vmm *vmm)
{
	vmm_start_with(vmm, run_vmm);
	begin(vmm, PLAIN);
	end(vmm);
}

static void attach_wait(struct vmm *vmm, struct tracker *t, uint32_t nr_events)
{
	struct kvm_create_page_tracker create = {
		.vm_fd = vmm_take_fd(vmm),
		.nr_events = nr_events,
		.flags = KVM_PAGE_TRACKER_WAIT,
	};
	int fd = try_attach(&create);

	TEST_ASSERT(fd >= 0, "errno %d", -fd);
	close(create.vm_fd);
	tracker_map(t, fd, nr_events);
}

static void tell(const char *name, uint64_t instructions)
{
	printf("attach_cost: %s: %lu\n", name, instructions / NR_PAGES);
}

/* The second of two rounds. */
static uint64_t write_pages(struct vmm *vmm, enum way w)
{
	begin(vmm, w);
	end(vmm);
	begin(vmm, w);
	return end(vmm);
}

static void measure_idle(void)
{
	struct tracker t;
	struct vmm vmm;

	start_vmm(&vmm);
	tell("plain write, no tracker", write_pages(&vmm, PLAIN));
	tell("page fault, no tracker", write_pages(&vmm, FAULT));
	tell("emulated write, no tracker", write_pages(&vmm, EMULATED));

	attach_wait(&vmm, &t, 4096);
	tracker_add(&t, IDLE_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tell("plain write, idle attached tracker", write_pages(&vmm, PLAIN));
	tell("page fault, idle attached tracker", write_pages(&vmm, FAULT));
	tell("emulated write, idle attached tracker", write_pages(&vmm, EMULATED));

	TEST_ASSERT_EQ(tracker_count(&t), 0);
	tracker_close(&t);
	vmm_end(&vmm);
}

static void answer(struct tracker *t, const struct kvm_page_track_event *e)
{
	struct kvm_page_track_reply reply = {
		.seq = e->seq,
		.vcpu_id = e->vcpu_id,
		.reply = KVM_PAGE_TRACK_REPLY_ALLOW,
	};

	TEST_ASSERT(!ioctl(t->fd, KVM_PAGE_TRACK_REPLY, &reply), "errno %d", errno);
}

/* Take the events of the guest's writes, each in its place, and wait for more. */
static void take_events(struct tracker *t)
{
	struct kvm_page_track_ring *ring = t->ring;
	const struct kvm_page_track_event *e;
	uint64_t n = 0;

	while (n < NR_PAGES) {
		TEST_ASSERT(tracker_poll(t, TIMEOUT_MS), "No event");
		while (ring->tail != __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE)) {
			e = &t->events[ring->tail % t->nr_events];
			TEST_ASSERT(e->gpa == GPA + n * PAGE_SIZE, "0x%llx", e->gpa);
			if (e->flags & KVM_PAGE_TRACK_EVENT_ASKS)
				answer(t, e);
			__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
			n++;
		}
	}

	/* The last event may have taken the last room, for which the vCPU waits. */
	tracker_poll(t, 0);
}

static void measure_tracker(const char *name, uint32_t action, uint32_t nr_events)
{
	uint64_t start = 0;
	struct tracker t;
	struct vmm vmm;
	int round;

	start_vmm(&vmm);
	attach_wait(&vmm, &t, nr_events);
	/* One more, in which things are done for the first time. */
	for (round = 0; round <= NR_ROUNDS; round++) {
		if (round == 1)
			start = rdtsc();
		/* To arm "once" again is part of it. */
		if (!round || action == TRACKER_ONCE)
			tracker_add(&t, GPA, NR_PAGES * PAGE_SIZE, action);
		begin(&vmm, PLAIN);
		take_events(&t);
		end(&vmm);
	}
	tell(name, (rdtsc() - start) / NR_ROUNDS);
	TEST_ASSERT_EQ(tracker_count(&t), 0);
	tracker_close(&t);
	vmm_end(&vmm);
}

/* "1", or "0" again, for what is measured after this. */
static void heed_prefix(const char *value)
{
	int fd = open("/sys/module/kvm/parameters/force_emulation_prefix", O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, value, 1) == 1, "errno %d", errno);
	close(fd);
}

int main(void)
{
	heed_prefix("1");
	measure_idle();
	heed_prefix("0");
	measure_tracker("notify to a process on this CPU", TRACKER_NOTIFY, 4096);
	measure_tracker("notify there, 32 events in the ring", TRACKER_NOTIFY, 32);
	measure_tracker("once to a process on this CPU", TRACKER_ONCE, 4096);
	measure_tracker("once there, 32 events in the ring", TRACKER_ONCE, 32);
	measure_tracker("question to a process on this CPU", TRACKER_EXIT, 4096);
	return 0;
}
