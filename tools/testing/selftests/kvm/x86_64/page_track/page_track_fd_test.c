// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls of a tracker of userspace: each bad one has its error and changes
 * nothing, each good one does what it says.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA	0x40000000ul
#define GPA	tg_data(0)

static int create_errno(struct tiny_guest *g, const struct kvm_create_page_tracker *create)
{
	int fd = __vm_ioctl(g->vm, KVM_CREATE_PAGE_TRACKER, create);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void test_create(struct tiny_guest *g)
{
	static const struct {
		struct kvm_create_page_tracker create;
		int want;
	} calls[] = {
		{ { .nr_events = 32 }, 0 },
		{ { .nr_events = 64 }, 0 },
		{ { .nr_events = 1 << 20 }, 0 },
		{ { .nr_events = 64, .flags = KVM_PAGE_TRACKER_LOSSY }, 0 },
		{ { .nr_events = 64, .flags = KVM_PAGE_TRACKER_STEP }, 0 },
		{ { .nr_events = 0 }, EINVAL },
		{ { .nr_events = 16 }, EINVAL },
		{ { .nr_events = 65 }, EINVAL },
		{ { .nr_events = 1 << 21 }, EINVAL },
		{ { .nr_events = 64, .flags = 8 }, EINVAL },
		{ { .nr_events = 64, .flags = 1u << 31 }, EINVAL },
		{ { .nr_events = 64, .reserved = { 1 } }, EINVAL },
		{ { .nr_events = 64, .reserved = { [6] = 1 } }, EINVAL },
		{ { .nr_events = 64, .vm_fd = 1 }, EINVAL },
		{ { .nr_events = 64, .vm_fd = -1 }, EINVAL },
	};
	int i, want, value = vm_check_cap(g->vm, KVM_CAP_X86_PAGE_TRACK);

	TEST_ASSERT_EQ(value, kvm_check_cap(KVM_CAP_X86_PAGE_TRACK));
	want = KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, TRACKER_NOTIFY) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, TRACKER_ONCE) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, TRACKER_EXIT) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_CAP_COLLECT) |
	       KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_CAP_STEP);
	TEST_ASSERT_EQ(value, want);

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		TEST_ASSERT(create_errno(g, &calls[i].create) == calls[i].want,
			    "Creation %d: errno %d", i, errno);
	TEST_ASSERT_EQ(create_errno(g, (void *)8), EFAULT);
}

static int range_errno(struct tracker *t, unsigned long nr,
		       const struct kvm_page_track_range *range)
{
	struct kvm_page_track_range copy = *range;

	return ioctl(t->fd, nr, &copy) ? errno : 0;
}

