// SPDX-License-Identifier: GPL-2.0-only
/* The page tables of the tiny guest. */
#include <string.h>

#include "tables.h"

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

/* Have the entry for @va at @level, with new tables above where there are none. */
static uint64_t make_tables(struct tiny_guest *g, uint64_t va, int level)
{
	uint64_t pos;
	int l;

	for (l = tg_levels(g); l > level; l--) {
		pos = tg_entry_gpa(g, va, l);
		if (!(tg_read_entry(g, pos) & 1))
			tg_write_entry(g, pos, tg_make_entry(g, l, tg_alloc(g)));
	}

	return tg_entry_gpa(g, va, level);
}

void tg_map(struct tiny_guest *g, uint64_t va, uint64_t gpa)
{
	tg_write_entry(g, make_tables(g, va, 1), tg_make_entry(g, 1, gpa));
}

void tg_map_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa)
{
	tg_write_entry(g, make_tables(g, va, 2), tg_make_entry(g, 2, gpa) | TG_PS);
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
