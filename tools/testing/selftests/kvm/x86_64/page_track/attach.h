/* SPDX-License-Identifier: GPL-2.0-only */
/* A process that runs a VM, and trackers that another one attaches to it. */
#ifndef SELFTEST_KVM_PAGE_TRACK_ATTACH_H
#define SELFTEST_KVM_PAGE_TRACK_ATTACH_H

#include "tracker.h"

/* The page that the guest stores to, another one behind it, and a store without end. */
#define VMM_VA	0x40000000ul
#define VMM_GPA	tg_data(0)
#define VMM_RUN	~0u

struct vmm {
	pid_t pid;
	int sock;
	int vm_fd;	/* there */
};

/*
 * A VMM that knows nothing of trackers, in a process of its own, which fails if it sees
 * an exit that it does not know.
 */
void vmm_start(struct vmm *vmm);
/*
 * The same with a VMM of the caller's: @run writes the VM's file descriptor to @sock, an int,
 * does what it reads from there, and does not return.
 */
void vmm_start_with(struct vmm *vmm, void (*run)(int sock));
/* Have its guest store @val.  Returns how many pages of the VM are tracked then. */
uint64_t vmm_store(struct vmm *vmm, uint32_t val);
/* Have its guest store 0, 1 and so on, until it is killed. */
void vmm_run(struct vmm *vmm);
/* It ends by itself, or is killed. */
void vmm_end(struct vmm *vmm);
void vmm_kill(struct vmm *vmm);
/* The VM's file descriptor, taken from the process, which is not asked. */
int vmm_take_fd(struct vmm *vmm);

/* KVM_ATTACH_PAGE_TRACKER.  A file descriptor, or a negative errno. */
int try_attach(const struct kvm_create_page_tracker *create);
/* The same for a lossy tracker. */
int attach(int vm_fd, uint32_t nr_events);
/* Attach a lossy tracker to @vmm and map it. */
void attach_to(struct vmm *vmm, struct tracker *t, uint32_t nr_events);

#endif /* SELFTEST_KVM_PAGE_TRACK_ATTACH_H */
