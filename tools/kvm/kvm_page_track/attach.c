// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach.h"
#include "fail.h"
#include "stop.h"
#include "vm.h"

/* So much is added by one call: a signal is heeded between two, and progress shown. */
#define PIECE	(1024 * 1024 * 1024ull)

static int close_with_errno(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

/* A copy of a file descriptor of another process. */
static int copy_fd(pid_t pid, int fd, enum attach_step *step)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), copy;

	*step = NO_PROCESS;
	if (pidfd < 0)
		return -1;

	*step = NO_VM_FD;
	copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	close_with_errno(pidfd);
	return copy;
}

static bool map_ring(struct tracker *t)
{
	t->mapped = PAGE_SIZE + (size_t)t->info.event_size * t->info.nr_events;
	t->ring = mmap(NULL, t->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	return t->ring != MAP_FAILED;
}

enum attach_step try_attach(struct tracker *t, pid_t pid, int vm_fd, __u32 flags,
			    __u32 nr_events)
{
	struct kvm_create_page_tracker create = { .flags = flags, .nr_events = nr_events };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), cap;
	enum attach_step step;

	*t = (struct tracker) { .fd = -1, .pid = pid, .vm_fd = vm_fd };
	if (kvm < 0)
		return NO_KVM;

	cap = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_PAGE_TRACK);
	if (cap <= 0) {
		close(kvm);
		return NO_TRACKING;
	}

	/* So that pages need not be given up. */
	if (cap & KVM_PAGE_TRACK_CAP(KVM_PAGE_TRACK_MODE_WRITE, KVM_PAGE_TRACK_CAP_STEP))
		create.flags |= KVM_PAGE_TRACKER_STEP;

	create.vm_fd = copy_fd(pid, vm_fd, &step);
	if (create.vm_fd < 0) {
		close_with_errno(kvm);
		return step;
	}

	t->fd = ioctl(kvm, KVM_ATTACH_PAGE_TRACKER, &create);
	close_with_errno(create.vm_fd);
	close_with_errno(kvm);
	if (t->fd < 0)
		return NO_TRACKER;

	if (!ioctl(t->fd, KVM_PAGE_TRACK_GET_INFO, &t->info) && map_ring(t))
		return ATTACHED;

	close_with_errno(t->fd);
	return NO_RING;
}

/* Which one, if the user does not say. */
static int only_vm(pid_t pid)
{
	struct vms vms = {};
	int error = find_vms_of(pid, &vms);

	if (error == ENOENT)
		fail(STATUS_NO_PROCESS, "there is no process %d", pid);
	if (error == EACCES)
		fail(STATUS_PERMISSION, "no permission to look into process %d", pid);
	if (error)
		fail(STATUS_OTHER, "cannot look into process %d: %s", pid, strerror(error));
	if (!vms.nr)
		fail(STATUS_NO_VM, "process %d has no VM", pid);
	if (vms.nr > 1)
		fail(STATUS_WHICH_VM,
		     "process %d has %zu VMs: choose one by --vm, \"list\" shows them", pid,
		     vms.nr);
	return vms.list[0].fd;
}

static noreturn void fail_ring(__u32 nr_events)
{
	unsigned long long size = PAGE_SIZE + nr_events * sizeof(struct kvm_page_track_event);
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };
	char size_of_ring[SIZE_TEXT], may_have[SIZE_TEXT];

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		fail(STATUS_OTHER, "no memory for a ring of %u events", nr_events);
	fail(STATUS_MEMLOCK,
	     "a ring of %u events takes %s, RLIMIT_MEMLOCK lets this user have %s in all: take less (--events), or raise it (ulimit -l)",
	     nr_events, size_text(size, size_of_ring), size_text(limit.rlim_cur, may_have));
}

static noreturn void fail_attach(enum attach_step step, struct tracker *t,
				 __u32 nr_events)
{
	int error = errno;

	if (step == NO_KVM && (error == EACCES || error == EPERM))
		fail(STATUS_PERMISSION, "no permission for /dev/kvm: be root, or in its group");
	if (step == NO_KVM)
		fail(STATUS_NO_KVM, "no /dev/kvm (%s): are the modules of KVM loaded?",
		     strerror(error));
	if (step == NO_TRACKING)
		fail(STATUS_NO_TRACKING,
		     "the KVM that is loaded has no page tracking: load that of this program's package");
	if (error == ESRCH || (step == NO_PROCESS && (error == EINVAL || error == ENOENT)))
		fail(STATUS_NO_PROCESS, "there is no process %d", t->pid);
	if (error == EPERM || error == EACCES)
		fail(STATUS_PERMISSION,
		     "no permission to watch process %d: it takes CAP_SYS_PTRACE, as root has it",
		     t->pid);
	if (error == EBADF || (step == NO_TRACKER && error == EINVAL))
		fail(STATUS_WHICH_VM, "file descriptor %d of process %d is not a VM", t->vm_fd,
		     t->pid);
	if (step == NO_TRACKER && error == ENOMEM)
		fail_ring(nr_events);
	if (step == NO_TRACKER && error == EIO)
		fail(STATUS_VM_GONE, "the VM of process %d is dead", t->pid);
	if (step == NO_TRACKER && error == ENOSPC)
		fail(STATUS_OTHER, "the VM has %d page trackers, and may not have more",
		     KVM_MAX_PAGE_TRACKERS);
	if (step == NO_TRACKER && error == EOPNOTSUPP)
		fail(STATUS_OTHER, "KVM cannot read the memory of this VM");
	fail(STATUS_OTHER, "cannot attach to process %d: %s", t->pid, strerror(error));
}

