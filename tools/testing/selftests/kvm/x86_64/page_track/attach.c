// SPDX-License-Identifier: GPL-2.0-only
/* A process that runs a VM, and trackers that another one attaches, see attach.h. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach.h"
#include "stats.h"

int try_attach(const struct kvm_create_page_tracker *create)
{
	static int kvm = -1;
	int fd;

	/* Who gives up privileges later has it still. */
	if (kvm < 0)
		kvm = open_kvm_dev_path_or_exit();

	fd = ioctl(kvm, KVM_ATTACH_PAGE_TRACKER, create);
	return fd < 0 ? -errno : fd;
}

int attach(int vm_fd, uint32_t nr_events)
{
	struct kvm_create_page_tracker create = {
		.vm_fd = vm_fd,
		.nr_events = nr_events,
		.flags = KVM_PAGE_TRACKER_LOSSY,
	};

	return try_attach(&create);
}

/* Each number that comes is stored by the guest; if it is VMM_RUN, all that follow as well. */
static void run_vmm(int sock)
{
	struct tiny_guest g;
	uint64_t pages;
	uint32_t val;

	tg_init(&g, TG_4LEVEL);
	tg_map(&g, VMM_VA, VMM_GPA);
	tg_map(&g, VMM_VA + PAGE_SIZE, VMM_GPA + PAGE_SIZE);
	tg_store(&g, VMM_VA, 0, 4);
	tg_store(&g, VMM_VA + PAGE_SIZE, 0, 4);
	if (write(sock, &g.vm->fd, sizeof(int)) != sizeof(int))
		_exit(1);

	while (read(sock, &val, sizeof(val)) == sizeof(val)) {
		while (val == VMM_RUN) {
			for (val = 0; val < VMM_RUN; val++)
				tg_store(&g, VMM_VA, val, 4);
		}
		tg_store(&g, VMM_VA, val, 4);
		pages = tg_stat(&g, "page_track_pages");
		if (write(sock, &pages, sizeof(pages)) != sizeof(pages))
			_exit(1);
	}
	_exit(0);
}

void vmm_start_with(struct vmm *vmm, void (*run)(int sock))
{
	int socks[2];

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, socks), "no sockets");
	vmm->pid = fork();
	if (!vmm->pid) {
		close(socks[0]);
		run(socks[1]);
	}
	close(socks[1]);
	vmm->sock = socks[0];
	TEST_ASSERT(read(vmm->sock, &vmm->vm_fd, sizeof(int)) == sizeof(int), "No VM");
}

void vmm_start(struct vmm *vmm)
{
	vmm_start_with(vmm, run_vmm);
}

uint64_t vmm_store(struct vmm *vmm, uint32_t val)
{
	uint64_t pages;

	TEST_ASSERT(write(vmm->sock, &val, sizeof(val)) == sizeof(val) &&
		    read(vmm->sock, &pages, sizeof(pages)) == sizeof(pages),
		    "The VMM has ended before a store of %u", val);
	return pages;
}

void vmm_run(struct vmm *vmm)
{
	uint32_t val = VMM_RUN;

	TEST_ASSERT(write(vmm->sock, &val, sizeof(val)) == sizeof(val), "errno %d", errno);
}

void vmm_end(struct vmm *vmm)
{
	int status;

	close(vmm->sock);
	TEST_ASSERT_EQ(waitpid(vmm->pid, &status, 0), vmm->pid);
	TEST_ASSERT(!status, "status 0x%x", status);
}

void vmm_kill(struct vmm *vmm)
{
	int status;

	kill(vmm->pid, SIGKILL);
	TEST_ASSERT_EQ(waitpid(vmm->pid, &status, 0), vmm->pid);
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "It ended by itself, status 0x%x", status);
	close(vmm->sock);
}

int vmm_take_fd(struct vmm *vmm)
{
	int pidfd = syscall(__NR_pidfd_open, vmm->pid, 0), fd;

	TEST_ASSERT(pidfd >= 0, "pidfd_open(): errno %d", errno);
	fd = syscall(__NR_pidfd_getfd, pidfd, vmm->vm_fd, 0);
	TEST_ASSERT(fd >= 0, "pidfd_getfd(): errno %d", errno);
	close(pidfd);
	return fd;
}

void attach_to(struct vmm *vmm, struct tracker *t, uint32_t nr_events)
{
	int vm_fd = vmm_take_fd(vmm), fd = attach(vm_fd, nr_events);

	TEST_ASSERT(fd >= 0, "errno %d", -fd);
	/* The tracker keeps the VM. */
	close(vm_fd);
	tracker_map(t, fd, nr_events);
}
