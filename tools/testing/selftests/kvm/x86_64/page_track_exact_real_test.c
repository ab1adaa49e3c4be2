// SPDX-License-Identifier: GPL-2.0-only
/* As page_track_exact_insn_test, in real mode. */
#include "page_track_exact.h"

int main(int argc, char *argv[])
{
	int nr_states = pt_get_rounds(argc, argv, EXACT_NR_STATES);
	struct pt_guest g;
	struct exact x;

	tracker_require();
	pt_guest_init(&g, PT_32);
	exact_init(&x, &g, 16);
	exact_run_table(&x, exact_16, exact_16_end, exact_16_code, nr_states);
	pt_guest_free(&g);
	return 0;
}
