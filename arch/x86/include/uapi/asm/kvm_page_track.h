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
#define KVM_ATTACH_PAGE_TRACKER		_IOW(0xAE, 0xf1, struct kvm_create_page_tracker)
#define KVM_PAGE_TRACK_ADD_RANGE	_IOW(0xAE, 0xf2, struct kvm_page_track_range)
#define KVM_PAGE_TRACK_REMOVE_RANGE	_IOW(0xAE, 0xf3, struct kvm_page_track_range)
#define KVM_PAGE_TRACK_NEXT_RANGE	_IOWR(0xAE, 0xf4, struct kvm_page_track_range)
#define KVM_PAGE_TRACK_GET_INFO		_IOR(0xAE, 0xf5, struct kvm_page_track_info)
#define KVM_PAGE_TRACK_NEXT_SLOT	_IOWR(0xAE, 0xf6, struct kvm_page_track_slot)
#define KVM_PAGE_TRACK_REPLY		_IOW(0xAE, 0xf7, struct kvm_page_track_reply)
#define KVM_PAGE_TRACK_COLLECT		_IOW(0xAE, 0xf8, struct kvm_page_track_collect)

/* Modes: the kind of access that is tracked. */
#define KVM_PAGE_TRACK_MODE_WRITE	0

/* Actions: what an access leads to. */
#define KVM_PAGE_TRACK_ACTION_NOTIFY	0	/* each leads to an event */
#define KVM_PAGE_TRACK_ACTION_ONCE	1	/* the first of a page does */
#define KVM_PAGE_TRACK_ACTION_EXIT	2	/* userspace is asked before each */

/* The value of KVM_CAP_X86_PAGE_TRACK: a bit for each action that a mode has. */
#define KVM_PAGE_TRACK_CAP(mode, action)	(1u << (8 * (mode) + (action)))
/* In place of an action: untracked pages of the mode can be collected. */
#define KVM_PAGE_TRACK_CAP_COLLECT		7
/* In place of an action: KVM_PAGE_TRACKER_STEP. */
#define KVM_PAGE_TRACK_CAP_STEP			6

/*
 * KVM_CREATE_PAGE_TRACKER, on the VM's file descriptor, or KVM_ATTACH_PAGE_TRACKER, on
 * /dev/kvm, in any process that has CAP_SYS_PTRACE in the user namespace of the VM's
 * memory.  Returns the tracker's.  The pages of the ring count for the RLIMIT_MEMLOCK
 * of the calling user until the tracker is freed: ENOMEM if they exceed it.  ENOSPC if
 * the VM has as many trackers as it may have.
 */
#define KVM_MAX_PAGE_TRACKERS		64
struct kvm_create_page_tracker {
	__u64 user_data;	/* for struct kvm_run, to tell trackers apart */
#define KVM_PAGE_TRACK_MIN_EVENTS	32
#define KVM_PAGE_TRACK_MAX_EVENTS	1048576
	__u32 nr_events;	/* size of the ring, a power of two */
	__s32 vm_fd;		/* to attach; to create, zero */
#define KVM_PAGE_TRACKER_LOSSY		0x01	/* without room, events are lost */
#define KVM_PAGE_TRACKER_WAIT		0x02	/* vCPUs wait in KVM_RUN */
#define KVM_PAGE_TRACKER_STEP		0x04	/* the CPU does what KVM cannot emulate */
	__u32 flags;		/* to attach, one of the first two at least */
	__u32 reserved[7];	/* zero */
};

/* On the tracker's file descriptor. */
struct kvm_page_track_range {
	__u64 gpa;		/* in bytes, a multiple of 4096, as is the size */
	__u64 size;
	__u32 mode;
	__u32 action;
	__u32 flags;		/* zero */
	__u32 reserved[5];	/* zero */
};

/* The untracked pages of [gpa, gpa + size), as bits. */
struct kvm_page_track_collect {
	__u64 gpa;		/* in bytes, a multiple of 4096, as is the size */
	__u64 size;
	__u64 bitmap;		/* address of a bit per page, rounded up to __u64 */
	__u32 mode;
#define KVM_PAGE_TRACK_COLLECT_REARM	0x01	/* and track them again */
	__u32 flags;
	__u32 reserved[8];	/* zero */
};

/* What the tracker is.  Its mapping has 4096 + event_size * nr_events bytes. */
struct kvm_page_track_info {
	__u64 user_data;
	__u64 id;		/* as debugfs has it; rises with each tracker of the VM */
	__u64 max_gfn;		/* the last that a range may have */
	__u32 event_size;	/* in bytes */
	__u32 nr_events;
	__u32 flags;		/* KVM_PAGE_TRACKER_* */
	__u32 reserved[7];
};

