// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process may ask that was given a tracker and nothing else: what the tracker is,
 * and where the guest has memory.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cases.h"
#include "tracker.h"

#define NR_SLOTS	200
#define USER_DATA	0x123456789abcdef0ul
#define AS_SMM		1

static uint8_t *mem;

static int get_info(int fd, struct kvm_page_track_info *info)
{
	memset(info, 0xa5, sizeof(*info));
	return ioctl(fd, KVM_PAGE_TRACK_GET_INFO, info) ? errno : 0;
}

static int next_slot(int fd, uint32_t as_id, uint64_t gpa, struct kvm_page_track_slot *slot)
{
	*slot = (struct kvm_page_track_slot) { .gpa = gpa, .as_id = as_id };
	return ioctl(fd, KVM_PAGE_TRACK_NEXT_SLOT, slot) ? errno : 0;
}

static void assert_slot(int fd, uint32_t as_id, uint64_t from, uint64_t gpa, uint64_t size,
			uint32_t flags)
{
	static const uint32_t zero[4];
	struct kvm_page_track_slot slot;

	TEST_ASSERT(!next_slot(fd, as_id, from, &slot), "From 0x%lx: errno %d", from, errno);
	TEST_ASSERT(slot.gpa == gpa && slot.size == size && slot.flags == flags &&
		    slot.as_id == as_id && !memcmp(slot.reserved, zero, sizeof(zero)),
		    "From 0x%lx: 0x%llx, 0x%llx, flags 0x%x, wanted 0x%lx, 0x%lx, 0x%x", from,
		    slot.gpa, slot.size, slot.flags, gpa, size, flags);
}

static void assert_address(int fd, uint64_t from, const void *hva)
{
	struct kvm_page_track_slot slot;

	TEST_ASSERT(!next_slot(fd, 0, from, &slot), "From 0x%lx: errno %d", from, errno);
	TEST_ASSERT(slot.userspace_addr == (uintptr_t)hva, "From 0x%lx: at 0x%llx, wanted %p",
		    from, slot.userspace_addr, hva);
}

static void assert_no_slot(int fd, uint32_t as_id, uint64_t from)
{
	struct kvm_page_track_slot slot, before;

	TEST_ASSERT_EQ(next_slot(fd, as_id, from, &slot), ENOENT);
	before = (struct kvm_page_track_slot) { .gpa = from, .as_id = as_id };
	TEST_ASSERT(!memcmp(&slot, &before, sizeof(slot)), "A refused call has changed it");
}

static void test_info(struct tiny_guest *g)
{
	struct kvm_page_track_info info;
	struct tracker t, other;
	uint64_t last, id;

	tracker_create(g->vm, &t, 128, KVM_PAGE_TRACKER_LOSSY, USER_DATA);
	TEST_ASSERT_EQ(get_info(t.fd, &info), 0);
	TEST_ASSERT_EQ(info.user_data, USER_DATA);
	TEST_ASSERT_EQ(info.event_size, sizeof(struct kvm_page_track_event));
	TEST_ASSERT_EQ(info.event_size, 128);
	TEST_ASSERT_EQ(info.nr_events, 128);
	TEST_ASSERT_EQ(info.flags, KVM_PAGE_TRACKER_LOSSY);
	TEST_ASSERT(!info.reserved[0] && !memcmp(info.reserved, info.reserved + 1,
						 sizeof(info.reserved) - sizeof(info.reserved[0])),
		    "Not all of reserved is zero");
	id = info.id;

	/* A range ends there, and no range behind it. */
	last = info.max_gfn * PAGE_SIZE;
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_ADD_RANGE, last + PAGE_SIZE, PAGE_SIZE,
				     TRACKER_ONCE), EINVAL);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_ADD_RANGE, last, 2 * PAGE_SIZE,
				     TRACKER_ONCE), EINVAL);
	tracker_add(&t, last, PAGE_SIZE, TRACKER_ONCE);

	tracker_create(g->vm, &other, KVM_PAGE_TRACK_MIN_EVENTS, 0, 0);
	TEST_ASSERT_EQ(get_info(other.fd, &info), 0);
	TEST_ASSERT(info.id > id && !info.user_data && !info.flags &&
		    info.nr_events == KVM_PAGE_TRACK_MIN_EVENTS, "id %llu behind %lu", info.id, id);

	TEST_ASSERT(ioctl(t.fd, KVM_PAGE_TRACK_GET_INFO, (void *)8) < 0 && errno == EFAULT,
		    "a bad pointer: errno %d", errno);
	tracker_close(&t);
	tracker_close(&other);
}

