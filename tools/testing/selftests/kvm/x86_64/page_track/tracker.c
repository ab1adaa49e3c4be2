// SPDX-License-Identifier: GPL-2.0-only
/* A tracker of userspace, see tracker.h. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "kselftest.h"
#include "tracker.h"

static size_t ring_size(uint32_t nr_events)
{
	return PAGE_SIZE + nr_events * sizeof(struct kvm_page_track_event);
}

void tracker_require(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_X86_PAGE_TRACK));
}

void tracker_map(struct tracker *t, int fd, uint32_t nr_events)
{
	t->fd = fd;
	t->nr_events = nr_events;
	t->seq = 0;
	t->ring = mmap(NULL, ring_size(nr_events), PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);
	TEST_ASSERT(t->ring != MAP_FAILED, "mmap() of the ring failed, errno %d", errno);
	t->events = (void *)t->ring + PAGE_SIZE;
	TEST_ASSERT_EQ(t->ring->nr_events, nr_events);
}

void tracker_create(struct kvm_vm *vm, struct tracker *t, uint32_t nr_events,
		    uint32_t flags, uint64_t user_data)
{
	struct kvm_create_page_tracker create = {
		.flags = flags,
		.nr_events = nr_events,
		.user_data = user_data,
	};
	int fd = __vm_ioctl(vm, KVM_CREATE_PAGE_TRACKER, &create);

	TEST_ASSERT(fd >= 0, KVM_IOCTL_ERROR(KVM_CREATE_PAGE_TRACKER, fd));
	tracker_map(t, fd, nr_events);
}

void tracker_unmap(struct tracker *t)
{
	TEST_ASSERT(!munmap(t->ring, ring_size(t->nr_events)), "munmap() failed");
}

void tracker_close(struct tracker *t)
{
	tracker_unmap(t);
	TEST_ASSERT(!close(t->fd), "close() failed, errno %d", errno);
}

int tracker_ioctl(struct tracker *t, unsigned long ioctl_nr, uint64_t gpa,
		  uint64_t size, uint32_t action)
{
	struct kvm_page_track_range range = {
		.gpa = gpa,
		.size = size,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.action = action,
	};

	return ioctl(t->fd, ioctl_nr, &range) ? errno : 0;
}

void tracker_add(struct tracker *t, uint64_t gpa, uint64_t size, uint32_t action)
{
	int r = tracker_ioctl(t, KVM_PAGE_TRACK_ADD_RANGE, gpa, size, action);

	TEST_ASSERT(!r, "Adding 0x%lx, 0x%lx: errno %d", gpa, size, r);
}

void tracker_remove(struct tracker *t, uint64_t gpa, uint64_t size)
{
	int r = tracker_ioctl(t, KVM_PAGE_TRACK_REMOVE_RANGE, gpa, size, 0);

	TEST_ASSERT(!r, "Removing 0x%lx, 0x%lx: errno %d", gpa, size, r);
}

int tracker_next(struct tracker *t, uint64_t gpa, struct kvm_page_track_range *range)
{
	*range = (struct kvm_page_track_range) { .gpa = gpa };
	return ioctl(t->fd, KVM_PAGE_TRACK_NEXT_RANGE, range) ? errno : 0;
}

int tracker_collect(struct tracker *t, uint64_t gpa, uint64_t size, uint32_t flags,
		    void *bitmap)
{
	struct kvm_page_track_collect collect = {
		.gpa = gpa,
		.size = size,
		.bitmap = (uintptr_t)bitmap,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.flags = flags,
	};

	return ioctl(t->fd, KVM_PAGE_TRACK_COLLECT, &collect) ? errno : 0;
}

uint64_t tracker_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ul + ts.tv_nsec;
}

uint32_t tracker_count(struct tracker *t)
{
	return __atomic_load_n(&t->ring->head, __ATOMIC_ACQUIRE) - t->ring->tail;
}

bool tracker_pop(struct tracker *t, struct kvm_page_track_event *event)
{
	uint32_t tail = t->ring->tail;

	if (!tracker_count(t))
		return false;

	*event = t->events[tail % t->nr_events];
	__atomic_store_n(&t->ring->tail, tail + 1, __ATOMIC_RELEASE);

	TEST_ASSERT(event->seq == t->seq, "Event %llu where %lu has to be",
		    event->seq, t->seq);
	TEST_ASSERT(event->time && event->time <= tracker_now(),
		    "Event %llu is of %llu ns, now is %lu", event->seq, event->time,
		    tracker_now());
	t->seq++;
	return true;
}

bool tracker_pop_finished(struct tracker *t, struct kvm_page_track_event *event)
{
	do {
		if (!tracker_pop(t, event))
			return false;
	} while (event->flags & KVM_PAGE_TRACK_EVENT_UNFINISHED);

	return true;
}

bool tracker_poll(struct tracker *t, int timeout_ms)
{
	struct pollfd pfd = { .fd = t->fd, .events = POLLIN };
	int r = poll(&pfd, 1, timeout_ms);

	TEST_ASSERT(r >= 0 && !(pfd.revents & ~POLLIN), "poll() returned %d, 0x%x", r,
		    pfd.revents);
	return r;
}

struct kvm_page_track_event tracker_write_event(struct tiny_guest *g, uint64_t gva,
						uint64_t gpa, const void *data,
						uint16_t len)
{
	struct kvm_page_track_event event = {
		.gpa = gpa,
		.gva = gva,
		.cr3 = g->root,
		.vcpu_id = g->vcpu->id,
		.len = len,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.phase = KVM_PAGE_TRACK_PHASE_AFTER,
		.flags = KVM_PAGE_TRACK_EVENT_GVA,
	};

	if (len > sizeof(event.data))
		event.flags |= KVM_PAGE_TRACK_EVENT_TRUNCATED;
	memcpy(event.data, data, len < sizeof(event.data) ? len : sizeof(event.data));
	return event;
}

struct kvm_page_track_event tracker_untracked_event(struct tiny_guest *g, uint64_t gva,
						    uint64_t gpa)
{
	struct kvm_page_track_event event = tracker_write_event(g, gva, gpa, NULL, 0);

	event.phase = KVM_PAGE_TRACK_PHASE_BEFORE;
	event.flags |= KVM_PAGE_TRACK_EVENT_UNTRACKED;
	if (!tg_shadowed()) {
		event.gva = 0;
		event.flags &= ~KVM_PAGE_TRACK_EVENT_GVA;
	}
	return event;
}

static void print_event(const char *what, const struct kvm_page_track_event *e)
{
	int i;

	pr_info("%s event %llu: gpa 0x%llx gva 0x%llx rip 0x%llx cr3 0x%llx vcpu %u len %u mode %u phase %u flags 0x%x reserved 0x%x data",
		what, e->seq, e->gpa, e->gva, e->rip, e->cr3, e->vcpu_id, e->len,
		e->mode, e->phase, e->flags, e->reserved);
	for (i = 0; i < sizeof(e->data); i++)
		pr_info("%s%02x", i % 8 ? "" : " ", e->data[i]);
	pr_info("\n");
}

void tracker_assert_event(struct tracker *t, const struct kvm_page_track_event *want,
			  const char *file, unsigned int line)
{
	struct kvm_page_track_event full = *want, got;

	test_assert(tracker_pop(t, &got), "event", file, line,
		    "No event for gpa 0x%llx", want->gpa);

	full.seq = got.seq;
	full.time = got.time;
	if (!full.rip)
		full.rip = got.rip;
	if (memcmp(&full, &got, sizeof(got))) {
		print_event("Wanted", &full);
		print_event("Got", &got);
		test_assert(false, "event", file, line, "Not the event wanted");
	}
}

void tracker_assert_empty(struct tracker *t, const char *file, unsigned int line)
{
	struct kvm_page_track_event got;

	if (tracker_pop(t, &got)) {
		print_event("Got", &got);
		test_assert(false, "no event", file, line, "An event too many");
	}
}

void tracker_assert_asked(struct tiny_guest *g, uint64_t gva, uint64_t gpa, const void *data,
			  uint16_t len, const char *file, unsigned int line)
{
	struct kvm_run *run = g->vcpu->run;
	uint32_t flags = KVM_PAGE_TRACK_EVENT_GVA;

	if (len > sizeof(run->page_track.data))
		flags |= KVM_PAGE_TRACK_EVENT_TRUNCATED;

	test_assert(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS,
		    "question", file, line, "exit reason %u (%s)", run->exit_reason,
		    exit_reason_str(run->exit_reason));
	test_assert(run->page_track.flags == flags && run->page_track.gpa == gpa &&
		    run->page_track.gva == gva && run->page_track.len == len &&
		    run->page_track.mode == KVM_PAGE_TRACK_MODE_WRITE &&
		    run->page_track.reply == KVM_PAGE_TRACK_REPLY_ALLOW,
		    "that question", file, line,
		    "gpa 0x%llx gva 0x%llx len %u mode %u flags 0x%x reply %u, wanted 0x%lx 0x%lx %u",
		    run->page_track.gpa, run->page_track.gva, run->page_track.len,
		    run->page_track.mode, run->page_track.flags, run->page_track.reply,
		    gpa, gva, len);
	test_assert(len > sizeof(run->page_track.data) ||
		    !memcmp(run->page_track.data, data, len),
		    "those bytes", file, line, "Not the bytes that the guest writes");
}

void tracker_reply(struct tiny_guest *g, uint8_t reply, const void *data)
{
	struct kvm_run *run = g->vcpu->run;

	run->page_track.reply = reply;
	if (data)
		memcpy(run->page_track.data, data, run->page_track.len);
	vcpu_run(g->vcpu);
}

void tracker_send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = {}, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	TEST_ASSERT(sendmsg(sock, &msg, 0) == 1, "sendmsg() failed, errno %d", errno);
}

int tracker_receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}
