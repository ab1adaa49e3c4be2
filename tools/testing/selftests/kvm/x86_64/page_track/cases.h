/* SPDX-License-Identifier: GPL-2.0-only */
/* Cases of a test on the tiny guest, its options, and random numbers. */
#ifndef SELFTEST_KVM_PAGE_TRACK_CASES_H
#define SELFTEST_KVM_PAGE_TRACK_CASES_H

#include "guest.h"

struct tg_case {
	const char *name;
	void (*fn)(struct tiny_guest *g);
	unsigned int modes;	/* TG_*_BIT */
	bool needs_stats;	/* skip on a kernel without page_track_* */
	void (*init)(struct tiny_guest *g);	/* run before fn, which it may skip */
};

/* Run each case in each of its modes, in a VM of its own.  Print TAP, exit. */
void tg_run_cases(const struct tg_case *cases, int nr);
/* The number of rounds that option -n asks for.  Any other option ends the test. */
int tg_get_rounds(int argc, char *argv[], int by_default);
/* The same with a seed, of option -s or of the clock.  Print how to repeat the test. */
int tg_get_random_rounds(int argc, char *argv[], int by_default, uint32_t *seed);

/* Random numbers of this thread: from 0 to @n - 1, and of 31 and of 64 bits. */
void tg_seed(uint32_t seed);
int tg_pick(int n);
uint32_t tg_random(void);
uint64_t tg_random_u64(void);

#endif /* SELFTEST_KVM_PAGE_TRACK_CASES_H */
