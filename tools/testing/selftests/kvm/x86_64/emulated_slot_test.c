// SPDX-License-Identifier: GPL-2.0-only
/*
 * An instruction that KVM emulates, and that accesses a slot while it is moved, is tried
 * again until the move is done, or takes the slot for MMIO if it has read from a device.
 *
 * A vCPU that waits for its page in KVM_RUN keeps the slot invalid: KVM, which moves it by
 * another thread, waits for all who may still use the slot as it was.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "kvm_util.h"
#include "processor.h"

/* What is moved by a page.  Page 1 of it has all that is accessed, page 0 will then. */
#define MOVED_SLOT	1
#define MOVED_GPA	0x10000000ul
#define MOVED_VA	0x40000000ul
#define NR_PAGES	4
#define OFFSET		0x100
#define ACCESS_GPA	(MOVED_GPA + PAGE_SIZE + OFFSET)
#define ACCESS_VA	(MOVED_VA + PAGE_SIZE + OFFSET)
#define CODE_OFFSET	0x200
#define CODE_VA		(MOVED_VA + PAGE_SIZE + CODE_OFFSET)

#define MISSING_SLOT	2
#define MISSING_GPA	0x20000000ul
#define MISSING_VA	0x48000000ul

#define DEVICE_GPA	0x30000000ul
#define DEVICE_VA	0x4a000000ul
#define DEVICE_PORT	0x60
#define DEVICE_BYTE	0x11

#define STORED		0x5a
#define X86_FEATURE_DECODE_ASSISTS	KVM_X86_CPU_FEATURE(0x8000000a, 0, EDX, 7)
#define TIMEOUT		20	/* seconds: only a bug takes this long */

struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu, *sleeper;
	pthread_t vcpu_thread, sleeper_thread, mover_thread;
	pid_t mover;
	int uffd;
	int stats_fd;		/* of @vcpu */
	uint8_t *mem;		/* what is moved */
	uint8_t *missing;
};

struct slot_case {
	const char *name;
	void (*code)(void);
	void (*test)(struct guest *g, const struct slot_case *c);
	uint32_t exit;		/* for the device */
	uint32_t len;		/* of the access to the slot */
};

static void guest_ins(void)
{
	unsigned long va = ACCESS_VA;

	GUEST_SYNC(0);
	asm volatile("insb" : "+D"(va) : "d"(DEVICE_PORT) : "memory");
	GUEST_DONE();
}

static void guest_movs(void)
{
	unsigned long from = DEVICE_VA, to = ACCESS_VA;

	GUEST_SYNC(0);
	asm volatile("movsb" : "+S"(from), "+D"(to) : : "memory");
	GUEST_DONE();
}

static void guest_push(void)
{
	GUEST_SYNC(0);
	asm volatile("mov %%rsp, %%rbx; mov %0, %%rsp; push (%1); mov %%rbx, %%rsp"
		     : : "r"(ACCESS_VA + 8), "D"(DEVICE_VA) : "rbx", "memory");
	GUEST_DONE();
}

static void guest_store(void)
{
	GUEST_SYNC(0);
	asm volatile(KVM_FEP "movb %b0, (%1)" : : "a"(STORED), "D"(ACCESS_VA) : "memory");
	GUEST_DONE();
}

static void guest_outs(void)
{
	unsigned long va = ACCESS_VA;

	GUEST_SYNC(0);
	asm volatile("outsb" : "+S"(va) : "d"(DEVICE_PORT) : "memory");
	GUEST_DONE();
}

/*
 * What is called in the slot by the calling convention of C: "mov (%rdi), %al; ret", and
 * "outsb; ret".  The CPU has executed code of this page before, KVM has to read it.
 */
static const uint8_t slot_code[] = { 0x8a, 0x07, 0xc3, 0x6e, 0xc3 };

static void call_load(const void *va)
{
	((void (*)(const void *))CODE_VA)(va);
}

