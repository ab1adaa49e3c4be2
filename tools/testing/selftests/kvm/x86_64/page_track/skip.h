/* SPDX-License-Identifier: GPL-2.0-only */
/* What KVM cannot emulate, of which userspace is asked, and skips it. */
#ifndef SELFTEST_KVM_PAGE_TRACK_SKIP_H
#define SELFTEST_KVM_PAGE_TRACK_SKIP_H

#include "ask.h"

/* The flags of a question for what can be skipped. */
#define SKIP_ASKED	(KVM_PAGE_TRACK_EVENT_UNEMULATED | KVM_PAGE_TRACK_EVENT_STEPPED)
/* Where in the page; a place from which FXSAVE gets to the next page. */
#define SKIP_OFFSET	0x40
#define SKIP_CROSSING	(PAGE_SIZE - 256)
/* What the pages are full of. */
#define SKIP_PATTERN	0xa5

/* Map the page and the one behind it, and create a tracker, 1, that is asked for both. */
void skip_init(struct tiny_guest *g, struct tracker *t);
/* Where these pages are in this process. */
uint8_t *skip_mem(struct tiny_guest *g, uint64_t va);
/* Is the pattern still there? */
bool skip_is_untouched(struct tiny_guest *g, uint64_t va, size_t size);

/* Run @op, until KVM_RUN returns for whatever reason. */
void skip_start(struct tiny_guest *g, enum tg_op op, const struct kvm_regs *regs);

/* KVM_RUN has returned with the question of tracker @id for a write at @va. */
#define SKIP_ASSERT_ASKED(g, va, flags, id) \
	skip_assert_asked(g, va, flags, id, __FILE__, __LINE__)
void skip_assert_asked(struct tiny_guest *g, uint64_t va, uint32_t flags, uint64_t id,
		       const char *file, unsigned int line);
/* It does not take this reply. */
void skip_assert_bad_reply(struct tiny_guest *g, uint8_t reply);

#endif /* SELFTEST_KVM_PAGE_TRACK_SKIP_H */
