/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU in a thread of its own, which sleeps in KVM_RUN for a tracker that has it wait.
 * The thread knows nothing of KVM_EXIT_PAGE_TRACK, and fails the test if it gets that.
 */
#ifndef SELFTEST_KVM_PAGE_TRACK_ASLEEP_H
#define SELFTEST_KVM_PAGE_TRACK_ASLEEP_H

#include <pthread.h>

#include "ask.h"

#define ASLEEP_TIMEOUT	20	/* seconds: only a bug takes this long */

struct asleep {
	struct tiny_guest *g;
	pthread_t thread;
	pid_t tid;
	bool returned;
	int ret, error;		/* of KVM_RUN */
};

/* Map the page, zeroed, and create a tracker that has vCPUs wait, and asks for it. */
void asleep_init(struct tiny_guest *g, struct tracker *t, uint32_t flags);

/* Have a new thread call KVM_RUN, for @op on the page, or for whatever the vCPU is at. */
void asleep_start(struct asleep *s, struct tiny_guest *g, enum tg_op op, uint32_t val);
void asleep_go_on(struct asleep *s, struct tiny_guest *g);

/* Wait until the thread sleeps in KVM_RUN for a tracker. */
#define ASLEEP_ASSERT_SLEEPS(s) asleep_assert_sleeps(s, __FILE__, __LINE__)
void asleep_assert_sleeps(struct asleep *s, const char *file, unsigned int line);

/* Wait until KVM_RUN has returned: @op has ended, with this in the page; or for a signal. */
#define ASLEEP_ASSERT_ENDED(s, want) asleep_assert_ended(s, want, __FILE__, __LINE__)
void asleep_assert_ended(struct asleep *s, uint32_t want, const char *file,
			 unsigned int line);
void asleep_join(struct asleep *s);
#define ASLEEP_INTERRUPT(s) asleep_interrupt(s, __FILE__, __LINE__)
void asleep_interrupt(struct asleep *s, const char *file, unsigned int line);

/* Wait for the next event, which is a question of @g for a store of @val to the page. */
#define ASLEEP_GET_QUESTION(t, g, val) asleep_get_question(t, g, val, __FILE__, __LINE__)
struct kvm_page_track_event asleep_get_question(struct tracker *t, struct tiny_guest *g,
						uint32_t val, const char *file,
						unsigned int line);
/* The same, whatever it is for. */
struct kvm_page_track_event asleep_get_event(struct tracker *t);

/* Reply to it, @val is for REPLACE.  Returns 0 or an errno. */
int asleep_reply(struct tracker *t, const struct kvm_page_track_event *event, uint32_t reply,
		 uint32_t val);

/* A reply that is good. */
struct kvm_page_track_reply asleep_make_reply(const struct kvm_page_track_event *event,
					      uint32_t reply, uint32_t val);

#endif /* SELFTEST_KVM_PAGE_TRACK_ASLEEP_H */
