// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker of a VM that another process runs, which knows nothing of trackers and
 * never notices.  The one who attaches does, if that process goes.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cases.h"

#define GPA	VMM_GPA
#define NR	KVM_PAGE_TRACK_MIN_EVENTS
#define TIMEOUT	30	/* seconds: only a bug takes this long */

static void assert_value(struct tracker *t, uint32_t val)
{
	struct kvm_page_track_event event;

	TEST_ASSERT(tracker_pop(t, &event), "No event of %u", val);
	TEST_ASSERT(event.gpa == GPA && event.len == 4 && !memcmp(event.data, &val, 4) &&
		    event.phase == KVM_PAGE_TRACK_PHASE_AFTER && !event.vcpu_id,
		    "An event of 0x%llx, %u bytes, instead of %u", event.gpa, event.len, val);
}

static void test_watch(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct kvm_page_track_slot slot = {};
	uint64_t pages;
	struct tracker t;
	struct vmm vmm;
	int i;

	vmm_start(&vmm);
	pages = vmm_store(&vmm, 1);
	attach_to(&vmm, &t, NR);
	TEST_ASSERT_EQ(vmm_store(&vmm, 2), pages);

	TEST_ASSERT_EQ(ioctl(t.fd, KVM_PAGE_TRACK_NEXT_SLOT, &slot), 0);
	TEST_ASSERT_EQ(slot.gpa, TG_CODE_GPA);
	TEST_ASSERT_EQ(slot.size, TG_CODE_PAGES * PAGE_SIZE);

	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT_EQ(vmm_store(&vmm, 3), pages + 1);
	assert_value(&t, 3);

	/* A full ring is not the VMM's business. */
	for (i = 0; i < NR + 10; i++)
		vmm_store(&vmm, i);
	for (i = 0; i < NR; i++)
		assert_value(&t, i);
	TRACKER_ASSERT_EMPTY(&t);
	TEST_ASSERT_EQ(t.ring->lost, 10);
	t.seq += 10;

	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_ONCE);
	TEST_ASSERT_EQ(vmm_store(&vmm, 4), pages);
	TEST_ASSERT(tracker_pop(&t, &event), "No event of once");
	TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED, "flags 0x%x", event.flags);
	vmm_store(&vmm, 5);
	TRACKER_ASSERT_EMPTY(&t);

	/* Whoever asks has to be the VMM, which has to know what that is. */
	TEST_ASSERT_EQ(tracker_ioctl(&t, KVM_PAGE_TRACK_ADD_RANGE, GPA, PAGE_SIZE, TRACKER_EXIT),
		       EINVAL);
	TEST_ASSERT_EQ(vmm_store(&vmm, 6), pages);

	tracker_add(&t, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT_EQ(vmm_store(&vmm, 7), pages + 2);
	tracker_close(&t);
	TEST_ASSERT_EQ(vmm_store(&vmm, 8), pages);
	vmm_end(&vmm);
}

/* The guest runs all the time.  Nothing is lost until the ring is full. */
static void test_running(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	uint32_t last = 0, val;
	int round, i;
	struct tracker t;
	struct vmm vmm;

	vmm_start(&vmm);
	vmm_run(&vmm);

	for (round = 0; round < 5; round++) {
		attach_to(&vmm, &t, 1024);
		tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
		for (i = 0; i < 100; i++) {
			while (!tracker_count(&t))
				TEST_ASSERT(tracker_poll(&t, TIMEOUT * 1000), "No event");
			TEST_ASSERT(tracker_pop(&t, &event), "No event");
			memcpy(&val, event.data, sizeof(val));
			/* The last tracker and this one may both be told of one write. */
			TEST_ASSERT(i ? val == last + 1 : val >= last || !round,
				    "%u behind %u", val, last);
			last = val;
		}
		tracker_close(&t);
	}

	vmm_kill(&vmm);
}

static pid_t poller;

