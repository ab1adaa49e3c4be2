/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What handover.so tells watch, a message each over a Unix socket (SOCK_SEQPACKET):
 * struct kvm_userspace_memory_region, whenever QEMU has set a memory slot.  The first
 * message, an empty slot, carries the file descriptor of the tracker.
 */
#ifndef LAB_RUN_HANDOVER_H
#define LAB_RUN_HANDOVER_H

#include <asm/kvm_page_track.h>
#include <linux/kvm.h>

/* Of the tracker's ring. */
#define HANDOVER_EVENTS	256

#endif /* LAB_RUN_HANDOVER_H */