static void test_bad_ranges(struct tiny_guest *g)
{
	static const struct kvm_page_track_range bad[] = {
		{ .gpa = 0, .size = 0 },
		{ .gpa = 1, .size = PAGE_SIZE },
		{ .gpa = 0, .size = PAGE_SIZE + 1 },
		{ .gpa = 0, .size = PAGE_SIZE, .mode = 1 },
		{ .gpa = 0, .size = PAGE_SIZE, .mode = ~0u },
		{ .gpa = 0, .size = PAGE_SIZE, .action = TRACKER_EXIT + 1 },
		{ .gpa = 0, .size = PAGE_SIZE, .action = ~0u },
		{ .gpa = 0, .size = PAGE_SIZE, .reserved = { 1 } },
		{ .gpa = 0, .size = PAGE_SIZE, .reserved = { [4] = 1u << 31 } },
		{ .gpa = 0, .size = PAGE_SIZE, .flags = 1 },
		{ .gpa = 0, .size = PAGE_SIZE, .flags = 1u << 31 },
		{ .gpa = 1ul << 52, .size = PAGE_SIZE },
		{ .gpa = PAGE_SIZE, .size = 1ul << 52 },
		{ .gpa = -PAGE_SIZE, .size = PAGE_SIZE },
		{ .gpa = -PAGE_SIZE, .size = 2 * PAGE_SIZE },
		{ .gpa = PAGE_SIZE, .size = -PAGE_SIZE },
	};
	struct kvm_page_track_range range = { .size = PAGE_SIZE, .action = TRACKER_ONCE };
	uint64_t pages = tg_stat(g, "page_track_pages");
	uint64_t bytes = tg_stat(g, "page_track_bytes");
	struct tracker t;
	int i;

	tracker_create(g->vm, &t, 64, 0, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		TEST_ASSERT(range_errno(&t, KVM_PAGE_TRACK_ADD_RANGE, &bad[i]) == EINVAL,
			    "Adding range %d: errno %d", i, errno);
		TEST_ASSERT(range_errno(&t, KVM_PAGE_TRACK_REMOVE_RANGE, &bad[i]) == EINVAL,
			    "Removing range %d: errno %d", i, errno);
	}

	TEST_ASSERT_EQ(range_errno(&t, KVM_PAGE_TRACK_REMOVE_RANGE, &range), EINVAL);
	TEST_ASSERT_EQ(range_errno(&t, KVM_PAGE_TRACK_NEXT_RANGE, &range), EINVAL);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_REMOVE_RANGE, 0, PAGE_SIZE, 0), ENOENT);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_NEXT_RANGE, 0, 0, 0), ENOENT);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_NEXT_RANGE, 1, 0, 0), EINVAL);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_NEXT_RANGE, 1ul << 52, 0, 0), ENOENT);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_GET_API_VERSION, 0, PAGE_SIZE, 0), ENOTTY);
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_CREATE_PAGE_TRACKER, 0, PAGE_SIZE, 0), ENOTTY);
	TEST_ASSERT(ioctl(t.fd, KVM_PAGE_TRACK_ADD_RANGE, (void *)8) < 0 && errno == EFAULT,
		    "a bad pointer: errno %d", errno);

	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_bytes"), bytes);
	tracker_close(&t);
}

static void assert_next(struct tracker *t, uint64_t from, uint64_t gpa, uint64_t size,
			uint32_t action)
{
	struct kvm_page_track_range range;

	TEST_ASSERT_EQ(tracker_next(t, from, &range), 0);
	TEST_ASSERT(range.gpa == gpa && range.size == size && range.action == action &&
		    range.mode == KVM_PAGE_TRACK_MODE_WRITE && !range.flags,
		    "From 0x%lx: 0x%llx, 0x%llx, action %u", from, range.gpa, range.size,
		    range.action);
}

