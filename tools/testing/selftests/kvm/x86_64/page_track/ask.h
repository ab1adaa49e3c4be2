/* SPDX-License-Identifier: GPL-2.0-only */
/* One page whose writes userspace is asked for, by one tracker or several. */
#ifndef SELFTEST_KVM_PAGE_TRACK_ASK_H
#define SELFTEST_KVM_PAGE_TRACK_ASK_H

#include "tracker.h"

#define ASK_VA	0x40000000ul
#define ASK_GPA	tg_data(0)
#define ASK_VAL	0x600df00du

/* Map the page, zeroed, and create a tracker that is asked; @id is its user_data. */
void ask_init(struct tiny_guest *g, struct tracker *t, uint64_t id);

/* The first bytes of the page. */
uint32_t ask_mem(struct tiny_guest *g);

/* Run an operation on the page, until KVM_RUN returns for whatever reason. */
void ask_start(struct tiny_guest *g, enum tg_op op, uint32_t val);

#define ASK_ASSERT_ASKED(g, id, val) ask_assert_asked(g, id, val, __FILE__, __LINE__)

/* KVM_RUN has returned with the question of tracker @id for a store of @val. */
void ask_assert_asked(struct tiny_guest *g, uint64_t id, uint32_t val, const char *file,
		      unsigned int line);

/* Reply, @val is for REPLACE, and go on. */
void ask_reply(struct tiny_guest *g, uint8_t reply, uint32_t val);

/* The operation has ended, and this is in the page. */
void ask_assert_ended(struct tiny_guest *g, uint32_t want);

#endif /* SELFTEST_KVM_PAGE_TRACK_ASK_H */