static void call_outs(const void *va)
{
	((void (*)(int, const void *, int))(CODE_VA + 3))(0, va, DEVICE_PORT);
}

static void guest_fetch_outs(void)
{
	uint8_t byte = DEVICE_BYTE;

	call_load(&byte);
	GUEST_SYNC(0);
	call_outs(&byte);
	GUEST_DONE();
}

static void guest_fetch_load(void)
{
	uint8_t byte = DEVICE_BYTE;

	call_load(&byte);
	GUEST_SYNC(0);
	call_load((void *)DEVICE_VA);
	GUEST_DONE();
}

static void guest_sleep(void)
{
	READ_ONCE(*(uint8_t *)MISSING_VA);
	GUEST_DONE();
}

static int open_userfaultfd(void)
{
	return syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

static void fill(struct guest *g)
{
	int i;

	for (i = 0; i < NR_PAGES; i++) {
		memset(g->mem + i * PAGE_SIZE, i + 1, PAGE_SIZE);
		memcpy(g->mem + i * PAGE_SIZE + CODE_OFFSET, slot_code, sizeof(slot_code));
	}
}

static void init_guest(struct guest *g, void (*code)(void))
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register missing = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	memset(g, 0, sizeof(*g));
	g->vm = vm_create(2);
	g->vcpu = vm_vcpu_add(g->vm, 0, code);
	g->sleeper = vm_vcpu_add(g->vm, 1, guest_sleep);
	g->stats_fd = vcpu_get_stats_fd(g->vcpu);

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, MOVED_GPA, MOVED_SLOT,
				    NR_PAGES, 0);
	virt_map(g->vm, MOVED_VA, MOVED_GPA, NR_PAGES);
	g->mem = addr_gpa2hva(g->vm, MOVED_GPA);
	fill(g);
	virt_map(g->vm, DEVICE_VA, DEVICE_GPA, 1);

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, MISSING_GPA, MISSING_SLOT,
				    1, 0);
	virt_map(g->vm, MISSING_VA, MISSING_GPA, 1);
	g->missing = addr_gpa2hva(g->vm, MISSING_GPA);
	g->uffd = open_userfaultfd();
	missing.range = (struct uffdio_range) { (unsigned long)g->missing, PAGE_SIZE };
	TEST_ASSERT(!ioctl(g->uffd, UFFDIO_API, &api), "errno %d", errno);
	TEST_ASSERT(!ioctl(g->uffd, UFFDIO_REGISTER, &missing), "errno %d", errno);
}

static void free_guest(struct guest *g)
{
	close(g->uffd);
	close(g->stats_fd);
	kvm_vm_free(g->vm);
}

static void *run_vcpu(void *vcpu)
{
	vcpu_run(vcpu);
	return NULL;
}

static void *move_slot(void *arg)
{
	struct guest *g = arg;

	__atomic_store_n(&g->mover, syscall(__NR_gettid), __ATOMIC_RELEASE);
	vm_mem_region_move(g->vm, MOVED_SLOT, MOVED_GPA + PAGE_SIZE);
	return NULL;
}

static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	TEST_ASSERT(!pthread_create(thread, NULL, fn, arg), "No thread");
}

static void join(pthread_t thread, const char *what)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += TIMEOUT;
	TEST_ASSERT(!pthread_timedjoin_np(thread, NULL, &end), "%s does not return", what);
}

/* KVM_RUN may try again for ever if there is a bug. */
static void run_in_time(struct guest *g)
{
	start(&g->vcpu_thread, run_vcpu, g->vcpu);
	join(g->vcpu_thread, "KVM_RUN");
}

static void run_to_ucall(struct guest *g, uint64_t want)
{
	run_in_time(g);
	TEST_ASSERT(get_ucall(g->vcpu, NULL) == want, "Not at ucall %lu: exit reason %u", want,
		    g->vcpu->run->exit_reason);
}

