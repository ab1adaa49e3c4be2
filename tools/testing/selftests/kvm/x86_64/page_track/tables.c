// SPDX-License-Identifier: GPL-2.0-only
/* The tables of the tiny guest, test cases and statistics, see guest.h. */
#include <string.h>

#include "guest.h"
#include "kselftest.h"

static const struct {
	const char *name;
	int levels;
	int index_bits;
	int entry_size;
} modes[NR_TG_MODES] = {
	[TG_32]     = { "32-bit",  2, 10, 4 },
	[TG_PAE]    = { "PAE",     3,  9, 8 },
	[TG_4LEVEL] = { "4-level", 4,  9, 8 },
};

const char *tg_mode_name(enum tg_mode mode)
{
	return modes[mode].name;
}

int tg_levels(const struct tiny_guest *g)
{
	return modes[g->mode].levels;
}

int tg_entry_size(const struct tiny_guest *g)
{
	return modes[g->mode].entry_size;
}

int tg_shift(const struct tiny_guest *g, int level)
{
	return PAGE_SHIFT + (level - 1) * modes[g->mode].index_bits;
}

uint64_t tg_alloc(struct tiny_guest *g)
{
	uint64_t gpa = g->next;

	TEST_ASSERT(gpa < TG_ARENA_GPA + TG_ARENA_PAGES * PAGE_SIZE,
		    "The arena of page tables is too small");
	g->next += PAGE_SIZE;
	return gpa;
}

uint64_t tg_read_entry(const struct tiny_guest *g, uint64_t gpa)
{
	uint64_t entry = 0;

	memcpy(&entry, addr_gpa2hva(g->vm, gpa), tg_entry_size(g));
	return entry;
}

void tg_write_entry(const struct tiny_guest *g, uint64_t gpa, uint64_t entry)
{
	memcpy(addr_gpa2hva(g->vm, gpa), &entry, tg_entry_size(g));
}

uint64_t tg_make_entry(const struct tiny_guest *g, int level, uint64_t gpa)
{
	/* A PDPTE of PAE paging has no permissions, their bits are reserved. */
	if (g->mode == TG_PAE && level == 3)
		return gpa | 1;

	return gpa | TG_FLAGS;
}

static uint64_t entry_in(const struct tiny_guest *g, uint64_t table, uint64_t va,
			 int level)
{
	uint64_t index = va >> tg_shift(g, level);

	index &= BIT(modes[g->mode].index_bits) - 1;
	return table + index * tg_entry_size(g);
}

static uint64_t entry_to_gpa(uint64_t entry)
{
	return entry & GENMASK_ULL(51, 12);
}

uint64_t tg_entry_gpa(const struct tiny_guest *g, uint64_t va, int level)
{
	uint64_t table = g->root, entry;
	int l;

	for (l = tg_levels(g); l > level; l--) {
		entry = tg_read_entry(g, entry_in(g, table, va, l));
		TEST_ASSERT(entry & 1, "No level-%d table for 0x%lx", l - 1, va);
		table = entry_to_gpa(entry);
	}

	return entry_in(g, table, va, level);
}

void tg_map(struct tiny_guest *g, uint64_t va, uint64_t gpa)
{
	uint64_t pos;
	int level;

	for (level = tg_levels(g); level > 1; level--) {
		pos = tg_entry_gpa(g, va, level);
		if (!(tg_read_entry(g, pos) & 1))
			tg_write_entry(g, pos, tg_make_entry(g, level, tg_alloc(g)));
	}

	tg_write_entry(g, tg_entry_gpa(g, va, 1), tg_make_entry(g, 1, gpa));
}

void tg_map_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa)
{
	uint64_t pos;
	int level;

	for (level = tg_levels(g); level > 2; level--) {
		pos = tg_entry_gpa(g, va, level);
		if (!(tg_read_entry(g, pos) & 1))
			tg_write_entry(g, pos, tg_make_entry(g, level, tg_alloc(g)));
	}

	tg_write_entry(g, tg_entry_gpa(g, va, 2), tg_make_entry(g, 2, gpa) | TG_PS);
}

