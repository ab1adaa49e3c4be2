// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: long_holds [BITS [WRITTEN]]
 *
 * How long are mmu_lock and slots_arch_lock of a VM held, in instructions, while a slot of
 * 2^BITS pages (20) is created, moved, logged, unmapped and so on, and its pages are tracked?
 * Four vCPUs write to the first 2^WRITTEN (as many) of them, again and again.  The slot's memory
 * is one piece of 2 MiB mapped over and over, since the host has less.
 *
 * Needs the module lock_times and QEMU's -icount.  On the base, it does what is there too.
 * Prints a line for each lock and call: the longest hold, that with the turns that others had
 * on the one processor while the holder slept or was preempted, how many holds there were, and
 * the stack at the end of the longest.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<asm/kvm_page_track.h>)
#include <asm/kvm_page_track.h>
#endif

#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "ucall_common.h"

#define NR_VCPUS	4
#define SLOT		10
#define GPA		BIT(32)
#define PIECE		PG_SIZE_2M
#define TIMES		"/dev/lock_times"

static uint64_t pages = BIT(20), written, size;

/* The guest's. */
static uint64_t stop, passes[NR_VCPUS];

static void guest_code(uint64_t cpu, uint64_t nr)
{
	uint64_t gva = GPA + cpu * nr * PAGE_SIZE, i;

	while (!READ_ONCE(stop)) {
		for (i = 0; i < nr && !READ_ONCE(stop); i++)
			WRITE_ONCE(*(uint64_t *)(gva + i * PAGE_SIZE), i);
		WRITE_ONCE(passes[cpu], passes[cpu] + 1);
	}
	GUEST_DONE();
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	/* They take turns with the calls that are measured: let these have most of the time. */
	setpriority(PRIO_PROCESS, syscall(SYS_gettid), 10);
	do {
		/* The slot may be away, which is MMIO, or its memory. */
		TEST_ASSERT(!_vcpu_run(vcpu) || errno == EFAULT, "KVM_RUN: errno %d", errno);
	} while (vcpu->run->exit_reason != KVM_EXIT_IO || get_ucall(vcpu, &uc) != UCALL_DONE);

	return NULL;
}

/* Until the guest has written to each of its pages from now on. */
static void write_all(struct kvm_vm *vm)
{
	uint64_t before[NR_VCPUS];
	int i;

	sync_global_from_guest(vm, passes);
	memcpy(before, passes, sizeof(passes));
	for (i = 0; i < NR_VCPUS; ) {
		if (passes[i] >= before[i] + 2) {
			i++;
			continue;
		}
		usleep(10000);
		sync_global_from_guest(vm, passes);
	}
}

static void begin(struct kvm_vm *vm)
{
	int fd = open(TIMES, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, &vm->fd, sizeof(int)) == sizeof(int), "no " TIMES);
	close(fd);
}

static void end(const char *name)
{
	FILE *times = fopen(TIMES, "r"), *news = fopen("/dev/ttyS1", "w");
	char line[4096];

	TEST_ASSERT(times && news, "no " TIMES " or no second serial port");
	while (fgets(line, sizeof(line), times))
		printf("long_holds: %s: %s", name, line);
	fprintf(news, "case ok %s\n", name);
	fclose(times);
	fclose(news);
	fflush(stdout);
}

/* What it is, and the calls. */
#define MEASURE(name, ...) do { begin(vm); __VA_ARGS__; end(name); } while (0)

static void *mem;
static int memory;

static void map(void)
{
	uint64_t i;

	for (i = 0; i < size; i += PIECE)
		TEST_ASSERT(mmap(mem + i, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				 memory, 0) != MAP_FAILED, "mmap(): errno %d", errno);
}

static void set_slot(struct kvm_vm *vm, uint64_t gpa, uint64_t bytes, uint32_t flags)
{
	vm_set_user_memory_region(vm, SLOT, flags, gpa, bytes, mem);
}

static void create(struct kvm_vm *vm) { set_slot(vm, GPA, size, 0); }
static void move(struct kvm_vm *vm) { set_slot(vm, GPA + size, size, 0); }
static void delete(struct kvm_vm *vm) { set_slot(vm, GPA, 0, 0); }

static void log_dirty(struct kvm_vm *vm)
{
	void *bitmap = malloc(pages / 8);

	memset(bitmap, 0xff, pages / 8);
	vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	MEASURE("dirty log on", set_slot(vm, GPA, size, KVM_MEM_LOG_DIRTY_PAGES));
	MEASURE("logged writes", write_all(vm));
	MEASURE("dirty log cleared", kvm_vm_clear_dirty_log(vm, SLOT, bitmap, 0, pages));
	MEASURE("dirty log off", set_slot(vm, GPA, size, 0));
	free(bitmap);
}

static void nested_guest_code(struct svm_test_data *svm)
{
	generic_svm_setup(svm, NULL, NULL);
	/* Its first fetch faults, since nothing is in its page tables. */
	svm->vmcb->control.nested_ctl = 1;
	svm->vmcb->control.nested_cr3 = svm->msr_gpa;
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_DONE();
}

/* What KVM without a nested guest has not allocated yet, it does now. */
static void nest(struct kvm_vm *vm)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(vm, NR_VCPUS, nested_guest_code);
	vm_vaddr_t svm;

	vcpu_alloc_svm(vm, &svm);
	vcpu_args_set(vcpu, 1, svm);
	MEASURE("first nested guest", vcpu_run(vcpu));
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
}