static char get_state(pid_t tid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (f)
		fclose(f);
	return state;
}

/* Until the slot is invalid: KVM waits for the sleeper, and nobody can interrupt it. */
static void await_invalid(struct guest *g)
{
	time_t end = time(NULL) + TIMEOUT;

	while (!__atomic_load_n(&g->mover, __ATOMIC_ACQUIRE) || get_state(g->mover) != 'D') {
		TEST_ASSERT(time(NULL) < end, "The move does not wait for the vCPU");
		sched_yield();
	}
}

static void begin_move(struct guest *g)
{
	struct pollfd pfd = { .fd = g->uffd, .events = POLLIN };

	start(&g->sleeper_thread, run_vcpu, g->sleeper);
	TEST_ASSERT(poll(&pfd, 1, TIMEOUT * 1000) == 1, "The vCPU does not wait for its page");
	start(&g->mover_thread, move_slot, g);
	await_invalid(g);
}

static void end_move(struct guest *g)
{
	struct uffdio_zeropage zero = { .range = { (unsigned long)g->missing, PAGE_SIZE } };

	TEST_ASSERT(get_state(g->mover) == 'D', "The move has not waited");
	TEST_ASSERT(!ioctl(g->uffd, UFFDIO_ZEROPAGE, &zero), "errno %d", errno);
	join(g->sleeper_thread, "KVM_RUN of the vCPU that waited");
	join(g->mover_thread, "The move");
	TEST_ASSERT_EQ(get_ucall(g->sleeper, NULL), UCALL_DONE);
}

static uint64_t get_nr_emulated(struct guest *g)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs, *desc;
	uint64_t nr = 0;
	int i;

	read_stats_header(g->stats_fd, &header);
	descs = read_stats_descriptors(g->stats_fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, "insn_emulation"))
			read_stat_data(g->stats_fd, &header, desc, &nr, 1);
	}
	free(descs);
	return nr;
}

/* Run until the instruction has been emulated @nr_tries times, and end the move. */
static void run_beyond_move(struct guest *g, int nr_tries)
{
	uint64_t end_nr = get_nr_emulated(g) + nr_tries;
	time_t end = time(NULL) + TIMEOUT;

	start(&g->vcpu_thread, run_vcpu, g->vcpu);
	while (get_nr_emulated(g) < end_nr) {
		TEST_ASSERT(pthread_tryjoin_np(g->vcpu_thread, NULL),
			    "KVM_RUN returns while the slot is moved, exit reason %u",
			    g->vcpu->run->exit_reason);
		TEST_ASSERT(time(NULL) < end, "The instruction is not tried again");
		sched_yield();
	}
	end_move(g);
	join(g->vcpu_thread, "KVM_RUN");
}

static void assert_io(struct guest *g, int direction)
{
	struct kvm_run *run = g->vcpu->run;

	TEST_ASSERT_KVM_EXIT_REASON(g->vcpu, KVM_EXIT_IO);
	TEST_ASSERT(run->io.port == DEVICE_PORT && run->io.direction == direction,
		    "Port 0x%x, direction %u", run->io.port, run->io.direction);
}

