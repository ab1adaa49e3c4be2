// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU waits in KVM_RUN for whoever serves a userfaultfd, maybe for ever.  No call
 * on a tracker waits for it, and nobody who holds a tracker hangs when killed.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"
#include "userfault.h"

#define VA		0x40000000ul
#define GPA		tg_data(0)
#define MISSING_VA	(VA + 16 * PAGE_SIZE)
#define MISSING_GPA	tg_data(16)
#define COPIED		0x5a5a5a5aul
#define TIMEOUT		20	/* seconds: only a bug takes this long */

/* A vCPU that loads from a page that is missing, and whoever has the page. */
struct sleeper {
	struct tiny_guest *g;
	pthread_t thread;
	int uffd;
	uint64_t got;
};

static void *load_missing(void *arg)
{
	struct sleeper *s = arg;

	s->got = tg_load(s->g, MISSING_VA);
	return NULL;
}

/* Returns whether @thread has ended, or ends soon. */
static bool join(pthread_t thread)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += TIMEOUT;
	return !pthread_timedjoin_np(thread, NULL, &end);
}

static void *missing_page(struct tiny_guest *g)
{
	return addr_gpa2hva(g->vm, MISSING_GPA);
}

static void start(struct sleeper *s, struct tiny_guest *g)
{
	s->g = g;
	s->got = 0;
	tg_map(g, VA, GPA);
	tg_map(g, MISSING_VA, MISSING_GPA);
	s->uffd = userfault_open(missing_page(g));
	pthread_create(&s->thread, NULL, load_missing, s);
	TEST_ASSERT(userfault_await(s->uffd), "The vCPU does not wait for its page");
}

static void give_page(struct sleeper *s)
{
	static uint64_t page[PAGE_SIZE / 8] __aligned(PAGE_SIZE) = { COPIED };

	userfault_give(s->uffd, missing_page(s->g), page);
}

static void finish(struct sleeper *s)
{
	TEST_ASSERT(!s->got, "The vCPU did not wait");
	give_page(s);
	TEST_ASSERT(join(s->thread), "The vCPU has its page and does not go on");
	TEST_ASSERT_EQ(s->got, COPIED);
	close(s->uffd);
}

/* What must not wait for the vCPU, in a thread: it could not be interrupted. */
struct job {
	const char *what;
	void (*fn)(struct tiny_guest *g, struct tracker *t);
	struct tiny_guest *g;
	struct tracker *t;
};

static void *do_job(void *arg)
{
	struct job *job = arg;

	job->fn(job->g, job->t);
	return NULL;
}

static void add(struct tiny_guest *g, struct tracker *t)
{
	tracker_add(t, GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(t, GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_ONCE);
	tracker_add(t, MISSING_GPA, PAGE_SIZE, TRACKER_NOTIFY);
}

static void rm(struct tiny_guest *g, struct tracker *t)
{
	tracker_remove(t, GPA, PAGE_SIZE);
	tracker_remove(t, MISSING_GPA, PAGE_SIZE);
}

static void create(struct tiny_guest *g, struct tracker *t)
{
	tracker_create(g->vm, t, 64, 0, 0);
}

static void close_ring(struct tiny_guest *g, struct tracker *t)
{
	tracker_close(t);
}

static void close_before_ring(struct tiny_guest *g, struct tracker *t)
{
	TEST_ASSERT(!close(t->fd), "close() failed, errno %d", errno);
	tracker_unmap(t);
}

/* The tracker was there before there was no room for its file descriptor. */
static void create_without_room(struct tiny_guest *g, struct tracker *t)
{
	struct kvm_create_page_tracker create = { .nr_events = 64 };
	struct rlimit limit, none = {};
	int fd, err;

	getrlimit(RLIMIT_NOFILE, &limit);
	none.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	fd = __vm_ioctl(g->vm, KVM_CREATE_PAGE_TRACKER, &create);
	err = errno;
	setrlimit(RLIMIT_NOFILE, &limit);
	TEST_ASSERT(fd < 0 && err == EMFILE, "errno %d", err);
}

static void list(struct tiny_guest *g, struct tracker *t)
{
	struct kvm_page_track_range range;

	TEST_ASSERT_EQ(tracker_next(t, 0, &range), 0);
	TEST_ASSERT_EQ(range.gpa, GPA + PAGE_SIZE);
}

/* What waits for the vCPU on any KVM: to change the slots.  Nobody waits for that. */
static void *add_slot(void *arg)
{
	vm_userspace_mem_region_add(arg, VM_MEM_SRC_ANONYMOUS, 1ul << 32, TG_NR_SLOTS, 16, 0);
	return NULL;
}

static void test_calls(struct tiny_guest *g)
{
	struct tracker first, second;
	struct job jobs[] = {
		{ "adding a range", add, g, &first },
		{ "removing a range", rm, g, &first },
		{ "listing ranges", list, g, &first },
		{ "a creation", create, g, &second },
		{ "adding a range to another tracker", add, g, &second },
		{ "a creation that fails", create_without_room, g },
		{ "close() before munmap()", close_before_ring, g, &second },
		{ "close()", close_ring, g, &first },
	};
	uint64_t pages, emulated;
	struct sleeper s;
	pthread_t thread, slot;
	bool ended;
	int i;

	tg_map(g, VA, GPA);
	TG_ASSERT_LOAD(g, VA, GPA);
	pages = tg_stat(g, "page_track_pages");
	tracker_create(g->vm, &first, 64, 0, 0);
	start(&s, g);
	pthread_create(&slot, NULL, add_slot, g->vm);

	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		pthread_create(&thread, NULL, do_job, &jobs[i]);
		ended = join(thread);
		if (!ended)
			give_page(&s);
		TEST_ASSERT(ended, "Finding 8: %s waits for a vCPU that waits for its page",
			    jobs[i].what);
	}

	/* All is undone, and the guest may write as it likes. */
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
	finish(&s);
	TEST_ASSERT(join(slot), "The slot is not there");
	emulated = tg_vcpu_stat(g, "pf_emulate");
	tg_store(g, VA + 8, 1, 4);
	tg_store(g, MISSING_VA + 8, 1, 4);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);
}

