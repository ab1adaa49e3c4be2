/* SPDX-License-Identifier: GPL-2.0-only */
/* One page whose writes userspace is asked for, by one tracker or several. */
#ifndef SELFTEST_KVM_PAGE_TRACK_EXIT_H
#define SELFTEST_KVM_PAGE_TRACK_EXIT_H

#include "page_tracker.h"

#define EXIT_VA	0x40000000ul
#define EXIT_GPA	pt_data(0)
#define EXIT_VAL	0x600df00du

/* Map the page, zeroed, and create a tracker that is asked; @id is its user_data. */
void exit_init(struct pt_guest *g, struct tracker *t, uint64_t id);

/* The first bytes of the page. */
uint32_t exit_mem(struct pt_guest *g);

/* Run an operation on the page, until KVM_RUN returns for whatever reason. */
void exit_start(struct pt_guest *g, enum pt_op op, uint32_t val);

#define EXIT_ASSERT_ASKED(g, id, val) exit_assert_asked(g, id, val, __FILE__, __LINE__)

/* KVM_RUN has returned with the question of tracker @id for a store of @val. */
void exit_assert_asked(struct pt_guest *g, uint64_t id, uint32_t val, const char *file,
		       unsigned int line);

/* Reply, @val is for REPLACE, and go on. */
void exit_reply(struct pt_guest *g, uint8_t reply, uint32_t val);

/* The operation has ended, and this is in the page. */
void exit_assert_ended(struct pt_guest *g, uint32_t want);

#endif /* SELFTEST_KVM_PAGE_TRACK_EXIT_H */
