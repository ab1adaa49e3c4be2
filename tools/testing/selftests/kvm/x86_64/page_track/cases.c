// SPDX-License-Identifier: GPL-2.0-only
/* Test cases, their options, random numbers and statistics, see guest.h. */
#include <string.h>
#include <time.h>

#include "guest.h"
#include "kselftest.h"

/* Statistics */

bool tg_has_page_track_stats(struct kvm_vm *vm)
{
	uint64_t val = TG_FAULT;

	__vm_get_stat(vm, "page_track_pages", &val, 1);
	return val != TG_FAULT;
}

uint64_t tg_stat(struct tiny_guest *g, const char *name)
{
	uint64_t val = TG_FAULT;

	__vm_get_stat(g->vm, name, &val, 1);
	TEST_ASSERT(val != TG_FAULT, "KVM has no statistic %s for a VM", name);
	return val;
}

uint64_t tg_vcpu_stat(struct tiny_guest *g, const char *name)
{
	struct kvm_stats_desc *descs, *desc;
	struct kvm_stats_header header;
	uint64_t val = TG_FAULT;
	int fd, i;

	fd = __vcpu_ioctl(g->vcpu, KVM_GET_STATS_FD, NULL);
	TEST_ASSERT(fd >= 0, KVM_IOCTL_ERROR(KVM_GET_STATS_FD, fd));
	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);

	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, name))
			read_stat_data(fd, &header, desc, &val, 1);
	}

	free(descs);
	close(fd);
	TEST_ASSERT(val != TG_FAULT, "KVM has no statistic %s for a vCPU", name);
	return val;
}

void tg_assert_stat(struct tiny_guest *g, const char *name, uint64_t want,
		    const char *file, unsigned int line)
{
	uint64_t got = tg_stat(g, name);

	test_assert(got == want, name, file, line,
		    "%s of the %s guest: wanted %lu, got %lu", name,
		    tg_mode_name(g->mode), want, got);
}

void tg_assert_load(struct tiny_guest *g, uint64_t va, uint64_t want,
		    const char *file, unsigned int line)
{
	uint64_t got = tg_load(g, va);

	test_assert(got == want, "load", file, line,
		    "load from 0x%lx by the %s guest: wanted 0x%lx, got 0x%lx",
		    va, tg_mode_name(g->mode), want, got);
}

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
