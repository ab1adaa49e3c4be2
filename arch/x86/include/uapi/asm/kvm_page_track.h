/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Page tracking: what userspace may call.
 *
 * Documentation/virt/kvm/page-track-api.rst has the calls, the errors and an example.
 */
#ifndef _UAPI_ASM_X86_KVM_PAGE_TRACK_H
#define _UAPI_ASM_X86_KVM_PAGE_TRACK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Numbers that upstream has not assigned: far behind those that it has.  They
 * change when it assigns some.
 */
#define KVM_CAP_X86_PAGE_TRACK		20564
#define KVM_EXIT_PAGE_TRACK		20564
#define KVM_CREATE_PAGE_TRACKER		_IOW(0xAE, 0xf0, struct kvm_create_page_tracker)
#define KVM_PAGE_TRACK_ADD_RANGE	_IOW(0xAE, 0xf1, struct kvm_page_track_range)
#define KVM_PAGE_TRACK_REMOVE_RANGE	_IOW(0xAE, 0xf2, struct kvm_page_track_range)
#define KVM_PAGE_TRACK_NEXT_RANGE	_IOWR(0xAE, 0xf3, struct kvm_page_track_range)

/* Modes: the kind of access that is tracked. */
#define KVM_PAGE_TRACK_MODE_WRITE	0

/* Actions: what an access leads to. */
#define KVM_PAGE_TRACK_ACTION_NOTIFY	0	/* each leads to an event */
#define KVM_PAGE_TRACK_ACTION_ONCE	1	/* the first of a page does */
#define KVM_PAGE_TRACK_ACTION_EXIT	2	/* KVM_RUN returns before each */

/* The value of KVM_CAP_X86_PAGE_TRACK: a bit for each mode and action there is. */
#define KVM_PAGE_TRACK_CAP_MODE(mode)		(1u << (mode))
#define KVM_PAGE_TRACK_CAP_ACTION(action)	(1u << (8 + (action)))

/*
 * On the VM's file descriptor.  Returns the tracker's.  The pages of the ring count
 * for the RLIMIT_MEMLOCK of the calling user until the tracker is freed: ENOMEM if
 * they exceed it.  ENOSPC if the VM has as many trackers as it may have.
 */
#define KVM_MAX_PAGE_TRACKERS		64
struct kvm_create_page_tracker {
#define KVM_PAGE_TRACKER_LOSSY		0x01
	__u32 flags;
#define KVM_PAGE_TRACK_MIN_EVENTS	64
#define KVM_PAGE_TRACK_MAX_EVENTS	1048576
	__u32 nr_events;	/* size of the ring, a power of two */
	__u64 user_data;	/* for struct kvm_run, to tell trackers apart */
	__u64 reserved[2];	/* zero */
};

/* On the tracker's file descriptor. */
struct kvm_page_track_range {
	__u64 gpa;		/* in bytes, a multiple of 4096, as is the size */
	__u64 size;
	__u32 mode;
	__u32 action;
	__u64 reserved;		/* zero */
};

struct kvm_page_track_event {
	__u64 seq;		/* of the tracker, from 0 on, dropped events too */
	__u64 gpa;		/* of the first byte accessed */
	__u64 gva;		/* if flags have KVM_PAGE_TRACK_EVENT_GVA */
	__u64 rip;		/* of the instruction, in the guest's code segment */
	__u64 cr3;
	__u8 data[16];		/* the first bytes written, zero behind them */
	__u16 vcpu_id;
	__u16 len;		/* bytes accessed, 0 if unknown */
	__u8 as_id;		/* address space of the vCPU: 0, or 1 in SMM */
	__u8 mode;
#define KVM_PAGE_TRACK_PHASE_BEFORE	0
#define KVM_PAGE_TRACK_PHASE_AFTER	1
	__u8 phase;
#define KVM_PAGE_TRACK_EVENT_GVA	0x01
#define KVM_PAGE_TRACK_EVENT_TRUNCATED	0x02	/* len exceeds data */
#define KVM_PAGE_TRACK_EVENT_UNTRACKED	0x04	/* page not tracked any more */
#define KVM_PAGE_TRACK_EVENT_UNEMULATED	0x08	/* since KVM cannot emulate it */
#define KVM_PAGE_TRACK_EVENT_PAGE_WALK	0x10	/* the CPU set A or D bits */
#define KVM_PAGE_TRACK_EVENT_NESTED	0x20	/* by a nested guest */
	__u8 flags;
};

/*
 * The first page of the mapping.  Events start at the second one; number i, from
 * 0 on, is at i modulo nr_events.
 */
struct kvm_page_track_ring {
	__u32 head;		/* events written by KVM; load with acquire */
	__u32 nr_events;
	__u64 dropped;		/* events that a lossy ring had no room for */
	__u8 reserved[48];
	__u32 tail;		/* events read by userspace; store with release */
};

/* Why KVM_RUN returned with KVM_EXIT_PAGE_TRACK. */
#define KVM_PAGE_TRACK_REASON_RING_FULL	0
#define KVM_PAGE_TRACK_REASON_ACCESS	1

/* What userspace wants then, in the reply of struct kvm_run. */
#define KVM_PAGE_TRACK_REPLY_ALLOW	0
#define KVM_PAGE_TRACK_REPLY_SKIP	1	/* as if it was written */
#define KVM_PAGE_TRACK_REPLY_REPLACE	2	/* write the data of struct kvm_run */

#endif /* _UAPI_ASM_X86_KVM_PAGE_TRACK_H */
