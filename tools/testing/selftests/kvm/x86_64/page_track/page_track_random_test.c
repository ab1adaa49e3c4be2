// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random stores to page tables, of any size and at any place, against a model:
 * after a flush, each address has to lead where a walk by the host leads.
 */
#include "cases.h"
#include "guest.h"
#include "stats.h"

/*
 * Tables of one level are sixteen pages in a row, and entries point to any of the
 * level below.  As entries of one level then differ in the high nibble of their
 * second byte and in the present bit only, any mix of their bytes is an entry, too.
 */
#define NR_TABLES	16
#define NR_ENTRIES	8
#define ROUND_STORES	4	/* at most; more might be taken for a flood */
#define ROUND_LOADS	8

static int nr_rounds;

struct tables {
	uint64_t first[4];	/* of each level, [0] are data pages */
	int top;		/* the level of the tables in first[top] */
	uint64_t base;		/* what these map from */
};

static uint64_t random_entry(struct tiny_guest *g, const struct tables *t, int level)
{
	uint64_t entry, gpa = t->first[level - 1] + tg_pick(NR_TABLES) * PAGE_SIZE;

	entry = tg_make_entry(g, level, gpa);

	/* A fault costs much more than a load. */
	return tg_pick(16) ? entry : entry & ~1ul;
}

static void fill_tables(struct tiny_guest *g, const struct tables *t, int level)
{
	uint64_t table = t->first[level];
	int i, j, n = PAGE_SIZE / tg_entry_size(g);

	for (i = 0; i < NR_TABLES; i++, table += PAGE_SIZE) {
		for (j = 0; j < n; j++)
			tg_write_entry(g, table + j * tg_entry_size(g),
				       random_entry(g, t, level));
	}
}

static void init_tables(struct tiny_guest *g, struct tables *t)
{
	int level, i;
	uint64_t pos;

	/* Below what the guest itself lives on. */
	t->top = g->mode == TG_4LEVEL ? 3 : g->mode == TG_PAE ? 2 : 1;
	t->base = g->mode == TG_4LEVEL ? 0x600000000000ul : 0x40000000;
	t->first[0] = tg_data(0);

	for (level = 1; level <= t->top; level++) {
		while (g->next & (NR_TABLES * PAGE_SIZE - 1))
			tg_alloc(g);
		t->first[level] = g->next;
		for (i = 0; i < NR_TABLES; i++)
			tg_alloc(g);
		fill_tables(g, t, level);
	}

	pos = tg_entry_gpa(g, t->base, t->top + 1);
	for (i = 0; i < (g->mode == TG_PAE ? 1 : NR_ENTRIES); i++)
		tg_write_entry(g, pos + i * tg_entry_size(g),
			       tg_make_entry(g, t->top + 1,
					     t->first[t->top] + i * PAGE_SIZE));
	tg_flush(g);
}

/* Of each table, the first few entries are used, and the last few. */
static uint64_t random_va(struct tiny_guest *g, const struct tables *t)
{
	int level, index, n = PAGE_SIZE / tg_entry_size(g);
	uint64_t va = t->base;

	for (level = 1; level <= t->top; level++) {
		index = tg_pick(NR_ENTRIES);
		if (index >= NR_ENTRIES / 2)
			index += n - NR_ENTRIES;
		va += (uint64_t)index << tg_shift(g, level);
	}

	if (g->mode != TG_PAE)
		va += (uint64_t)tg_pick(NR_ENTRIES) << tg_shift(g, t->top + 1);

	return va;
}

/* At an entry that is likely to be in use, or across its end. */
static void random_store(struct tiny_guest *g, const struct tables *t, int level)
{
	uint64_t table, index, pos, bytes[4];
	int i, esize = tg_entry_size(g), size = BIT(tg_pick(4));

	if (level > t->top) {
		table = g->root;
		index = (t->base >> tg_shift(g, level)) + tg_pick(NR_ENTRIES - 2);
	} else {
		/* In PAE paging, one of the top level is in use. */
		i = g->mode == TG_PAE && level == t->top ? 1 : NR_TABLES - 1;
		table = t->first[level] + tg_pick(i) * PAGE_SIZE;
		index = tg_pick(NR_ENTRIES);
		if (index >= NR_ENTRIES / 2)
			index += PAGE_SIZE / esize - NR_ENTRIES;
	}

	for (i = 0; i < ARRAY_SIZE(bytes); i++) {
		bytes[i] = random_entry(g, t, level);
		if (esize == 4)
			bytes[i] |= random_entry(g, t, level) << 32;
	}

	pos = tg_pick(esize);
	tg_store(g, tg_edit_va(table + index * esize + pos),
		 *(uint64_t *)((uint8_t *)bytes + pos), size);
}

static void test_random(struct tiny_guest *g)
{
	uint64_t va[ROUND_LOADS];
	struct tables t;
	int i, n, round, top;

	init_tables(g, &t);

	/* The root, which is tracked for sure, or the page directories of PAE. */
	top = g->mode == TG_PAE ? t.top : t.top + 1;

	for (round = 0; round < nr_rounds; round++) {
		for (i = 0; i < ROUND_LOADS; i++) {
			va[i] = random_va(g, &t);
			TG_ASSERT_LOAD(g, va[i], tg_translate(g, va[i]));
		}

		n = 1 + tg_pick(ROUND_STORES);
		for (i = 0; i < n; i++)
			random_store(g, &t, i ? 1 + tg_pick(top) : top);

		tg_flush(g);
		for (i = 0; i < ROUND_LOADS; i++)
			TG_ASSERT_LOAD(g, va[i], tg_translate(g, va[i]));
	}

	TEST_ASSERT(!!tg_stat(g, "mmu_pte_write") == tg_shadowed(),
		    "%lu writes emulated", tg_stat(g, "mmu_pte_write"));
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "random stores", test_random, TG_ALL_MODES },
	};
	uint32_t seed;

	nr_rounds = tg_get_random_rounds(argc, argv, 80, &seed);
	tg_seed(seed);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