/* What the vCPU waits for is given by nobody until the VM is as good as gone. */
static void test_last_reference(struct tiny_guest *g)
{
	struct tiny_guest other;
	struct tracker t;
	struct sleeper s;

	tg_init(&other, TG_4LEVEL);
	start(&s, &other);
	tracker_create(other.vm, &t, 64, 0, 0);
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_close(&t);
	finish(&s);

	/* The tracker may be freed by now, or not. */
	tg_free(&other);
}

/* Is process @pid, which is killed, gone soon? */
static bool await_death(pid_t pid)
{
	struct pollfd pfd = { .events = POLLIN };
	int status;
	bool dead;

	pfd.fd = syscall(__NR_pidfd_open, pid, 0);
	TEST_ASSERT(pfd.fd >= 0, "pidfd_open() failed, errno %d", errno);
	dead = poll(&pfd, 1, TIMEOUT * 1000) == 1;
	close(pfd.fd);
	if (!dead)
		return false;

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "No such child");
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "It ended by itself, status 0x%x", status);
	return true;
}

static void say(int pipe)
{
	if (write(pipe, "", 1) != 1)
		_exit(1);
}

static void hear(int pipe, const char *what)
{
	char byte;

	TEST_ASSERT(read(pipe, &byte, 1) == 1, "The other process ended before %s", what);
}

/*
 * A process that serves the page faults and has the tracker, nobody else does.  Its
 * files are closed in an order that depends on their numbers.
 */
static void hold(struct sleeper *s, int tracker, bool tracker_low, int pipe)
{
	int low = 100, high = 101;

	TEST_ASSERT(dup2(tracker, tracker_low ? low : high) >= 0 &&
		    dup2(s->uffd, tracker_low ? high : low) >= 0, "errno %d", errno);
	close(tracker);
	close(s->uffd);
	say(pipe);
	if (!userfault_await(tracker_low ? high : low))
		_exit(1);
	say(pipe);
	pause();
	_exit(1);
}

static void kill_holder(struct tiny_guest *g, bool tracker_low)
{
	struct kvm_create_page_tracker create = { .nr_events = 64 };
	struct sleeper s = { .g = g };
	struct tracker t;
	uint64_t pages;
	int pipes[2];
	pid_t pid;

	tg_map(g, VA, GPA);
	tg_map(g, MISSING_VA, MISSING_GPA);
	TG_ASSERT_LOAD(g, VA, GPA);
	pages = tg_stat(g, "page_track_pages");
	s.uffd = userfault_open(missing_page(g));
	t.fd = __vm_ioctl(g->vm, KVM_CREATE_PAGE_TRACKER, &create);
	TEST_ASSERT(t.fd >= 0, KVM_IOCTL_ERROR(KVM_CREATE_PAGE_TRACKER, t.fd));
	tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);

	TEST_ASSERT(!pipe(pipes), "errno %d", errno);
	pid = fork();
	if (!pid)
		hold(&s, t.fd, tracker_low, pipes[1]);
	close(t.fd);
	close(s.uffd);
	close(pipes[1]);
	hear(pipes[0], "the vCPU has started");

	pthread_create(&s.thread, NULL, load_missing, &s);
	hear(pipes[0], "the vCPU waits for its page");
	kill(pid, SIGKILL);
	TEST_ASSERT(await_death(pid), "Finding 8: not dead %d s after SIGKILL, tracker %s",
		    TIMEOUT, tracker_low ? "below userfaultfd" : "above userfaultfd");

	/* Its page is an empty one, now that nobody has another. */
	TEST_ASSERT(join(s.thread), "The vCPU still waits");
	TEST_ASSERT_EQ(s.got, 0);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages);
	close(pipes[0]);
}

static void test_kill_tracker_low(struct tiny_guest *g)
{
	kill_holder(g, true);
}

static void test_kill_tracker_high(struct tiny_guest *g)
{
	kill_holder(g, false);
}

/* A process that has all: VM, vCPU, tracker and userfaultfd. */
static void test_kill_vmm(struct tiny_guest *g)
{
	struct tiny_guest vmm;
	struct sleeper s;
	struct tracker t;
	int pipes[2];
	pid_t pid;

	TEST_ASSERT(!pipe(pipes), "errno %d", errno);
	pid = fork();
	if (!pid) {
		tg_init(&vmm, TG_4LEVEL);
		tracker_create(vmm.vm, &t, 64, 0, 0);
		start(&s, &vmm);
		tracker_add(&t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
		say(pipes[1]);
		pause();
		_exit(1);
	}
	close(pipes[1]);

	hear(pipes[0], "its vCPU waits");
	kill(pid, SIGKILL);
	TEST_ASSERT(await_death(pid), "Finding 8: not dead %d s after SIGKILL", TIMEOUT);
	close(pipes[0]);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "no call waits for a vCPU that waits", test_calls, TG_4LEVEL_BIT },
		{ "the VM goes right behind the tracker", test_last_reference, TG_4LEVEL_BIT },
		{ "a holder dies, tracker below userfaultfd", test_kill_tracker_low,
		  TG_4LEVEL_BIT },
		{ "a holder dies, tracker above userfaultfd", test_kill_tracker_high,
		  TG_4LEVEL_BIT },
		{ "a VMM dies", test_kill_vmm, TG_4LEVEL_BIT },
	};

	tracker_require();
	userfault_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
