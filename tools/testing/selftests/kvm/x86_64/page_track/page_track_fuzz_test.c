// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random calls of trackers of userspace, most of them with something wrong, while a
 * vCPU writes.  Nothing but the host's health and the errors that are documented is
 * asked for.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)
#define NR_PAGES	16
#define NR_TRACKERS	4

static int nr_calls, kvm_fd;
static bool stop;
static void *bitmap;

static uint64_t pick_edge(void)
{
	static const uint64_t edges[] = {
		0, 1, PAGE_SIZE, 1ul << 32, 1ul << 40, 1ul << 51, 1ul << 52, 1ul << 63,
		-PAGE_SIZE, ~0ul,
	};

	return edges[tg_pick(ARRAY_SIZE(edges))] + (tg_pick(3) - 1) * tg_pick(2) * PAGE_SIZE;
}

static void *write_pages(void *arg)
{
	struct tiny_guest *g = arg;
	struct kvm_run *run = g->vcpu->run;
	struct kvm_regs regs;
	uint32_t i;

	for (i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		regs = (struct kvm_regs) { .rdi = VA + i * 1021 % (NR_PAGES * PAGE_SIZE - 8) };
		tg_start(g, TG_STORE8, &regs);
		vcpu_run(g->vcpu);

		/* Where it is stopped, it goes on with any reply, or does something else. */
		while (!tg_has_ended(g) && i++ % 8) {
			TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK,
				    "exit reason %u", run->exit_reason);
			run->page_track.reply = i % 3;
			vcpu_run(g->vcpu);
		}
	}
	return NULL;
}

static void replace_tracker(struct kvm_vm *vm, int *fd)
{
	struct kvm_create_page_tracker create = {
		.nr_events = tg_pick(4) ? 32 << tg_pick(3) : tg_random(),
		.flags = tg_pick(8) ? tg_pick(8) : tg_random(),
		.reserved[1] = !tg_pick(16),
	};
	int new;

	if (tg_pick(2)) {
		create.vm_fd = tg_pick(8) ? vm->fd : tg_pick(100) - 1;
		new = ioctl(kvm_fd, KVM_ATTACH_PAGE_TRACKER, &create);
	} else {
		create.vm_fd = tg_pick(16) ? 0 : tg_random();
		new = __vm_ioctl(vm, KVM_CREATE_PAGE_TRACKER, &create);
	}

	TEST_ASSERT(new >= 0 || errno == EINVAL || (errno == EBADF && create.vm_fd != vm->fd),
		    "creation: errno %d", errno);
	if (new < 0)
		return;
	if (*fd >= 0)
		close(*fd);
	*fd = new;
}

static void use_ring(int fd)
{
	size_t size = (1 + (1 << tg_pick(3))) * PAGE_SIZE;
	struct kvm_page_track_ring *ring;

	ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED) {
		TEST_ASSERT(errno == EINVAL, "mmap(): errno %d", errno);
		return;
	}
	if (tg_pick(4))
		ring->tail = ring->head;
	else
		memset(ring, tg_random(), size);
	munmap(ring, size);
}

static void change_range(int fd)
{
	static const unsigned long ioctls[] = {
		KVM_PAGE_TRACK_ADD_RANGE, KVM_PAGE_TRACK_ADD_RANGE,
		KVM_PAGE_TRACK_REMOVE_RANGE, KVM_PAGE_TRACK_NEXT_RANGE,
	};
	struct kvm_page_track_range range = {
		.gpa = GPA + tg_pick(NR_PAGES) * PAGE_SIZE,
		.size = (1 + tg_pick(NR_PAGES)) * PAGE_SIZE,
		.action = tg_pick(3),
	};

	/* As it is, or with something random. */
	switch (tg_pick(12)) {
	case 0:
		range.gpa = pick_edge();
		break;
	case 1:
		range.size = pick_edge();
		break;
	case 2:
		range.mode = pick_edge();
		break;
	case 3:
		range.action = pick_edge();
		break;
	case 4:
		range.reserved[tg_pick(5)] = tg_random();
		break;
	case 5:
		range.flags = 1u << tg_pick(32);
		break;
	case 6:
		range.size = 0;
		range.action = 0;
		break;
	}

	if (ioctl(fd, ioctls[tg_pick(ARRAY_SIZE(ioctls))], &range))
		TEST_ASSERT(errno == EINVAL || errno == ENOENT, "a range: errno %d", errno);
}