uint64_t tg_add_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa, uint32_t slot, int nr)
{
	uint64_t huge;
	int i;

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS_THP, gpa, slot,
				    nr * TG_HUGE_SIZE / PAGE_SIZE, 0);
	for (i = 0; i < nr; i++) {
		tg_map_huge(g, va + i * TG_HUGE_SIZE, gpa + i * TG_HUGE_SIZE);
		tg_store(g, va + i * TG_HUGE_SIZE, 0x77, 4);
	}

	/* The tiny guest's own slots may have some, too. */
	huge = tg_stat(g, "pages_2m");
	if (huge >= nr)
		return huge;

	g->skip = "the host has no huge pages";
	return 0;
}

uint64_t tg_new_path(struct tiny_guest *g, uint64_t va, int level, uint64_t gpa)
{
	uint64_t table;
	int l;

	for (l = 1; l < level; l++) {
		table = tg_alloc(g);
		tg_write_entry(g, entry_in(g, table, va, l), tg_make_entry(g, l, gpa));
		gpa = table;
	}

	return tg_make_entry(g, level, gpa);
}

static void mark_upper(const struct tiny_guest *g, uint64_t table, int level,
		       bool *seen)
{
	uint64_t pos, entry;

	uint64_t i = (table - TG_ARENA_GPA) / PAGE_SIZE;

	/* The root of PAE paging is read at each write to CR3, not shadowed. */
	if (i < TG_ARENA_PAGES && (g->mode != TG_PAE || level < 3))
		seen[i] = true;

	for (pos = table; level > 2 && pos < table + PAGE_SIZE; pos += tg_entry_size(g)) {
		entry = tg_read_entry(g, pos);
		if (entry & 1)
			mark_upper(g, entry_to_gpa(entry), level - 1, seen);
	}
}

int tg_count_upper(const struct tiny_guest *g)
{
	bool seen[TG_ARENA_PAGES] = {};
	int i, n = 0;

	mark_upper(g, g->root, tg_levels(g), seen);
	for (i = 0; i < TG_ARENA_PAGES; i++)
		n += seen[i];

	return n;
}

uint64_t tg_new_root(struct tiny_guest *g)
{
	uint64_t old = g->root, new = tg_alloc(g);
	int i;

	g->root = new;

	/* The CPU keeps PDPTEs of PAE paging, so that later ones would be late. */
	for (i = 0; g->mode == TG_PAE && i < 4; i++)
		tg_write_entry(g, new + i * 8, tg_make_entry(g, 3, tg_alloc(g)));

	tg_map(g, TG_OP_GPA, TG_OP_GPA);
	for (i = 0; i < TG_ARENA_PAGES; i++)
		tg_map(g, TG_EDIT_VA + i * PAGE_SIZE, TG_ARENA_GPA + i * PAGE_SIZE);

	g->root = old ?: new;
	return new;
}

uint64_t tg_translate(const struct tiny_guest *g, uint64_t va)
{
	uint64_t table = g->root, entry, offset;
	int level;

	for (level = tg_levels(g); ; level--) {
		entry = tg_read_entry(g, entry_in(g, table, va, level));
		if (!(entry & 1))
			return TG_FAULT;
		if (level == 1 || (level == 2 && (entry & TG_PS)))
			break;
		table = entry_to_gpa(entry);
	}

	offset = va & (BIT(tg_shift(g, level)) - 1);
	return entry_to_gpa(entry) + offset;
}

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

int tg_get_rounds(int argc, char *argv[], int by_default)
{
	int opt, rounds = by_default;

	while ((opt = getopt(argc, argv, "n:")) != -1) {
		if (opt != 'n') {
			printf("usage: %s [-n rounds]\n", argv[0]);
			exit(1);
		}
		rounds = atoi_positive("Number of rounds", optarg);
	}

	return rounds;
}

static void run_case(const struct tg_case *c, enum tg_mode mode, int *nr_run)
{
	struct tiny_guest g;

	tg_init(&g, mode);

	if (c->needs_stats && !tg_has_page_track_stats(g.vm))
		g.skip = "no page_track_* statistics";
	else
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
