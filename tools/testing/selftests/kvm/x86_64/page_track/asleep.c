// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU that sleeps in KVM_RUN for a tracker, see asleep.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "asleep.h"

/* The function of the kernel that such a vCPU is in. */
#define SLEEPS_IN	"page_track_sleep"

void asleep_init(struct tiny_guest *g, struct tracker *t, uint32_t flags)
{
	tg_map(g, ASK_VA, ASK_GPA);
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	tracker_create(g->vm, t, KVM_PAGE_TRACK_MIN_EVENTS, flags | KVM_PAGE_TRACKER_WAIT, 0);
	tracker_add(t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
}

static void ignore(int sig)
{
}

static void *run(void *arg)
{
	struct asleep *s = arg;

	__atomic_store_n(&s->tid, syscall(__NR_gettid), __ATOMIC_RELEASE);
	s->ret = __vcpu_run(s->g->vcpu);
	s->error = errno;
	TEST_ASSERT(s->ret || s->g->vcpu->run->exit_reason != KVM_EXIT_PAGE_TRACK,
		    "The VMM gets KVM_EXIT_PAGE_TRACK, of which it does not know");
	__atomic_store_n(&s->returned, true, __ATOMIC_RELEASE);
	return NULL;
}

void asleep_go_on(struct asleep *s, struct tiny_guest *g)
{
	struct sigaction interrupt = { .sa_handler = ignore };

	*s = (struct asleep) { .g = g };
	TEST_ASSERT(!sigaction(SIGUSR1, &interrupt, NULL), "errno %d", errno);
	TEST_ASSERT(!pthread_create(&s->thread, NULL, run, s), "No thread");
	while (!__atomic_load_n(&s->tid, __ATOMIC_ACQUIRE))
		sched_yield();
}

void asleep_start(struct asleep *s, struct tiny_guest *g, enum tg_op op, uint32_t val)
{
	struct kvm_regs regs = { .rdi = ASK_VA, .rax = val };

	tg_start(g, op, &regs);
	asleep_go_on(s, g);
}

/* The function in which the kernel has @tid sleep. */
static void get_wchan(pid_t tid, char *name, size_t size)
{
	char path[64];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", tid);
	f = fopen(path, "r");
	len = f ? fread(name, 1, size - 1, f) : 0;
	name[len] = 0;
	if (f)
		fclose(f);
}

void asleep_assert_sleeps(struct asleep *s, const char *file, unsigned int line)
{
	time_t end = time(NULL) + ASLEEP_TIMEOUT;
	char name[128];

	do {
		test_assert(!__atomic_load_n(&s->returned, __ATOMIC_ACQUIRE), "sleeps", file,
			    line, "KVM_RUN has returned %d, errno %d, exit reason %u", s->ret,
			    s->error, s->g->vcpu->run->exit_reason);
		get_wchan(s->tid, name, sizeof(name));
		if (!strncmp(name, SLEEPS_IN, strlen(SLEEPS_IN)))
			return;
		sched_yield();
	} while (time(NULL) < end);

	test_assert(false, "sleeps", file, line, "The vCPU is at %s", name);
}

void asleep_join(struct asleep *s)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += ASLEEP_TIMEOUT;
	TEST_ASSERT(!pthread_timedjoin_np(s->thread, NULL, &end), "KVM_RUN does not return");
}

void asleep_assert_ended(struct asleep *s, uint32_t want, const char *file,
			 unsigned int line)
{
	asleep_join(s);
	test_assert(!s->ret && tg_has_ended(s->g), "ended", file, line,
		    "KVM_RUN returned %d, errno %d, exit reason %u", s->ret, s->error,
		    s->g->vcpu->run->exit_reason);
	test_assert(ask_mem(s->g) == want, "memory", file, line,
		    "0x%x is in memory, wanted 0x%x", ask_mem(s->g), want);
}

void asleep_interrupt(struct asleep *s, const char *file, unsigned int line)
{
	pthread_kill(s->thread, SIGUSR1);
	asleep_join(s);
	test_assert(s->ret == -1 && s->error == EINTR &&
		    s->g->vcpu->run->exit_reason == KVM_EXIT_INTR, "EINTR", file, line,
		    "KVM_RUN returned %d, errno %d, exit reason %u", s->ret, s->error,
		    s->g->vcpu->run->exit_reason);
}

struct kvm_page_track_event asleep_get_event(struct tracker *t)
{
	struct kvm_page_track_event event;

	TEST_ASSERT(tracker_poll(t, ASLEEP_TIMEOUT * 1000), "No event");
	TEST_ASSERT(tracker_pop(t, &event), "poll() tells of an event that is not there");
	return event;
}

struct kvm_page_track_event asleep_get_question(struct tracker *t, struct tiny_guest *g,
						uint32_t val, const char *file,
						unsigned int line)
{
	struct kvm_page_track_event want = tracker_write_event(g, ASK_VA, ASK_GPA, &val, 4);

	want.phase = KVM_PAGE_TRACK_PHASE_BEFORE;
	want.flags |= KVM_PAGE_TRACK_EVENT_ASKS;
	want.seq = t->seq;
	test_assert(tracker_poll(t, ASLEEP_TIMEOUT * 1000), "question", file, line,
		    "The vCPU does not ask");
	tracker_assert_event(t, &want, file, line);
	return want;
}

struct kvm_page_track_reply asleep_make_reply(const struct kvm_page_track_event *event,
					      uint32_t reply, uint32_t val)
{
	struct kvm_page_track_reply r = {
		.seq = event->seq,
		.vcpu_id = event->vcpu_id,
		.reply = reply,
	};

	memcpy(r.data, &val, sizeof(val));
	return r;
}

int asleep_reply(struct tracker *t, const struct kvm_page_track_event *event, uint32_t reply,
		 uint32_t val)
{
	struct kvm_page_track_reply r = asleep_make_reply(event, reply, val);

	return ioctl(t->fd, KVM_PAGE_TRACK_REPLY, &r) ? errno : 0;
}
