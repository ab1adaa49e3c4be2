// SPDX-License-Identifier: GPL-2.0-only
/*
 * What trackers may cost: a VM has so many, and their rings count for RLIMIT_MEMLOCK of
 * the user who made them, until they are freed, wherever that is.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

/* A user who has nothing else, and as much memory as 8 rings of 2 pages have. */
#define USER		54321
#define LIMIT		(16 * PAGE_SIZE)
#define NR		8
#define TIMEOUT		20	/* seconds: only a bug takes this long */

/* The file descriptor, or a negative errno. */
static int create(struct kvm_vm *vm, uint32_t nr_events)
{
	struct kvm_create_page_tracker create = { .nr_events = nr_events };
	int fd = __vm_ioctl(vm, KVM_CREATE_PAGE_TRACKER, &create);

	return fd < 0 ? -errno : fd;
}

static void assert_refused(struct kvm_vm *vm, uint32_t nr_events, int err)
{
	int r = create(vm, nr_events), fd = dup(vm->fd);

	TEST_ASSERT(r == -err, "Finding 13: a tracker of %u events: %d, wanted errno %d",
		    nr_events, r, err);
	close(fd);
	TEST_ASSERT(dup(vm->fd) == fd, "A file descriptor was left");
	close(fd);
}

static void test_too_many(struct tiny_guest *g)
{
	uint64_t pages = tg_stat(g, "page_track_pages"), bytes = tg_stat(g, "page_track_bytes");
	struct kvm_vm *other = vm_create_barebones();
	struct rlimit limit, none = {};
	int fds[KVM_MAX_PAGE_TRACKERS], i;

	for (i = 0; i < KVM_MAX_PAGE_TRACKERS; i++) {
		fds[i] = create(g->vm, 32);
		TEST_ASSERT(fds[i] >= 0, "Tracker %d: errno %d", i, -fds[i]);
	}
	assert_refused(g->vm, 32, ENOSPC);
	assert_refused(g->vm, 32, ENOSPC);
	assert_refused(g->vm, 33, EINVAL);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_bytes"), bytes);

	/* Others have their own, and one that goes makes room at once. */
	close(create(other, 32));
	close(fds[7]);
	fds[7] = create(g->vm, 32);
	TEST_ASSERT(fds[7] >= 0, "errno %d", -fds[7]);
	assert_refused(g->vm, 32, ENOSPC);

	for (i = 0; i < KVM_MAX_PAGE_TRACKERS; i++)
		close(fds[i]);
	kvm_vm_free(other);

	/* What failed does not count. */
	getrlimit(RLIMIT_NOFILE, &limit);
	none.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	for (i = 0; i < 2 * KVM_MAX_PAGE_TRACKERS; i++)
		TEST_ASSERT_EQ(create(g->vm, 32), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit);
	for (i = 0; i < KVM_MAX_PAGE_TRACKERS; i++) {
		fds[i] = create(g->vm, 32);
		TEST_ASSERT(fds[i] >= 0, "Tracker %d: errno %d", i, -fds[i]);
	}
	for (i = 0; i < KVM_MAX_PAGE_TRACKERS; i++)
		close(fds[i]);
}

static void set_limit(void)
{
	struct rlimit limit = { LIMIT, LIMIT };

	TEST_ASSERT(!setrlimit(RLIMIT_MEMLOCK, &limit), "errno %d", errno);
}

/* Be somebody with @vm and a limit, for good. */
static void become_user(void)
{
	set_limit();
	TEST_ASSERT(!setresgid(USER, USER, USER) && !setresuid(USER, USER, USER),
		    "errno %d", errno);
}

/* As create(), for a ring whose room may be taken by one that is about to be freed. */
static int create_soon(struct kvm_vm *vm, uint32_t nr_events)
{
	time_t end = time(NULL) + TIMEOUT;
	int fd;

	do {
		fd = create(vm, nr_events);
	} while (fd == -ENOMEM && time(NULL) < end && !sched_yield());

	return fd;
}

/* @nr rings of the smallest size and no more. */
static void fill(struct kvm_vm *vm, int *fds, int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		fds[i] = create_soon(vm, 32);
		TEST_ASSERT(fds[i] >= 0, "Ring %d: errno %d", i, -fds[i]);
	}
	assert_refused(vm, 32, ENOMEM);
	assert_refused(vm, 1 << 20, ENOMEM);
}

static void close_all(int *fds, int nr)
{
	while (nr--)
		close(fds[nr]);
}

/* In a process of its own: whoever gives up privileges does not get them back. */
static void run_as_user(void (*fn)(int sock), int sock)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn(sock);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "No such child");
	TEST_ASSERT(!status, "status 0x%x", status);
}