static void test_bad_slots(struct tiny_guest *g)
{
	static const struct kvm_page_track_slot bad[] = {
		{ .size = 1 }, { .size = PAGE_SIZE }, { .flags = 1 }, { .flags = 1u << 31 },
		{ .reserved = { 1 } }, { .reserved = { [3] = 1 } }, { .as_id = ~0u },
		{ .as_id = 2 }, { .as_id = 1 << 16 }, { .userspace_addr = 1ul << 32 },
	};
	struct kvm_page_track_slot slot;
	struct tracker t;
	int i;

	tracker_create(g->vm, &t, 32, 0, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		slot = bad[i];
		TEST_ASSERT(ioctl(t.fd, KVM_PAGE_TRACK_NEXT_SLOT, &slot) < 0 && errno == EINVAL,
			    "Slot %d: errno %d", i, errno);
		TEST_ASSERT(!memcmp(&slot, &bad[i], sizeof(slot)), "Slot %d was changed", i);
	}
	TEST_ASSERT(ioctl(t.fd, KVM_PAGE_TRACK_NEXT_SLOT, (void *)8) < 0 && errno == EFAULT,
		    "a bad pointer: errno %d", errno);
	if (!kvm_has_cap(KVM_CAP_X86_SMM))
		TEST_ASSERT_EQ(next_slot(t.fd, AS_SMM, 0, &slot), EINVAL);
	tracker_close(&t);
}

/* Slot @i has i % 3 + 1 pages.  Each seventh ends where the next one begins. */
static uint64_t slot_gpa(int i)
{
	return (1ul << 32) + (i * 8 + (i % 7 ? 0 : 7 - i % 3)) * PAGE_SIZE;
}

static uint64_t slot_size(int i)
{
	return (i % 3 + 1) * PAGE_SIZE;
}

static uint32_t slot_flags(int i)
{
	return (i % 5 ? 0 : KVM_MEM_LOG_DIRTY_PAGES) | (i % 11 ? 0 : KVM_MEM_READONLY);
}

static void set_slot(struct kvm_vm *vm, int slot, uint32_t flags, uint64_t gpa, uint64_t size)
{
	vm_set_user_memory_region(vm, slot, flags, gpa, size, mem);
}