static void test_ranges(struct tiny_guest *g)
{
	const uint64_t far = 1ul << 38;
	struct kvm_page_track_range range;
	struct tracker t;
	int i;

	tracker_create(g->vm, &t, 64, 0, 0);

	/* Where no slot is, too, and twice. */
	tracker_add(&t, far, 16 * PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&t, far, 16 * PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&t, far + 4 * PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	assert_next(&t, 0, far, 4 * PAGE_SIZE, TRACKER_NOTIFY);
	assert_next(&t, far + PAGE_SIZE, far + PAGE_SIZE, 3 * PAGE_SIZE, TRACKER_NOTIFY);
	assert_next(&t, far + 4 * PAGE_SIZE, far + 4 * PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	assert_next(&t, far + 5 * PAGE_SIZE, far + 5 * PAGE_SIZE, 11 * PAGE_SIZE,
		    TRACKER_NOTIFY);
	tracker_remove(&t, 0, far + 15 * PAGE_SIZE);
	assert_next(&t, 0, far + 15 * PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_remove(&t, far, 16 * PAGE_SIZE);

	/* Thousands of them. */
	for (i = 0; i < 2000; i++)
		tracker_add(&t, 2 * i * PAGE_SIZE, PAGE_SIZE, i & 1);
	for (i = 0, range.gpa = 0, range.size = 0; i < 2000; i++)
		assert_next(&t, 2 * i * PAGE_SIZE, 2 * i * PAGE_SIZE, PAGE_SIZE, i & 1);
	TEST_ASSERT_EQ(tracker_next(&t, 4000 * PAGE_SIZE, &range), ENOENT);
	tracker_remove(&t, 0, 4000 * PAGE_SIZE);
	TEST_ASSERT_EQ(tracker_next(&t, 0, &range), ENOENT);
	tracker_close(&t);
}

/* Another process: adds a range itself, waits for an event of it, and dies. */
static void consume(int sock)
{
	struct pollfd pfd = { .events = POLLIN };
	struct kvm_page_track_event event;
	struct tracker t;

	pfd.fd = tracker_receive_fd(sock);
	tracker_map(&t, pfd.fd, 64);
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	if (write(sock, "a", 1) != 1 || poll(&pfd, 1, -1) != 1 ||
	    !tracker_pop(&t, &event) || event.gpa != GPA + 4 || event.data[0] != 77 ||
	    write(sock, "b", 1) != 1)
		_exit(1);

	/* Killed, with the file descriptor and the mapping. */
	pause();
}

static void test_other_process(struct tiny_guest *g)
{
	struct tracker t;
	int socks[2], status;
	uint64_t emulated, pages;
	char byte;
	pid_t pid;

	tg_map(g, VA, GPA);
	TG_ASSERT_LOAD(g, VA, GPA);
	pages = tg_stat(g, "page_track_pages");
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, socks), "no sockets");
	pid = fork();
	if (!pid) {
		consume(socks[1]);
		_exit(1);
	}

	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_send_fd(socks[0], t.fd);
	tracker_close(&t);

	TEST_ASSERT(read(socks[0], &byte, 1) == 1 && byte == 'a', "no range of the other");
	tg_store(g, VA + 4, 77, 4);
	TEST_ASSERT(read(socks[0], &byte, 1) == 1 && byte == 'b', "no event for the other");

	kill(pid, SIGKILL);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status),
		    "the other process ended, status 0x%x", status);
	emulated = tg_vcpu_stat(g, "pf_emulate");
	tg_store(g, VA + 4, 78, 4);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
	close(socks[0]);
	close(socks[1]);
}

/* The tracker keeps the VM, which goes with it. */
static void test_vm_closed(struct tiny_guest *g)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct tracker t;

	tracker_create(vm, &t, 64, 0, 0);
	kvm_vm_free(vm);
	tracker_add(&t, 0, PAGE_SIZE, TRACKER_ONCE);
	assert_next(&t, 0, 0, PAGE_SIZE, TRACKER_ONCE);
	tracker_close(&t);
}

static void test_private_memory(struct tiny_guest *g)
{
	struct kvm_create_page_tracker create = { .nr_events = 64 };
	struct kvm_vm *vm;

	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM))) {
		g->skip = "KVM has no VMs with private memory";
		return;
	}

	vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_X86_PAGE_TRACK), 0);
	TEST_ASSERT(__vm_ioctl(vm, KVM_CREATE_PAGE_TRACKER, &create) < 0 &&
		    errno == EOPNOTSUPP, "errno %d", errno);
	kvm_vm_free(vm);
}

static FILE *open_debugfs(struct tiny_guest *g)
{
	char name[64];
	FILE *file;

	snprintf(name, sizeof(name), "/sys/kernel/debug/kvm/%d-%d/page_track", getpid(),
		 g->vm->fd);
	file = fopen(name, "r");
	TEST_ASSERT(file, "No %s", name);
	return file;
}

/* What the VM's file in debugfs says. */
static void read_debugfs(struct tiny_guest *g, char *text, size_t size)
{
	FILE *file = open_debugfs(g);

	text[fread(text, 1, size - 1, file)] = 0;
	fclose(file);
}

static void test_debugfs(struct tiny_guest *g)
{
	const char *want = "tracker mode action gfn nr_pages\n"
			   "1 0 0 0x400 2\n1 0 2 0x402 1\n2 0 1 0x100000 512\n";
	struct tracker first, second;
	char got[256];

	if (access("/sys/kernel/debug/kvm", F_OK)) {
		g->skip = "debugfs is not mounted";
		return;
	}

	/* The shadow MMU, a tracker if there is one, has no ranges. */
	tracker_create(g->vm, &first, 64, 0, 0);
	tracker_create(g->vm, &second, 64, 0, 0);
	tracker_add(&second, 1ul << 32, 512 * PAGE_SIZE, TRACKER_ONCE);
	tracker_add(&first, tg_data(0), 3 * PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&first, tg_data(2), PAGE_SIZE, TRACKER_EXIT);
	read_debugfs(g, got, sizeof(got));
	TEST_ASSERT(!strcmp(got, want), "Got:\n%swanted:\n%s", got, want);

	tracker_close(&first);
	tracker_close(&second);
	read_debugfs(g, got, sizeof(got));
	TEST_ASSERT(!strcmp(strchr(got, '\n'), "\n"), "Got:\n%s", got);
}