/* Another process of the user.  It ends well if it is refused a ring when told to try. */
static pid_t start_other(int *tell)
{
	struct kvm_vm *vm;
	int pipes[2];
	pid_t pid;
	char byte;

	TEST_ASSERT(!pipe(pipes), "errno %d", errno);
	pid = fork();
	if (!pid) {
		vm = vm_create_barebones();
		become_user();
		_exit(read(pipes[0], &byte, 1) != 1 || create(vm, 32) != -ENOMEM);
	}
	*tell = pipes[1];
	return pid;
}

static void limit_user(int sock)
{
	struct kvm_vm *vm = vm_create_barebones(), *other = vm_create_barebones();
	int fds[NR], fd, tell, status, i;
	pid_t pid = start_other(&tell);

	become_user();
	fill(vm, fds, NR);

	/* It is the user's limit, not that of a VM or a process. */
	assert_refused(other, 32, ENOMEM);
	TEST_ASSERT(write(tell, "", 1) == 1 && waitpid(pid, &status, 0) == pid,
		    "No other process");
	TEST_ASSERT(!status, "Finding 13: another process of the user, status 0x%x", status);

	/* What is refused is not one of the VM's trackers. */
	for (i = 0; i < 2 * KVM_MAX_PAGE_TRACKERS; i++)
		TEST_ASSERT_EQ(create(other, 32), -ENOMEM);

	close(fds[3]);
	fds[3] = create_soon(vm, 32);
	TEST_ASSERT(fds[3] >= 0, "errno %d", -fds[3]);
	assert_refused(vm, 32, ENOMEM);
	close_all(fds, NR);

	/* Two rings, of 5 and of 9 pages, leave 2. */
	fds[0] = create_soon(vm, 128);
	fds[1] = create_soon(vm, 256);
	TEST_ASSERT(fds[0] >= 0 && fds[1] >= 0, "%d, %d", fds[0], fds[1]);
	assert_refused(vm, 64, ENOMEM);
	fd = create_soon(vm, 32);
	TEST_ASSERT(fd >= 0, "errno %d", -fd);
	assert_refused(vm, 32, ENOMEM);

	/* With the VM, all is free. */
	close_all(fds, 2);
	close(fd);
	kvm_vm_free(vm);
	for (i = 0; i < NR; i++) {
		fds[i] = create(other, 32);
		TEST_ASSERT(fds[i] >= 0, "Ring %d after the VM has gone: errno %d", i, -fds[i]);
	}
	close_all(fds, NR);
	kvm_vm_free(other);
}

static void test_limit(struct tiny_guest *g)
{
	run_as_user(limit_user, -1);
}

/* The socket is the only one that keeps the tracker until the message is dropped. */
static void pass_on(int sock)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fds[NR];
	char byte;

	become_user();
	fill(vm, fds, NR);
	tracker_send_fd(sock, fds[0]);
	close(fds[0]);
	assert_refused(vm, 32, ENOMEM);

	/* Closed by another user, it is free for the one who made it: one ring, not two. */
	TEST_ASSERT(write(sock, "", 1) == 1 && read(sock, &byte, 1) == 1, "The other is gone");
	fill(vm, fds, 1);
	close_all(fds, NR);
	kvm_vm_free(vm);
}

/* Another process, of root: takes the message, with the tracker, and drops it. */
static void take(int sock)
{
	int fd = tracker_receive_fd(sock);
	char byte;

	if (fd < 0 || read(sock, &byte, 1) != 1)
		_exit(1);
	if (close(fd) || write(sock, "", 1) != 1)
		_exit(1);
}

static void test_passed_on(struct tiny_guest *g)
{
	int socks[2], status;
	pid_t pid;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, socks), "errno %d", errno);
	pid = fork();
	if (!pid) {
		close(socks[0]);
		take(socks[1]);
		_exit(0);
	}
	close(socks[1]);
	run_as_user(pass_on, socks[0]);
	close(socks[0]);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "No such child");
	TEST_ASSERT(!status, "status 0x%x", status);
}

/* Who may lock memory without a limit may do so here. */
static void exceed(int sock)
{
	struct kvm_vm *vm = vm_create_barebones(), *big = vm_create_barebones();
	int fds[NR], fd;

	set_limit();
	fd = create(big, 1 << 20);
	TEST_ASSERT(fd >= 0, "errno %d", -fd);

	/* What does not count does not count either when it goes, with its VM. */
	become_user();
	fill(vm, fds, NR);
	close(fd);
	kvm_vm_free(big);
	assert_refused(vm, 32, ENOMEM);
	close_all(fds, NR);
	kvm_vm_free(vm);
}

static void test_privileged(struct tiny_guest *g)
{
	run_as_user(exceed, -1);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a VM has so many trackers", test_too_many, TG_4LEVEL_BIT, true },
		{ "rings count for their user's limit", test_limit, TG_4LEVEL_BIT },
		{ "a ring passed on counts for who made it", test_passed_on, TG_4LEVEL_BIT },
		{ "CAP_IPC_LOCK knows no limit", test_privileged, TG_4LEVEL_BIT },
	};

	tracker_require();
	__TEST_REQUIRE(!geteuid(), "Only root can become another user");
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
