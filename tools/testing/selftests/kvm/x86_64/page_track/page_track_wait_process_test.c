// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker that has vCPUs wait, and two processes, of which one is killed or stopped
 * while the vCPU sleeps: nothing hangs, and what the guest writes is written once.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "asleep.h"
#include "attach.h"
#include "cases.h"

/* The other process, and a socket between the two. */
struct other {
	pid_t pid;
	int sock;
};

static void say(int sock)
{
	TEST_ASSERT(write(sock, "", 1) == 1, "errno %d", errno);
}

static void hear(int sock, const char *what)
{
	char byte;

	TEST_ASSERT(read(sock, &byte, 1) == 1, "The other process ended before %s", what);
}

/* Returns true in the new process, with its end of the socket. */
static bool fork_other(struct other *o)
{
	int socks[2];

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, socks), "errno %d", errno);
	o->pid = fork();
	TEST_ASSERT(o->pid >= 0, "errno %d", errno);
	o->sock = socks[!o->pid];
	close(socks[!!o->pid]);
	return !o->pid;
}

/* Kill it, and see it dead soon, of that. */
static void kill_other(struct other *o)
{
	struct pollfd pfd = { .events = POLLIN };
	int status;

	pfd.fd = syscall(__NR_pidfd_open, o->pid, 0);
	TEST_ASSERT(pfd.fd >= 0, "pidfd_open() failed, errno %d", errno);
	kill(o->pid, SIGKILL);
	TEST_ASSERT(poll(&pfd, 1, ASLEEP_TIMEOUT * 1000) == 1, "Not dead %d s after SIGKILL",
		    ASLEEP_TIMEOUT);
	close(pfd.fd);
	TEST_ASSERT(waitpid(o->pid, &status, 0) == o->pid, "No such child");
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "It ended by itself, status 0x%x", status);
	close(o->sock);
}

/* It has the tracker, alone when this process has closed its copy, and knows of a question. */
static void hold(struct tracker *t, struct other *o)
{
	struct kvm_page_track_event event = asleep_get_event(t);
	int r;

	TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_ASKS, "flags 0x%x", event.flags);
	say(o->sock);
	hear(o->sock, "it was to reply");
	r = asleep_reply(t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0);

	/* Without the tracker, nobody skips anything. */
	hear(o->sock, "it was to close the tracker");
	exit(r);
}

static void start_with_holder(struct tiny_guest *g, struct asleep *s, struct other *o)
{
	struct tracker t;

	asleep_init(g, &t, 0);
	if (fork_other(o))
		hold(&t, o);
	tracker_close(&t);
	asleep_start(s, g, TG_STORE4, ASK_VAL);
	hear(o->sock, "it was asked");
	ASLEEP_ASSERT_SLEEPS(s);
}

/* Whoever holds the tracker dies: the write is done as if there were none. */
static void test_kill_holder(struct tiny_guest *g)
{
	struct asleep s;
	struct other o;

	start_with_holder(g, &s, &o);
	kill_other(&o);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
}

/* The same, while the vCPU is out. */
static void test_kill_holder_stopped_vcpu(struct tiny_guest *g)
{
	struct asleep s;
	struct other o;

	start_with_holder(g, &s, &o);
	ASLEEP_INTERRUPT(&s);
	kill_other(&o);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	asleep_go_on(&s, g);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
}

/* Whoever holds the tracker is stopped: the VMM can stop the vCPU all the same. */
static void test_stop_holder(struct tiny_guest *g)
{
	/*
	 * waitpid() may return before SIGCHLD comes.  If that is when a thread is started, with
	 * all signals blocked, it is not ignored but pending, and KVM_RUN ends with EINTR.
	 */
	struct sigaction quiet = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP };
	struct asleep s;
	struct other o;
	int status;

	TEST_ASSERT(!sigaction(SIGCHLD, &quiet, NULL), "errno %d", errno);
	start_with_holder(g, &s, &o);
	kill(o.pid, SIGSTOP);
	TEST_ASSERT(waitpid(o.pid, &status, WUNTRACED) == o.pid && WIFSTOPPED(status),
		    "status 0x%x", status);
	ASLEEP_INTERRUPT(&s);
	asleep_go_on(&s, g);
	ASLEEP_ASSERT_SLEEPS(&s);

	kill(o.pid, SIGCONT);
	say(o.sock);
	ASLEEP_ASSERT_ENDED(&s, 0);
	say(o.sock);
	TEST_ASSERT(waitpid(o.pid, &status, 0) == o.pid && !status, "status 0x%x", status);
	close(o.sock);
}