static void assert_mmio(struct guest *g, bool is_write, uint64_t gpa, uint32_t len)
{
	struct kvm_run *run = g->vcpu->run;

	TEST_ASSERT_KVM_EXIT_REASON(g->vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT(run->mmio.is_write == is_write && run->mmio.phys_addr == gpa &&
		    run->mmio.len == len, "MMIO %s of %u bytes at 0x%llx",
		    run->mmio.is_write ? "write" : "read", run->mmio.len, run->mmio.phys_addr);
}

static uint8_t *io_data(struct kvm_run *run)
{
	return (uint8_t *)run + run->io.data_offset;
}

/* What is at the access when the move is done, and what was there before. */
static void assert_memory(struct guest *g, uint8_t after, uint8_t before)
{
	TEST_ASSERT(g->mem[OFFSET] == after && g->mem[PAGE_SIZE + OFFSET] == before,
		    "0x%x is in memory, and 0x%x where it was", g->mem[OFFSET],
		    g->mem[PAGE_SIZE + OFFSET]);
}

/* The instruction cannot be tried again: the device is read once. */
static void test_device_read(struct guest *g, const struct slot_case *c)
{
	struct kvm_run *run = g->vcpu->run;

	run_in_time(g);
	if (c->exit == KVM_EXIT_IO) {
		assert_io(g, KVM_EXIT_IO_IN);
		*io_data(run) = DEVICE_BYTE;
	} else {
		assert_mmio(g, false, DEVICE_GPA, c->len);
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
		run->mmio.data[0] = DEVICE_BYTE;
	}

	run_in_time(g);
	assert_mmio(g, true, ACCESS_GPA, c->len);
	TEST_ASSERT_EQ(run->mmio.data[0], DEVICE_BYTE);
	run_to_ucall(g, UCALL_DONE);
	end_move(g);
	assert_memory(g, 1, 2);
}

/* Once: KVM has gone beyond the prefix, and what is tried again is the CPU's. */
static void test_store(struct guest *g, const struct slot_case *c)
{
	run_beyond_move(g, 1);
	TEST_ASSERT(get_ucall(g->vcpu, NULL) == UCALL_DONE, "The store ends by exit reason %u",
		    g->vcpu->run->exit_reason);
	assert_memory(g, STORED, 2);
}

static void assert_output(struct guest *g, uint8_t want)
{
	assert_io(g, KVM_EXIT_IO_OUT);
	TEST_ASSERT_EQ(*io_data(g->vcpu->run), want);
	run_to_ucall(g, UCALL_DONE);
}

static void test_outs(struct guest *g, const struct slot_case *c)
{
	run_beyond_move(g, 2);
	assert_output(g, 1);
}

static void test_fetch_outs(struct guest *g, const struct slot_case *c)
{
	run_beyond_move(g, 2);
	assert_output(g, DEVICE_BYTE);
}

static void test_fetch_load(struct guest *g, const struct slot_case *c)
{
	run_beyond_move(g, 2);
	assert_mmio(g, false, DEVICE_GPA, c->len);
	run_to_ucall(g, UCALL_DONE);
}

static void run_case(const struct slot_case *c)
{
	struct guest g;

	pr_info("%s\n", c->name);
	init_guest(&g, c->code);
	run_to_ucall(&g, UCALL_SYNC);
	begin_move(&g);
	c->test(&g, c);
	free_guest(&g);
}

int main(void)
{
	static const struct slot_case cases[] = {
		{ "a byte from a port", guest_ins, test_device_read, KVM_EXIT_IO, 1 },
		{ "a byte from MMIO", guest_movs, test_device_read, KVM_EXIT_MMIO, 1 },
		{ "a push from MMIO", guest_push, test_device_read, KVM_EXIT_MMIO, 8 },
		{ "a store", guest_store, test_store },
		{ "a byte to a port", guest_outs, test_outs },
		{ "the code of a byte to a port", guest_fetch_outs, test_fetch_outs },
		/* The last one. */
		{ "the code of a load from MMIO", guest_fetch_load, test_fetch_load,
		  KVM_EXIT_MMIO, 1 },
	};
	int nr = ARRAY_SIZE(cases), fd, i;

	TEST_REQUIRE(kvm_is_forced_emulation_enabled());
	fd = open_userfaultfd();
	__TEST_REQUIRE(fd >= 0, "userfaultfd() is not there, errno %d", errno);
	close(fd);

	/* Such a CPU has told KVM the code. */
	if (this_cpu_has(X86_FEATURE_DECODE_ASSISTS))
		nr--;
	for (i = 0; i < nr; i++)
		run_case(&cases[i]);
	return 0;
}
