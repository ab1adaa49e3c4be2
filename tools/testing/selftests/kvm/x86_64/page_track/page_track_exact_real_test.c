// SPDX-License-Identifier: GPL-2.0-only
/* As page_track_exact_insn_test, in real mode. */
#include "cases.h"
#include "exact.h"

int main(int argc, char *argv[])
{
	int nr_states = tg_get_rounds(argc, argv, EXACT_NR_STATES);
	struct tiny_guest g;
	struct exact x;

	tracker_require();
	tg_init(&g, TG_32);
	exact_init(&x, &g, 16);
	exact_run_table(&x, exact_16, exact_16_end, exact_16_code, nr_states);
	exact_step_table(&x, exact_16, exact_16_end, exact_16_code, 1);
	tg_free(&g);
	return 0;
}