static void test_many_slots(struct tiny_guest *g)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct tracker t;
	int i, nr;

	tracker_create(vm, &t, 32, 0, 0);
	assert_no_slot(t.fd, 0, 0);

	/* In any order: NR_SLOTS has no factor 7. */
	for (i = 0; i < NR_SLOTS; i++) {
		nr = i * 7 % NR_SLOTS;
		set_slot(vm, i, slot_flags(nr), slot_gpa(nr), slot_size(nr));
	}

	assert_slot(t.fd, 0, 0, slot_gpa(0), slot_size(0), slot_flags(0));
	for (i = 0; i < NR_SLOTS; i++) {
		assert_slot(t.fd, 0, slot_gpa(i), slot_gpa(i), slot_size(i), slot_flags(i));
		/* Any address will do, up to the slot's last byte, and is not aligned. */
		assert_slot(t.fd, 0, slot_gpa(i) + slot_size(i) - 1, slot_gpa(i), slot_size(i),
			    slot_flags(i));
		if (i < NR_SLOTS - 1)
			assert_slot(t.fd, 0, slot_gpa(i) + slot_size(i), slot_gpa(i + 1),
				    slot_size(i + 1), slot_flags(i + 1));
	}
	assert_address(t.fd, slot_gpa(1), mem);
	assert_no_slot(t.fd, 0, slot_gpa(NR_SLOTS - 1) + slot_size(NR_SLOTS - 1));
	assert_no_slot(t.fd, 0, 1ul << 52);
	assert_no_slot(t.fd, 0, ~0ul);

	/* What is deleted is not there, what is moved is elsewhere. */
	set_slot(vm, 0, 0, slot_gpa(0), 0);
	assert_slot(t.fd, 0, 0, slot_gpa(1), slot_size(1), slot_flags(1));
	nr = 7 % NR_SLOTS;
	set_slot(vm, 1, slot_flags(nr), PAGE_SIZE, slot_size(nr));
	assert_slot(t.fd, 0, 0, PAGE_SIZE, slot_size(nr), slot_flags(nr));
	kvm_vm_free(vm);

	/* As long as the tracker keeps the VM. */
	assert_slot(t.fd, 0, 0, PAGE_SIZE, slot_size(nr), slot_flags(nr));
	tracker_close(&t);
}

static void test_smm(struct tiny_guest *g)
{
	struct kvm_vm *vm;
	struct tracker t;

	if (!kvm_has_cap(KVM_CAP_X86_SMM)) {
		g->skip = "KVM has no SMM";
		return;
	}

	vm = vm_create_barebones();
	tracker_create(vm, &t, 32, 0, 0);
	set_slot(vm, 3, 0, 8 * PAGE_SIZE, PAGE_SIZE);
	assert_no_slot(t.fd, AS_SMM, 0);
	set_slot(vm, AS_SMM << 16 | 3, KVM_MEM_READONLY, 4 * PAGE_SIZE, 2 * PAGE_SIZE);
	assert_slot(t.fd, 0, 0, 8 * PAGE_SIZE, PAGE_SIZE, 0);
	assert_slot(t.fd, AS_SMM, 0, 4 * PAGE_SIZE, 2 * PAGE_SIZE, KVM_MEM_READONLY);
	assert_no_slot(t.fd, AS_SMM, 6 * PAGE_SIZE);
	assert_no_slot(t.fd, 0, 9 * PAGE_SIZE);
	tracker_close(&t);
	kvm_vm_free(vm);
}

/* KVM has some on Intel: the APIC access page, a TSS and an identity map. */
static void test_internal(struct tiny_guest *g)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct tracker t;

	vm_ioctl(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000ul);
	vm_create_irqchip(vm);
	__vm_vcpu_add(vm, 0);
	tracker_create(vm, &t, 32, 0, 0);
	assert_no_slot(t.fd, 0, 0);
	set_slot(vm, 0, 0, 0xffff0000, 16 * PAGE_SIZE);
	assert_slot(t.fd, 0, 0, 0xffff0000, 16 * PAGE_SIZE, 0);
	assert_no_slot(t.fd, 0, 1ul << 32);
	tracker_close(&t);
	kvm_vm_free(vm);
}

static bool stop;

/* The second of three slots comes, goes, moves and is logged or not. */
static void *change_slot(void *arg)
{
	struct kvm_vm *vm = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		set_slot(vm, 1, 0, 16 * PAGE_SIZE, PAGE_SIZE);
		set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 16 * PAGE_SIZE, PAGE_SIZE);
		set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 17 * PAGE_SIZE, PAGE_SIZE);
		set_slot(vm, 1, 0, 17 * PAGE_SIZE, 0);
	}
	return NULL;
}