static void *await_hup(void *arg)
{
	struct pollfd pfd = { .fd = *(int *)arg };

	__atomic_store_n(&poller, gettid(), __ATOMIC_RELEASE);
	/* Not for events, of which there are more and more. */
	return poll(&pfd, 1, TIMEOUT * 1000) == 1 && pfd.revents == POLLHUP ? arg : NULL;
}

/* Wait until the other thread sleeps, which it does nowhere but in poll(). */
static void await_sleep(void)
{
	char name[64], line[128] = "";
	FILE *file;

	while (!__atomic_load_n(&poller, __ATOMIC_ACQUIRE))
		usleep(1000);
	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", poller);
	while (!strstr(line, ") S ")) {
		file = fopen(name, "r");
		TEST_ASSERT(file && fgets(line, sizeof(line), file), "poll() has returned");
		fclose(file);
	}
}

static bool has_debugfs_dir(struct vmm *vmm)
{
	char name[64];

	snprintf(name, sizeof(name), "/sys/kernel/debug/kvm/%d-%d", vmm->pid, vmm->vm_fd);
	return !access(name, F_OK);
}

static void test_killed(struct tiny_guest *g)
{
	struct pollfd pfd = { .events = POLLIN };
	struct kvm_page_track_info info;
	bool debugfs;
	pthread_t thread;
	struct tracker t;
	struct vmm vmm;
	void *hup;

	vmm_start(&vmm);
	debugfs = has_debugfs_dir(&vmm);
	attach_to(&vmm, &t, NR);
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	vmm_run(&vmm);
	TEST_ASSERT(tracker_poll(&t, TIMEOUT * 1000), "No event");
	pthread_create(&thread, NULL, await_hup, &t.fd);
	await_sleep();

	vmm_kill(&vmm);
	pthread_join(thread, &hup);
	TEST_ASSERT(hup, "poll() was not woken when the VMM was killed");

	/* From then on, with the events that are left. */
	pfd.fd = t.fd;
	TEST_ASSERT(poll(&pfd, 1, 0) == 1 && pfd.revents == (POLLIN | POLLHUP), "0x%x",
		    pfd.revents);
	t.ring->tail = t.ring->head;
	TEST_ASSERT(poll(&pfd, 1, 0) == 1 && pfd.revents == POLLHUP, "0x%x", pfd.revents);

	/* The VM is there as long as the tracker is, and then gone. */
	TEST_ASSERT_EQ(ioctl(t.fd, KVM_PAGE_TRACK_GET_INFO, &info), 0);
	tracker_add(&t, GPA, 2 * PAGE_SIZE, TRACKER_ONCE);
	tracker_remove(&t, GPA, PAGE_SIZE);
	TEST_ASSERT_EQ(has_debugfs_dir(&vmm), debugfs);
	tracker_close(&t);
	TEST_ASSERT(!has_debugfs_dir(&vmm), "The VM is not gone");
}

/* By the file descriptor of a VM whose VMM has gone: too late, and harmless. */
static void test_too_late(struct tiny_guest *g)
{
	struct pollfd pfd = {};
	struct vmm vmm;
	int vm_fd;

	vmm_start(&vmm);
	vm_fd = vmm_take_fd(&vmm);
	vmm_end(&vmm);
	pfd.fd = attach(vm_fd, NR);
	TEST_ASSERT(pfd.fd >= 0, "errno %d", -pfd.fd);
	TEST_ASSERT(poll(&pfd, 1, 0) == 1 && pfd.revents == POLLHUP, "0x%x", pfd.revents);
	close(vm_fd);
	close(pfd.fd);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a VM is watched by another process", test_watch, TG_4LEVEL_BIT, true },
		{ "trackers come and go while the guest runs", test_running, TG_4LEVEL_BIT },
		{ "poll() tells that the VMM was killed", test_killed, TG_4LEVEL_BIT },
		{ "attaching to a VM that has ended", test_too_late, TG_4LEVEL_BIT },
	};

	tracker_require();
	__TEST_REQUIRE(!geteuid(), "Only root may attach");
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
