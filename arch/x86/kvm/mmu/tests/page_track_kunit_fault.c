// SPDX-License-Identifier: GPL-2.0-only
/* Failing allocations for the KUnit tests of page tracking. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

/*
 * Each thread can have one of its next allocations fail, if fault injection of
 * slab and page allocations is compiled in and told not to spare GFP_KERNEL:
 *
 *	echo N > /sys/kernel/debug/failslab/ignore-gfp-wait
 *	echo N > /sys/kernel/debug/fail_page_alloc/ignore-gfp-wait
 *	echo 0 > /sys/kernel/debug/fail_page_alloc/min-order
 */

#ifdef CONFIG_FAULT_INJECTION
/* Have the @nth allocation of this thread fail, from 1. */
static void arm_fault(unsigned int nth)
{
	WRITE_ONCE(current->fail_nth, nth);
}

/* Let no allocation fail any more.  Return how many were left until one did. */
static unsigned int disarm_fault(void)
{
	unsigned int left = READ_ONCE(current->fail_nth);

	WRITE_ONCE(current->fail_nth, 0);
	return left;
}
#else
static void arm_fault(unsigned int nth)
{
}

static unsigned int disarm_fault(void)
{
	return 1;
}
#endif

void ptk_fail_next_alloc(struct task_struct *task)
{
#ifdef CONFIG_FAULT_INJECTION
	WRITE_ONCE(task->fail_nth, 1);
#endif
}

static bool slab_fails(void)
{
	void *p;

	arm_fault(1);
	p = kmalloc(sizeof(void *), GFP_KERNEL_ACCOUNT);
	disarm_fault();
	kfree(p);
	return !p;
}

static bool page_fails(void)
{
	unsigned long p;

	arm_fault(1);
	p = __get_free_page(GFP_KERNEL_ACCOUNT);
	disarm_fault();
	free_page(p);
	return !p;
}

void ptk_require_faults(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_FAULT_INJECTION))
		kunit_skip(test, "needs CONFIG_FAULT_INJECTION");
	if (!slab_fails())
		kunit_skip(test, "needs failslab/ignore-gfp-wait=N");
	if (!page_fails())
		kunit_skip(test, "needs fail_page_alloc/ignore-gfp-wait=N, min-order=0");
}

static int call_with_fault(struct kunit *test, int (*call)(struct kunit *test),
			   unsigned int nth, unsigned int *left)
{
	int r;

	arm_fault(nth);
	r = call(test);
	*left = disarm_fault();
	return r;
}

static int fail_each_alloc_once(struct kunit *test, int (*call)(struct kunit *test),
				void (*check)(struct kunit *test, int r))
{
	unsigned int left, nth = 1;
	int r, failures = 0;

	do {
		r = call_with_fault(test, call, nth++, &left);
		failures += r < 0;
		check(test, r);
	} while (!left);

	return failures;
}

/*
 * How many allocations a call makes also depends on the allocators and on what
 * watches them, e.g. when a slab is used up, so that one round may miss some.
 */
#define FAULT_ROUNDS	20

void ptk_fail_each_alloc(struct kunit *test, int (*call)(struct kunit *test),
			 void (*check)(struct kunit *test, int r), int allocs)
{
	int i, failures, most = 0;

	for (i = 0; i < FAULT_ROUNDS && most < allocs; i++) {
		failures = fail_each_alloc_once(test, call, check);
		most = max(most, failures);
	}
	KUNIT_EXPECT_GE(test, most, allocs);
}

int ptk_fail_first_alloc(struct kunit *test, int (*call)(struct kunit *test))
{
	unsigned int left;

	return call_with_fault(test, call, 1, &left);
}
