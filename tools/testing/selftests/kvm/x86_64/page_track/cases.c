// SPDX-License-Identifier: GPL-2.0-only
/* Test cases, their options, and random numbers. */
#include <time.h>

#include "cases.h"
#include "kselftest.h"
#include "stats.h"

/* Options */

int tg_get_rounds(int argc, char *argv[], int by_default)
{
	return tg_get_random_rounds(argc, argv, by_default, NULL);
}

int tg_get_random_rounds(int argc, char *argv[], int by_default, uint32_t *seed)
{
	int opt, rounds = by_default;

	if (seed)
		*seed = time(NULL);

	while ((opt = getopt(argc, argv, seed ? "n:s:" : "n:")) != -1) {
		switch (opt) {
		case 'n':
			rounds = atoi_positive("Number of rounds", optarg);
			break;
		case 's':
			*seed = atoi_non_negative("Seed", optarg);
			break;
		default:
			printf("usage: %s [-n rounds]%s\n", argv[0], seed ? " [-s seed]" : "");
			exit(1);
		}
	}

	if (seed)
		pr_info("Repeat with -n %d -s %u\n", rounds, *seed);
	return rounds;
}

/* Random numbers */

static __thread uint32_t seed;

void tg_seed(uint32_t new_seed)
{
	seed = new_seed;
}

uint32_t tg_random(void)
{
	return rand_r(&seed);
}

int tg_pick(int n)
{
	return rand_r(&seed) % n;
}

uint64_t tg_random_u64(void)
{
	return (uint64_t)rand_r(&seed) << 42 ^ (uint64_t)rand_r(&seed) << 21 ^ rand_r(&seed);
}

/* Cases */

static void run_case(const struct tg_case *c, enum tg_mode mode, int *nr_run)
{
	struct tiny_guest g;

	tg_init(&g, mode);

	if (c->needs_stats && !tg_has_page_track_stats(g.vm))
		g.skip = "no page_track_* statistics";
	else if (c->init)
		c->init(&g);
	if (!g.skip)
		c->fn(&g);

	if (g.skip) {
		ksft_test_result_skip("%s, %s guest: %s\n", c->name, tg_mode_name(mode),
				      g.skip);
	} else {
		ksft_test_result_pass("%s, %s guest\n", c->name, tg_mode_name(mode));
		(*nr_run)++;
	}

	tg_free(&g);
}

/*
 * Hold an idle VM all the time, so that host code is not patched with the first
 * VM created and the last one gone: emulators have been seen to stumble there.
 */
void tg_run_cases(const struct tg_case *cases, int nr)
{
	struct kvm_vm *idle = vm_create_barebones();
	int i, mode, plan = 0, nr_run = 0;

	for (i = 0; i < nr; i++)
		plan += __builtin_popcount(cases[i].modes);

	ksft_print_header();
	ksft_set_plan(plan);
	ksft_print_msg("Page tables are %sshadowed\n", tg_shadowed() ? "" : "not ");

	for (i = 0; i < nr; i++) {
		for (mode = 0; mode < NR_TG_MODES; mode++) {
			if (cases[i].modes & BIT(mode))
				run_case(&cases[i], mode, &nr_run);
		}
	}

	kvm_vm_free(idle);
	if (!nr_run)
		exit(KSFT_SKIP);
	ksft_finished();
}