/* The first memory slot that ends beyond gpa: its own, without KVM's internal ones. */
struct kvm_page_track_slot {
	__u64 gpa;
	__u64 size;		/* in: zero */
	__u32 as_id;		/* 0, or 1 for SMM */
	__u32 flags;		/* in: zero; out: KVM_MEM_* */
	__u64 userspace_addr;	/* in: zero; out: in the VMM, 0 if that may not be seen */
	__u32 reserved[4];	/* zero */
};

struct kvm_page_track_event {
	__u64 seq;		/* of the tracker, from 0 on, lost events too */
	__u64 time;		/* when KVM made the event, in ns, CLOCK_MONOTONIC */
	__u64 gpa;		/* of the first byte accessed */
	__u64 gva;		/* if flags have KVM_PAGE_TRACK_EVENT_GVA */
	__u64 rip;		/* of the instruction, in the guest's code segment */
	__u64 cr3;
#define KVM_PAGE_TRACK_NO_VCPU		0xffffffff
	__u32 vcpu_id;		/* KVM_PAGE_TRACK_NO_VCPU only if by KVM */
#define KVM_PAGE_TRACK_EVENT_GVA	0x001
#define KVM_PAGE_TRACK_EVENT_TRUNCATED	0x002	/* len exceeds data; if stepped: none */
#define KVM_PAGE_TRACK_EVENT_UNTRACKED	0x004	/* page not tracked any more */
#define KVM_PAGE_TRACK_EVENT_UNEMULATED	0x008	/* since KVM cannot emulate it */
#define KVM_PAGE_TRACK_EVENT_PAGE_WALK	0x010	/* the CPU set A or D bits */
#define KVM_PAGE_TRACK_EVENT_NESTED	0x020	/* by a nested guest */
#define KVM_PAGE_TRACK_EVENT_SMM	0x040	/* in the address space of SMM */
#define KVM_PAGE_TRACK_EVENT_BY_KVM	0x080	/* KVM itself wrote to the page */
#define KVM_PAGE_TRACK_EVENT_ASKS	0x100	/* the vCPU waits for KVM_PAGE_TRACK_REPLY */
#define KVM_PAGE_TRACK_EVENT_STEPPED	0x200	/* the CPU did it, or, asked, is to do it */
#define KVM_PAGE_TRACK_EVENT_UNFINISHED	0x400	/* ... not to its end, and may have written */
	__u32 flags;
	__u8 mode;
#define KVM_PAGE_TRACK_PHASE_BEFORE	0
#define KVM_PAGE_TRACK_PHASE_AFTER	1
	__u8 phase;
	__u16 len;		/* bytes accessed, 0 if unknown */
	__u32 reserved;
	__u8 data[64];		/* the first bytes written, zero behind them */
};

/*
 * The first page of the mapping.  Events start at the second one; number i, from
 * 0 on, is at i modulo nr_events.
 */
struct kvm_page_track_ring {
	__u32 head;		/* events written by KVM; load with acquire */
	__u32 nr_events;
	__u64 lost;		/* events that a lossy ring had no room for */
	__u8 reserved[48];
	__u32 tail;		/* events read by userspace; store with release */
};

/* Why KVM_RUN returned with KVM_EXIT_PAGE_TRACK. */
#define KVM_PAGE_TRACK_REASON_RING_FULL	0
#define KVM_PAGE_TRACK_REASON_ACCESS	1

/* What userspace wants then, in struct kvm_run or struct kvm_page_track_reply. */
#define KVM_PAGE_TRACK_REPLY_ALLOW	0
#define KVM_PAGE_TRACK_REPLY_SKIP	1	/* as if it was written */
#define KVM_PAGE_TRACK_REPLY_REPLACE	2	/* write the data instead */

/* To an event with KVM_PAGE_TRACK_EVENT_ASKS, on the tracker's file descriptor. */
struct kvm_page_track_reply {
	__u64 seq;		/* of the event, as is the vCPU */
	__u32 vcpu_id;
	__u32 reply;		/* KVM_PAGE_TRACK_REPLY_* */
	__u32 flags;		/* zero */
	__u32 reserved[3];	/* zero */
	__u8 data[64];		/* to replace; else not read */
};

#endif /* _UAPI_ASM_X86_KVM_PAGE_TRACK_H */
