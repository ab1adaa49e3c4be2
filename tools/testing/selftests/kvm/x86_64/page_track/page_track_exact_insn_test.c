// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each instruction of 64-bit code that KVM can emulate and that writes memory does on
 * a tracked page what it does on any other, and what it writes is told, byte by byte.
 * Those that KVM cannot emulate do the same after the page was given up, or stepped.
 */
#include "cases.h"
#include "exact.h"

static int nr_states;

static void test_table(struct tiny_guest *g)
{
	struct exact x;

	exact_init(&x, g, 64);
	exact_run_table(&x, exact_64, exact_64_end, exact_64_code, nr_states);
}

static void test_steps(struct tiny_guest *g)
{
	struct exact x;

	exact_init(&x, g, 64);
	exact_step_table(&x, exact_64, exact_64_end, exact_64_code, 1);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "every instruction", test_table, TG_4LEVEL_BIT },
		{ "every instruction, stepped if not emulated", test_steps, TG_4LEVEL_BIT },
	};

	nr_states = tg_get_rounds(argc, argv, EXACT_NR_STATES);
	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