/* A process that has the VM, and hands its tracker on. */
static void run_vmm(struct other *o)
{
	struct tiny_guest g;
	struct tracker t;
	struct asleep s;

	tg_init(&g, TG_4LEVEL);
	asleep_init(&g, &t, 0);
	tracker_send_fd(o->sock, t.fd);
	tracker_close(&t);
	asleep_start(&s, &g, TG_STORE4, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	say(o->sock);
	pause();
	exit(1);
}

static void test_kill_vmm(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct pollfd pfd = { .events = 0 };
	struct tracker t;
	struct other o;

	if (fork_other(&o))
		run_vmm(&o);
	tracker_map(&t, tracker_receive_fd(o.sock), KVM_PAGE_TRACK_MIN_EVENTS);
	event = asleep_get_event(&t);
	hear(o.sock, "its vCPU sleeps");
	kill_other(&o);

	/* Its memory goes, and nobody is there for the reply. */
	pfd.fd = t.fd;
	TEST_ASSERT(poll(&pfd, 1, ASLEEP_TIMEOUT * 1000) == 1 && pfd.revents == POLLHUP,
		    "revents 0x%x", pfd.revents);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), ENOENT);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The same process has all. */
static void test_kill_all(struct tiny_guest *g)
{
	struct tiny_guest vmm;
	struct tracker t;
	struct asleep s;
	struct other o;

	if (fork_other(&o)) {
		tg_init(&vmm, TG_4LEVEL);
		asleep_init(&vmm, &t, 0);
		asleep_start(&s, &vmm, TG_STORE4, ASK_VAL);
		ASLEEP_ASSERT_SLEEPS(&s);
		say(o.sock);
		pause();
		exit(1);
	}
	hear(o.sock, "its vCPU sleeps");
	kill_other(&o);
}

#define NR_STORES	10

static void *have_stores(void *arg)
{
	uint32_t i;

	for (i = 0; i < NR_STORES; i++)
		vmm_store(arg, i);
	return NULL;
}

/* A tracker that is attached to a VM that runs, whose VMM fails if it notices. */
static void test_attach(struct tiny_guest *g)
{
	struct kvm_create_page_tracker create = {
		.nr_events = KVM_PAGE_TRACK_MIN_EVENTS,
		.flags = KVM_PAGE_TRACKER_WAIT,
	};
	struct kvm_page_track_event event;
	pthread_t thread;
	struct tracker t;
	struct vmm vmm;
	uint32_t i;
	int fd;

	vmm_start(&vmm);
	create.vm_fd = vmm_take_fd(&vmm);
	fd = try_attach(&create);
	TEST_ASSERT(fd >= 0, "errno %d", -fd);
	close(create.vm_fd);
	tracker_map(&t, fd, create.nr_events);
	tracker_add(&t, VMM_GPA, PAGE_SIZE, TRACKER_EXIT);

	pthread_create(&thread, NULL, have_stores, &vmm);
	for (i = 0; i < NR_STORES; i++) {
		event = asleep_get_event(&t);
		TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_ASKS, "flags 0x%x", event.flags);
		TEST_ASSERT_EQ(event.gpa, VMM_GPA);
		TEST_ASSERT_EQ(*(uint32_t *)event.data, i);
		TEST_ASSERT_EQ(asleep_reply(&t, &event, i % 3, i + 1), 0);
	}
	pthread_join(thread, NULL);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
	vmm_end(&vmm);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "who holds the tracker is killed", test_kill_holder, TG_4LEVEL_BIT },
		{ "who holds the tracker is killed, the vCPU is out",
		  test_kill_holder_stopped_vcpu, TG_4LEVEL_BIT },
		{ "who holds the tracker is stopped", test_stop_holder, TG_4LEVEL_BIT },
		{ "the VMM is killed", test_kill_vmm, TG_4LEVEL_BIT },
		{ "a process with VM and tracker is killed", test_kill_all, TG_4LEVEL_BIT },
		{ "a tracker is attached to a VM that runs", test_attach, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
