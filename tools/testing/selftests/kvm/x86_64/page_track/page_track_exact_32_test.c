// SPDX-License-Identifier: GPL-2.0-only
/* As page_track_exact_insn_test, in 32-bit protected mode, with and without PAE. */
#include "cases.h"
#include "exact.h"

static int nr_states;

static void test_table(struct tiny_guest *g)
{
	struct exact x;

	exact_init(&x, g, 32);
	exact_run_table(&x, exact_32, exact_32_end, exact_32_code, nr_states);
}

static void test_steps(struct tiny_guest *g)
{
	struct exact x;

	exact_init(&x, g, 32);
	exact_step_table(&x, exact_32, exact_32_end, exact_32_code, 1);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "every instruction", test_table, TG_32_BIT | TG_PAE_BIT },
		{ "every instruction, stepped if not emulated", test_steps,
		  TG_32_BIT | TG_PAE_BIT },
	};

	nr_states = tg_get_rounds(argc, argv, EXACT_NR_STATES);
	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