/* Into a page behind which there is nothing, or to where userspace has none. */
static void collect(int fd)
{
	struct kvm_page_track_collect collect = {
		.gpa = GPA + tg_pick(NR_PAGES) * PAGE_SIZE,
		.size = (1 + tg_pick(NR_PAGES)) * PAGE_SIZE,
		.flags = tg_pick(2) * KVM_PAGE_TRACK_COLLECT_REARM,
		.bitmap = (uintptr_t)bitmap + tg_pick(PAGE_SIZE - 8),
	};

	switch (tg_pick(12)) {
	case 0:
		collect.gpa = pick_edge();
		break;
	case 1:
		collect.size = pick_edge();
		break;
	case 2:
		collect.mode = pick_edge();
		break;
	case 3:
		collect.flags = 1u << tg_pick(32);
		break;
	case 4:
		collect.reserved[tg_pick(8)] = tg_random();
		break;
	case 5:
		collect.bitmap = (uintptr_t)bitmap + PAGE_SIZE - tg_pick(8);
		break;
	case 6:
		collect.bitmap = tg_pick(2) ? -8ul : 0;
		break;
	}

	if (ioctl(fd, KVM_PAGE_TRACK_COLLECT, &collect))
		TEST_ASSERT(errno == EINVAL || errno == EFAULT, "collecting: errno %d", errno);
}

/* Reply to the last event that the ring has, be it a question or not, or nearly so. */
static void send_reply(int fd)
{
	struct kvm_page_track_reply reply = {
		.reply = tg_pick(16) ? tg_pick(3) : tg_random(),
		.flags = tg_pick(16) ? 0 : tg_random(),
		.reserved[1] = tg_pick(16) ? 0 : tg_random(),
	};
	struct kvm_page_track_event *events, *event;
	struct kvm_page_track_ring *ring;
	struct kvm_page_track_info info;
	size_t size;

	TEST_ASSERT(!ioctl(fd, KVM_PAGE_TRACK_GET_INFO, &info), "info: errno %d", errno);
	size = PAGE_SIZE + info.nr_events * info.event_size;
	ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TEST_ASSERT(ring != MAP_FAILED, "mmap(): errno %d", errno);
	events = (void *)ring + PAGE_SIZE;
	event = &events[(ring->head - 1) % info.nr_events];
	reply.seq = event->seq - !tg_pick(8);
	reply.vcpu_id = event->vcpu_id - !tg_pick(8);
	munmap(ring, size);

	if (ioctl(fd, KVM_PAGE_TRACK_REPLY, &reply))
		TEST_ASSERT(errno == EINVAL || errno == ENOENT, "a reply: errno %d", errno);
}

static void ignore(int sig)
{
}

static void ask(int fd)
{
	struct kvm_page_track_slot slot = {
		.gpa = tg_pick(2) ? pick_edge() : tg_data(tg_pick(NR_PAGES)),
		.size = tg_pick(8) ? 0 : tg_random(),
		.as_id = tg_pick(8) ? tg_pick(2) : tg_random(),
		.flags = tg_pick(8) ? 0 : tg_random(),
		.userspace_addr = tg_pick(8) ? 0 : tg_random_u64(),
		.reserved[3] = !tg_pick(8),
	};
	struct kvm_page_track_info info;

	TEST_ASSERT(!ioctl(fd, KVM_PAGE_TRACK_GET_INFO, &info), "info: errno %d", errno);
	if (ioctl(fd, KVM_PAGE_TRACK_NEXT_SLOT, &slot))
		TEST_ASSERT(errno == EINVAL || errno == ENOENT, "a slot: errno %d", errno);
}

static void test_calls(struct tiny_guest *g)
{
	struct sigaction interrupt = { .sa_handler = ignore };
	int i, fds[NR_TRACKERS] = { -1, -1, -1, -1 }, *fd;
	struct tiny_guest writer;
	uint64_t pages;
	pthread_t thread;

	for (i = 0; i < NR_PAGES; i++)
		tg_map(g, VA + i * PAGE_SIZE, GPA + i * PAGE_SIZE);
	tg_store(g, VA, 0, 8);
	pages = tg_stat(g, "page_track_pages");
	tg_add_vcpu(g, &writer, 1);
	TEST_ASSERT(!sigaction(SIGUSR1, &interrupt, NULL), "errno %d", errno);
	pthread_create(&thread, NULL, write_pages, &writer);

	for (i = 0; i < nr_calls; i++) {
		fd = &fds[tg_pick(NR_TRACKERS)];
		if (*fd < 0 || !tg_pick(1000))
			replace_tracker(g->vm, fd);
		else if (!tg_pick(100))
			use_ring(*fd);
		else if (!tg_pick(20))
			ask(*fd);
		else if (!tg_pick(8))
			collect(*fd);
		else if (!tg_pick(4))
			send_reply(*fd);
		else if (!tg_pick(100))
			pthread_kill(thread, SIGUSR1);
		else
			change_range(*fd);
	}

	for (i = 0; i < NR_TRACKERS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);

	/* Nothing is left of what was tracked. */
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "random calls", test_calls, TG_4LEVEL_BIT },
	};
	uint32_t seed;

	tracker_require();
	kvm_fd = open_kvm_dev_path_or_exit();
	bitmap = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	TEST_ASSERT(bitmap != MAP_FAILED && !mprotect(bitmap + PAGE_SIZE, PAGE_SIZE, PROT_NONE),
		    "errno %d", errno);
	nr_calls = tg_get_random_rounds(argc, argv, 200000, &seed);
	tg_seed(seed);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
