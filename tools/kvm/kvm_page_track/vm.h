/* SPDX-License-Identifier: GPL-2.0-only */
/* The VMs of this computer, as /proc and debugfs have them. */
#ifndef KVM_PAGE_TRACK_VM_H
#define KVM_PAGE_TRACK_VM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct vm {
	pid_t pid;
	int fd;			/* of that process */
	int nr_vcpus;		/* -1 if unknown */
	char debugfs[64];	/* its directory, empty if unknown */
};

struct vms {
	struct vm *list;
	size_t nr;
};

/* Add those of a process.  Returns 0, or the errno of looking into /proc. */
int find_vms_of(pid_t pid, struct vms *vms);

/* Those of all processes.  Returns how many processes could not be looked into. */
size_t find_vms(struct vms *vms);

/* What to call a process: the guest's name if it is QEMU with one, or the command's. */
#define PROCESS_NAME	64
const char *process_name(pid_t pid, char name[PROCESS_NAME]);

#endif
