// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may attach a tracker to a VM, and how: each bad call has its error and leaves
 * nothing behind.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach.h"
#include "cases.h"

#define NR	KVM_PAGE_TRACK_MIN_EVENTS
#define LOSSY	KVM_PAGE_TRACKER_LOSSY

static void test_errors(struct tiny_guest *g)
{
	int kvm = open_kvm_dev_path_or_exit(), null = open("/dev/null", O_RDWR);
	int vm = g->vm->fd, tracker = attach(vm, NR), next, i, r;
	const struct {
		struct kvm_create_page_tracker create;
		int want;
	} calls[] = {
		{ { .vm_fd = -1, .nr_events = NR, .flags = LOSSY }, EBADF },
		{ { .vm_fd = 1000, .nr_events = NR, .flags = LOSSY }, EBADF },
		{ { .vm_fd = null, .nr_events = NR, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = kvm, .nr_events = NR, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = g->vcpu->fd, .nr_events = NR, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = tracker, .nr_events = NR, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = vm, .nr_events = NR }, EINVAL },
		{ { .vm_fd = vm, .nr_events = NR, .flags = LOSSY | 8 }, EINVAL },
		{ { .vm_fd = vm, .nr_events = NR, .flags = LOSSY | 1u << 31 }, EINVAL },
		{ { .vm_fd = vm, .nr_events = 0, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = vm, .nr_events = NR / 2, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = vm, .nr_events = NR + 1, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = vm, .nr_events = 1 << 21, .flags = LOSSY }, EINVAL },
		{ { .vm_fd = vm, .nr_events = NR, .flags = LOSSY, .reserved = { 1 } }, EINVAL },
		{ { .vm_fd = vm, .nr_events = NR, .flags = LOSSY, .reserved = { [6] = 1 } },
		  EINVAL },
	};
	int fds[KVM_MAX_PAGE_TRACKERS];

	TEST_ASSERT(null >= 0 && tracker >= 0, "%d, %d", null, tracker);
	next = dup(null);
	close(next);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		r = try_attach(&calls[i].create);
		TEST_ASSERT(r == -calls[i].want, "Call %d: %d", i, r);
	}
	TEST_ASSERT_EQ(try_attach((void *)8), -EFAULT);
	TEST_ASSERT(ioctl(vm, KVM_ATTACH_PAGE_TRACKER, &calls[0].create) < 0 && errno == ENOTTY,
		    "on the VM: errno %d", errno);

	/* No file and no place in the VM is lost by that. */
	TEST_ASSERT_EQ(dup(null), next);
	close(next);
	close(tracker);
	for (i = 0; i < KVM_MAX_PAGE_TRACKERS; i++) {
		fds[i] = attach(vm, NR);
		TEST_ASSERT(fds[i] >= 0, "Tracker %d: errno %d", i, -fds[i]);
	}
	TEST_ASSERT_EQ(attach(vm, NR), -ENOSPC);
	while (i--)
		close(fds[i]);
	close(null);
	close(kvm);
}

/* In a process of its own, which inherits the VM's file descriptor. */
static void run_as(void (*fn)(int vm_fd), struct tiny_guest *g)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn(g->vm->fd);
		_exit(0);
	}
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	TEST_ASSERT(!status, "status 0x%x", status);
}

static void set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = caps, .permitted = caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	TEST_ASSERT(!syscall(SYS_capset, &head, data), "capset(): errno %d", errno);
}

static uint64_t get_caps(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	TEST_ASSERT(!syscall(SYS_capget, &head, data), "capget(): errno %d", errno);
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

static void without_ptrace(int vm_fd)
{
	struct kvm_create_page_tracker create = { .nr_events = NR };

	/* What the VM's own call says to all but its process. */
	TEST_ASSERT(ioctl(vm_fd, KVM_CREATE_PAGE_TRACKER, &create) < 0 && errno == EIO,
		    "errno %d", errno);
	set_caps(get_caps() & ~BIT_ULL(CAP_SYS_PTRACE));
	TEST_ASSERT_EQ(attach(vm_fd, NR), -EPERM);
	/* Whatever else is wrong. */
	TEST_ASSERT_EQ(attach(vm_fd, 0), -EPERM);
	set_caps(0);
	TEST_ASSERT_EQ(attach(vm_fd, NR), -EPERM);
}

/* Nothing else is needed, and nothing else is given. */
static void with_ptrace_only(int vm_fd)
{
	struct rlimit limit = { 4 * PAGE_SIZE, 4 * PAGE_SIZE };
	int fd;

	TEST_ASSERT(!setrlimit(RLIMIT_MEMLOCK, &limit), "errno %d", errno);
	set_caps(BIT_ULL(CAP_SYS_PTRACE));
	fd = attach(vm_fd, NR);
	TEST_ASSERT(fd >= 0, "errno %d", -fd);
	TEST_ASSERT_EQ(attach(vm_fd, 8 * NR), -ENOMEM);
	close(fd);
}

static void as_user(int vm_fd)
{
	TEST_ASSERT(!setresgid(54321, 54321, 54321) && !setresuid(54321, 54321, 54321),
		    "errno %d", errno);
	TEST_ASSERT_EQ(attach(vm_fd, NR), -EPERM);
}

static void in_user_namespace(int vm_fd)
{
	if (unshare(CLONE_NEWUSER)) {
		TEST_ASSERT(errno == EINVAL, "unshare(): errno %d", errno);
		pr_info("The kernel has no user namespaces\n");
		return;
	}

	/* It is root there. */
	TEST_ASSERT(get_caps() & BIT_ULL(CAP_SYS_PTRACE), "No capability in the namespace");
	TEST_ASSERT_EQ(attach(vm_fd, NR), -EPERM);
}

static void test_privileges(struct tiny_guest *g)
{
	int fds[KVM_MAX_PAGE_TRACKERS], i;

	for (i = 0; i < 20; i++)
		run_as(without_ptrace, g);
	run_as(with_ptrace_only, g);
	run_as(as_user, g);
	run_as(in_user_namespace, g);

	/* Whoever was refused has left nothing. */
	for (i = 0; i < KVM_MAX_PAGE_TRACKERS; i++) {
		fds[i] = attach(g->vm->fd, NR);
		TEST_ASSERT(fds[i] >= 0, "Tracker %d: errno %d", i, -fds[i]);
	}
	while (i--)
		close(fds[i]);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "attaching checks what it is given", test_errors, TG_4LEVEL_BIT },
		{ "it takes CAP_SYS_PTRACE over the VMM", test_privileges, TG_4LEVEL_BIT },
	};

	tracker_require();
	__TEST_REQUIRE(!geteuid(), "Only root has capabilities to give up");
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
