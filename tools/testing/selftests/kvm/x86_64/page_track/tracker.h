/* SPDX-License-Identifier: GPL-2.0-only */
/* A tracker of userspace: its file descriptor, and the ring of its events. */
#ifndef SELFTEST_KVM_PAGE_TRACK_TRACKER_H
#define SELFTEST_KVM_PAGE_TRACK_TRACKER_H

#include <asm/kvm_page_track.h>

#include "guest.h"

#define TRACKER_NOTIFY	KVM_PAGE_TRACK_ACTION_NOTIFY
#define TRACKER_ONCE	KVM_PAGE_TRACK_ACTION_ONCE
#define TRACKER_EXIT	KVM_PAGE_TRACK_ACTION_EXIT

struct tracker {
	int fd;
	struct kvm_page_track_ring *ring;
	struct kvm_page_track_event *events;
	uint32_t nr_events;
	uint64_t seq;		/* of the next event */
};

/* Skip the test if KVM has no trackers. */
void tracker_require(void);

/* Calls that succeed.  The ring is mapped. */
void tracker_create(struct kvm_vm *vm, struct tracker *t, uint32_t nr_events,
		    uint32_t flags, uint64_t user_data);
void tracker_map(struct tracker *t, int fd, uint32_t nr_events);
void tracker_unmap(struct tracker *t);
void tracker_close(struct tracker *t);
void tracker_add(struct tracker *t, uint64_t gpa, uint64_t size, uint32_t action);
void tracker_remove(struct tracker *t, uint64_t gpa, uint64_t size);

/* Calls that may fail.  They return 0 or an errno. */
int tracker_ioctl(struct tracker *t, unsigned long ioctl, uint64_t gpa,
		  uint64_t size, uint32_t action);
int tracker_next(struct tracker *t, uint64_t gpa, struct kvm_page_track_range *range);
/* @bitmap has a bit for each page of the range, in whole words. */
int tracker_collect(struct tracker *t, uint64_t gpa, uint64_t size, uint32_t flags,
		    void *bitmap);

/* Take the oldest event.  False if there is none.  Sequence number and time are checked. */
bool tracker_pop(struct tracker *t, struct kvm_page_track_event *event);
/* The same, but pass over steps that were interrupted, by the host at any time. */
bool tracker_pop_finished(struct tracker *t, struct kvm_page_track_event *event);
/* The time, in ns, as in events. */
uint64_t tracker_now(void);
/* How many events are there? */
uint32_t tracker_count(struct tracker *t);
bool tracker_poll(struct tracker *t, int timeout_ms);

/*
 * What @g's store of @len bytes at @gva, which is @gpa, has to lead to.  RIP is not
 * known: zero.
 */
struct kvm_page_track_event tracker_write_event(struct tiny_guest *g, uint64_t gva,
						uint64_t gpa, const void *data,
						uint16_t len);

/*
 * The same for a page that is given up at the fault, before the store.  In two
 * dimensions, the CPU tells KVM no linear address.
 */
struct kvm_page_track_event tracker_untracked_event(struct tiny_guest *g, uint64_t gva,
						    uint64_t gpa);

#define TRACKER_ASSERT_EVENT(t, want) tracker_assert_event(t, want, __FILE__, __LINE__)
#define TRACKER_ASSERT_EMPTY(t) tracker_assert_empty(t, __FILE__, __LINE__)

/* The oldest event, which is taken, is @want, with any time, and any RIP if that has none. */
void tracker_assert_event(struct tracker *t, const struct kvm_page_track_event *want,
			  const char *file, unsigned int line);
void tracker_assert_empty(struct tracker *t, const char *file, unsigned int line);

#define TRACKER_ASSERT_ASKED(g, gva, gpa, data, len) \
	tracker_assert_asked(g, gva, gpa, data, len, __FILE__, __LINE__)

/*
 * KVM_RUN has returned with the question for @g's store of @len bytes @data at @gva,
 * which is @gpa.  Bytes are not compared if there are more than KVM shows.
 */
void tracker_assert_asked(struct tiny_guest *g, uint64_t gva, uint64_t gpa, const void *data,
			  uint16_t len, const char *file, unsigned int line);
/* Reply, with @data, of the length that was asked, if not NULL, and go on. */
void tracker_reply(struct tiny_guest *g, uint8_t reply, const void *data);

/*
 * Hand a tracker to another process by the socket @sock.  The one that receives gets
 * its file descriptor, or -1.
 */
void tracker_send_fd(int sock, int fd);
int tracker_receive_fd(int sock);

#endif /* SELFTEST_KVM_PAGE_TRACK_TRACKER_H */
