/* SPDX-License-Identifier: GPL-2.0-only */
/* A page tracker of a VM of another process. */
#ifndef KVM_PAGE_TRACK_ATTACH_H
#define KVM_PAGE_TRACK_ATTACH_H

#include <asm/kvm_page_track.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>
#include <sys/types.h>

#include "range.h"

struct tracker {
	int fd;
	pid_t pid;
	int vm_fd;		/* of that process */
	__u32 action;		/* of its ranges */
	struct kvm_page_track_info info;
	struct kvm_page_track_ring *ring;
	size_t mapped;
	__u64 lost;		/* events of which it was said that they are lost */
};

/* Where attaching failed; errno says why. */
enum attach_step {
	ATTACHED,
	NO_KVM,			/* /dev/kvm */
	NO_TRACKING,		/* KVM has none */
	NO_PROCESS,
	NO_VM_FD,
	NO_TRACKER,
	NO_RING,
};

enum attach_step try_attach(struct tracker *t, pid_t pid, int vm_fd, __u32 flags,
			    __u32 nr_events);

/* The same, or fail; to the only VM of the process if vm_fd is -1. */
void attach(struct tracker *t, pid_t pid, int vm_fd, __u32 flags, __u32 nr_events);

/* Nothing is tracked any more when this returns. */
void detach(struct tracker *t);

/* The memory slots, without those of SMM. */
struct kvm_page_track_slot *next_slot(struct tracker *t, struct kvm_page_track_slot *slot);

/* Fail if one of @ranges is not in guest memory.  Then track all of @pages. */
void check_memory(struct tracker *t, const struct ranges *ranges);
void track(struct tracker *t, const struct ranges *pages);

/* Is there an event in the ring?  Take the next event out of the ring, if there is one. */
bool has_event(const struct tracker *t);
bool next_event(struct tracker *t, struct kvm_page_track_event *event);

/* Say on stderr how many events are lost since the last call.  Returns whether some are. */
bool tell_lost(struct tracker *t);

noreturn void fail_gone(struct tracker *t);

#endif