static void plain(struct kvm_vm *vm, bool nested)
{
	MEASURE("creating the slot", create(vm));
	MEASURE("first writes", write_all(vm));
	MEASURE("moving the slot", move(vm));
	MEASURE("moving it back", create(vm));
	write_all(vm);
	log_dirty(vm);
	MEASURE("unmapping its memory", TEST_ASSERT(!munmap(mem, size), "munmap()"));
	map();
	if (nested)
		nest(vm);
	write_all(vm);
	MEASURE("deleting the slot", delete(vm));
}

#ifdef KVM_CREATE_PAGE_TRACKER
#define HAS_TRACKERS	true
#define NR_TRACKERS	64
#define NR_RANGES	100000ul

static void add(int fd, uint64_t gpa, uint64_t bytes, uint32_t action)
{
	struct kvm_page_track_range range = { .gpa = gpa, .size = bytes, .action = action };

	TEST_ASSERT(!ioctl(fd, KVM_PAGE_TRACK_ADD_RANGE, &range), "a range: errno %d", errno);
}

static int create_tracker(struct kvm_vm *vm)
{
	struct kvm_create_page_tracker create = { .nr_events = 64, .flags = KVM_PAGE_TRACKER_LOSSY };
	int fd = __vm_ioctl(vm, KVM_CREATE_PAGE_TRACKER, &create);

	TEST_ASSERT(fd >= 0, "no tracker, errno %d", errno);
	return fd;
}

/* What happens to a slot whose trackers have ranges in it. */
static void change_slot(struct kvm_vm *vm, const char *what)
{
	char name[64];

	snprintf(name, sizeof(name), "moving the slot, %s", what);
	MEASURE(name, move(vm));
	snprintf(name, sizeof(name), "moving it back, %s", what);
	MEASURE(name, create(vm));
	snprintf(name, sizeof(name), "deleting the slot, %s", what);
	MEASURE(name, delete(vm));
	snprintf(name, sizeof(name), "creating the slot, %s", what);
	MEASURE(name, create(vm));
}

static void add_all(int *fds)
{
	int i;

	for (i = 0; i < NR_TRACKERS; i++)
		add(fds[i], GPA, size, KVM_PAGE_TRACK_ACTION_NOTIFY);
}

static void close_all(int *fds)
{
	int i;

	for (i = 0; i < NR_TRACKERS; i++)
		close(fds[i]);
}

static void many_trackers(struct kvm_vm *vm)
{
	int fds[NR_TRACKERS], i;

	for (i = 0; i < NR_TRACKERS; i++)
		fds[i] = create_tracker(vm);
	MEASURE("64 trackers, adding", add_all(fds));
	change_slot(vm, "64 trackers");
	MEASURE("64 trackers, closing", close_all(fds));
}

static void add_ranges(int fd)
{
	uint64_t i;

	for (i = 0; i < NR_RANGES && i < pages / 2; i++)
		add(fd, GPA + i * 2 * PAGE_SIZE, PAGE_SIZE, KVM_PAGE_TRACK_ACTION_NOTIFY);
}

static void many_ranges(struct kvm_vm *vm)
{
	int fd = create_tracker(vm);

	MEASURE("10^5 ranges, adding", add_ranges(fd));
	change_slot(vm, "10^5 ranges");
	MEASURE("10^5 ranges, closing", close(fd));
}

static void give_up_all(struct kvm_vm *vm)
{
	int fd = create_tracker(vm);
	struct kvm_page_track_ring *ring = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	MEASURE("once, adding", add(fd, GPA, size, KVM_PAGE_TRACK_ACTION_ONCE));
	MEASURE("pages untracked one by one", write_all(vm));
	TEST_ASSERT(ring != MAP_FAILED && ring->head + ring->lost == written,
		    "%llu events", ring->head + ring->lost);
	MEASURE("once, moving the slot", move(vm));
	MEASURE("once, moving it back", create(vm));
	munmap(ring, PAGE_SIZE);
	MEASURE("once, closing", close(fd));
}

static void tracked(struct kvm_vm *vm)
{
	create(vm);
	write_all(vm);
	many_trackers(vm);
	write_all(vm);
	many_ranges(vm);
	write_all(vm);
	give_up_all(vm);
	delete(vm);
}
#else
#define HAS_TRACKERS	false

static void tracked(struct kvm_vm *vm) {}
#endif

static void load_module(void)
{
	int fd = open("/modules/lock_times.ko", O_RDONLY);

	TEST_ASSERT(fd >= 0 && !syscall(SYS_finit_module, fd, "", 0), "lock_times.ko: errno %d", errno);
	close(fd);
}

int main(int argc, char **argv)
{
	struct kvm_vcpu *vcpus[NR_VCPUS];
	pthread_t threads[NR_VCPUS];
	struct kvm_vm *vm;
	int i;

	if (argc > 1)
		pages = BIT(atoi(argv[1]));
	written = argc > 2 ? BIT(atoi(argv[2])) : pages;
	size = pages * PAGE_SIZE;

	load_module();
	memory = memfd_create("piece", 0);
	mem = mmap(NULL, size + PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(memory >= 0 && !ftruncate(memory, PIECE) && mem != MAP_FAILED, "no memory");
	mem = (void *)(((uintptr_t)mem + PIECE - 1) & ~(PIECE - 1));
	map();

	vm = __vm_create_with_vcpus(VM_SHAPE_DEFAULT, NR_VCPUS, 0, guest_code, vcpus);
	virt_map_level(vm, GPA, GPA, size, PG_LEVEL_2M);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_args_set(vcpus[i], 2, i, written / NR_VCPUS);
		pthread_create(&threads[i], NULL, run_vcpu, vcpus[i]);
	}

	if (HAS_TRACKERS)
		tracked(vm);
	else
		plain(vm, get_kvm_amd_param_bool("npt"));

	stop = 1;
	sync_global_to_guest(vm, stop);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);
	kvm_vm_free(vm);
	return 0;
}
