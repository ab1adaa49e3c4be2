/* SPDX-License-Identifier: GPL-2.0-only */
/* What lab/programs/single_cost.c asks the module track_one. */
#ifndef TRACK_ONE_H
#define TRACK_ONE_H

#include <linux/types.h>

struct track_one {
	__s32 vm_fd;
	__u32 step;		/* from a gfn to the next */
	__u64 gfn, nr;
	__u64 add, remove;	/* out: in ticks of the TSC, all calls */
};

#endif