void attach(struct tracker *t, pid_t pid, int vm_fd, __u32 flags, __u32 nr_events)
{
	enum attach_step step;

	/* What is missing is said in the order of what the user can do about it. */
	if (access("/dev/kvm", F_OK)) {
		t->pid = pid;
		fail_attach(NO_KVM, t, nr_events);
	}
	step = try_attach(t, pid, vm_fd < 0 ? only_vm(pid) : vm_fd, flags, nr_events);
	if (step != ATTACHED)
		fail_attach(step, t, nr_events);
}

void detach(struct tracker *t)
{
	munmap(t->ring, t->mapped);
	close(t->fd);
}

struct kvm_page_track_slot *next_slot(struct tracker *t, struct kvm_page_track_slot *slot)
{
	*slot = (struct kvm_page_track_slot) { .gpa = slot->gpa + slot->size };
	return ioctl(t->fd, KVM_PAGE_TRACK_NEXT_SLOT, slot) ? NULL : slot;
}

void check_memory(struct tracker *t, const struct ranges *ranges)
{
	struct kvm_page_track_slot slot = {};
	struct ranges memory = {};
	char text[RANGE_TEXT];
	size_t i;

	while (next_slot(t, &slot))
		add_range(&memory, (struct range) { slot.gpa, slot.gpa + slot.size });
	merge_ranges(&memory);

	for (i = 0; i < ranges->nr; i++) {
		struct range range = ranges->list[i];

		range_text(range, text);
		if ((range.end - 1) / PAGE_SIZE > t->info.max_gfn)
			fail(STATUS_NOT_MEMORY, "%s is beyond what the VM can address", text);
		if (!ranges_meet(&memory, range))
			fail(STATUS_NOT_MEMORY, "the guest has no memory at %s", text);
		if (!ranges_have(&memory, range))
			note("the guest has memory in a part of %s only", text);
	}
}

/* Returns false if the VM is gone. */
static bool track_piece(struct tracker *t, __u64 gpa, __u64 size)
{
	struct kvm_page_track_range range = { .gpa = gpa, .size = size, .action = t->action,
		.mode = KVM_PAGE_TRACK_MODE_WRITE };

	if (!ioctl(t->fd, KVM_PAGE_TRACK_ADD_RANGE, &range))
		return true;
	if (errno == EIO)
		return false;
	fail(errno == EINVAL ? STATUS_NOT_MEMORY : STATUS_OTHER,
	     "cannot track 0x%llx+0x%llx: %s", gpa, size, strerror(errno));
}

void track(struct tracker *t, const struct ranges *pages)
{
	uint64_t total = total_size(pages), done = 0, gpa, size;
	char done_text[SIZE_TEXT], total_text[SIZE_TEXT];
	size_t i;

	size_text(total, total_text);
	for (i = 0; i < pages->nr; i++) {
		for (gpa = pages->list[i].start; gpa < pages->list[i].end; gpa += size) {
			if (stopped())
				return;
			size = pages->list[i].end - gpa;
			if (size > PIECE)
				size = PIECE;
			if (total > PIECE)
				progress("%s of %s are tracked", size_text(done, done_text),
					 total_text);
			if (!track_piece(t, gpa, size))
				fail_gone(t);
			done += size;
		}
	}
}

bool has_event(const struct tracker *t)
{
	return t->ring->tail != __atomic_load_n(&t->ring->head, __ATOMIC_ACQUIRE);
}

bool next_event(struct tracker *t, struct kvm_page_track_event *event)
{
	const char *events = (char *)t->ring + PAGE_SIZE;
	__u32 tail = t->ring->tail;

	if (!has_event(t))
		return false;

	memcpy(event, events + (size_t)(tail % t->info.nr_events) * t->info.event_size,
	       sizeof(*event));
	__atomic_store_n(&t->ring->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

bool tell_lost(struct tracker *t)
{
	__u64 lost = __atomic_load_n(&t->ring->lost, __ATOMIC_RELAXED);

	if (lost == t->lost)
		return false;
	note("%llu events are lost: a larger ring (--events) or --no-loss keeps them",
	     lost - t->lost);
	t->lost = lost;
	return true;
}

void fail_gone(struct tracker *t)
{
	fail(STATUS_VM_GONE, "the VM of process %d is gone", t->pid);
}