static void test_changes(struct tiny_guest *g)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_page_track_slot slot;
	int i, there = 0, gone = 0;
	pthread_t thread;
	struct tracker t;

	tracker_create(vm, &t, 32, 0, 0);
	set_slot(vm, 0, 0, 8 * PAGE_SIZE, PAGE_SIZE);
	set_slot(vm, 2, 0, 32 * PAGE_SIZE, PAGE_SIZE);
	stop = false;
	pthread_create(&thread, NULL, change_slot, vm);

	for (i = 0; i < 200000 && (i < 2000 || there < 20 || gone < 20); i++) {
		assert_slot(t.fd, 0, 0, 8 * PAGE_SIZE, PAGE_SIZE, 0);
		assert_slot(t.fd, 0, 18 * PAGE_SIZE, 32 * PAGE_SIZE, PAGE_SIZE, 0);

		TEST_ASSERT(!next_slot(t.fd, 0, 9 * PAGE_SIZE, &slot), "errno %d", errno);
		TEST_ASSERT(slot.size == PAGE_SIZE && !(slot.flags & ~KVM_MEM_LOG_DIRTY_PAGES),
			    "0x%llx, flags 0x%x", slot.size, slot.flags);
		if (slot.gpa == 32 * PAGE_SIZE) {
			gone++;
			continue;
		}
		TEST_ASSERT(slot.gpa == 16 * PAGE_SIZE || slot.gpa == 17 * PAGE_SIZE, "0x%llx",
			    slot.gpa);
		there++;
		/* With one processor, the other thread has to have its turn. */
		if (!(i % 100))
			sched_yield();
	}
	TEST_ASSERT(there && gone, "There %d times and not there %d times", there, gone);

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	tracker_close(&t);
	kvm_vm_free(vm);
}

/*
 * With the tracker alone, another process maps the ring and finds the memory; but where
 * that is in this one, only who has CAP_SYS_PTRACE is told.
 */
static void look(int sock, uint64_t size, const void *hva)
{
	struct kvm_page_track_info info;
	int fd = tracker_receive_fd(sock);
	struct tracker t;

	TEST_ASSERT_EQ(get_info(fd, &info), 0);
	TEST_ASSERT_EQ(info.user_data, USER_DATA);
	tracker_map(&t, fd, info.nr_events);
	assert_slot(fd, 0, TG_DATA_GPA, TG_DATA_GPA, size, 0);
	assert_address(fd, TG_DATA_GPA, geteuid() ? NULL : hva);
	TEST_ASSERT(geteuid() || !setresuid(54321, 54321, 54321), "errno %d", errno);
	assert_slot(fd, 0, TG_DATA_GPA, TG_DATA_GPA, size, 0);
	assert_address(fd, TG_DATA_GPA, NULL);
	_exit(0);
}

static void test_other_process(struct tiny_guest *g)
{
	struct tracker t;
	int socks[2], status;
	pid_t pid;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, socks), "no sockets");
	pid = fork();
	if (!pid)
		look(socks[1], TG_DATA_PAGES * PAGE_SIZE, addr_gpa2hva(g->vm, TG_DATA_GPA));

	tracker_create(g->vm, &t, 512, 0, USER_DATA);
	assert_address(t.fd, TG_DATA_GPA, addr_gpa2hva(g->vm, TG_DATA_GPA));
	tracker_send_fd(socks[0], t.fd);
	tracker_close(&t);
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	TEST_ASSERT(!status, "status 0x%x", status);
	close(socks[0]);
	close(socks[1]);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a tracker says what it is", test_info, TG_4LEVEL_BIT },
		{ "bad questions for a slot change nothing", test_bad_slots, TG_4LEVEL_BIT },
		{ "many slots are listed in order", test_many_slots, TG_4LEVEL_BIT },
		{ "slots of SMM are listed by themselves", test_smm, TG_4LEVEL_BIT },
		{ "KVM's own slots are not listed", test_internal, TG_4LEVEL_BIT },
		{ "slots are listed while one changes", test_changes, TG_4LEVEL_BIT },
		{ "another process needs the tracker only", test_other_process, TG_4LEVEL_BIT },
	};

	tracker_require();
	mem = mmap(NULL, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "errno %d", errno);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