static void assert_lines(FILE *file, const char *tracker, int first, int end, int step)
{
	char want[64], got[64];
	int i;

	for (i = first; i < end; i += step) {
		snprintf(want, sizeof(want), "%s 0 0 0x%x 1\n", tracker, i);
		TEST_ASSERT(fgets(got, sizeof(got), file) && !strcmp(got, want),
			    "Finding 13: got %swanted %s", got, want);
	}
}

/* More than one read() takes: no lock and no copy of all is kept in between. */
static void test_debugfs_long(struct tiny_guest *g)
{
	const int nr = 1000;
	struct tracker first, second;
	char got[64];
	FILE *file;
	int i;

	if (access("/sys/kernel/debug/kvm", F_OK)) {
		g->skip = "debugfs is not mounted";
		return;
	}

	tracker_create(g->vm, &first, 64, 0, 0);
	tracker_create(g->vm, &second, 64, 0, 0);
	for (i = 0; i < nr; i += 2)
		tracker_add(&first, i * PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&second, 7 * PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);

	/* Each line once, also from the start again. */
	file = open_debugfs(g);
	for (i = 0; i < 2; i++) {
		rewind(file);
		TEST_ASSERT(fgets(got, sizeof(got), file), "No first line");
		assert_lines(file, "1", 0, nr, 2);
		assert_lines(file, "2", 7, 8, 1);
		TEST_ASSERT(!fgets(got, sizeof(got), file), "Got %s", got);
	}
	fclose(file);

	/* What goes before it is read is not there any more. */
	file = open_debugfs(g);
	setvbuf(file, NULL, _IONBF, 0);
	TEST_ASSERT(fgets(got, sizeof(got), file), "No first line");
	assert_lines(file, "1", 0, 10, 2);
	tracker_remove(&first, nr / 2 * PAGE_SIZE, nr / 2 * PAGE_SIZE);
	assert_lines(file, "1", 10, nr / 2, 2);
	assert_lines(file, "2", 7, 8, 1);
	TEST_ASSERT(!fgets(got, sizeof(got), file), "Finding 13: got %s", got);
	fclose(file);

	/* Nor is a tracker that is closed, and the next one comes. */
	file = open_debugfs(g);
	setvbuf(file, NULL, _IONBF, 0);
	TEST_ASSERT(fgets(got, sizeof(got), file), "No first line");
	assert_lines(file, "1", 0, 10, 2);
	tracker_close(&first);
	do {
		TEST_ASSERT(fgets(got, sizeof(got), file), "No line of the other tracker");
	} while (got[0] == '1' && strtol(got + strlen("1 0 0 "), NULL, 16) < nr / 4);
	TEST_ASSERT(!strcmp(got, "2 0 0 0x7 1\n"), "Finding 13: got %s", got);
	fclose(file);
	tracker_close(&second);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "creation checks what it is given", test_create, TG_4LEVEL_BIT },
		{ "bad ranges change nothing", test_bad_ranges, TG_4LEVEL_BIT },
		{ "ranges are added, removed and listed", test_ranges, TG_4LEVEL_BIT },
		{ "another process has the tracker, and dies", test_other_process, TG_4LEVEL_BIT },
		{ "the tracker outlives the VM's file descriptor", test_vm_closed, TG_4LEVEL_BIT },
		{ "private memory is not supported", test_private_memory, TG_4LEVEL_BIT },
		{ "debugfs lists the ranges", test_debugfs, TG_4LEVEL_BIT },
		{ "debugfs lists many ranges", test_debugfs_long, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
