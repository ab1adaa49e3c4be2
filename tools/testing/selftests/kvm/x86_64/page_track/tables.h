/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory of the tiny guest, see guest.h: its slots, and its page tables as the host
 * lays them out and walks them, in any paging mode.
 */
#ifndef SELFTEST_KVM_PAGE_TRACK_TABLES_H
#define SELFTEST_KVM_PAGE_TRACK_TABLES_H

#include "kvm_util.h"
#include "processor.h"

enum tg_mode {
	TG_32,		/* two levels of 1024 entries, 4 bytes each */
	TG_PAE,		/* three levels, the upper one with 4 entries only */
	TG_4LEVEL,
	NR_TG_MODES,
};

#define TG_32_BIT	BIT(TG_32)
#define TG_PAE_BIT	BIT(TG_PAE)
#define TG_4LEVEL_BIT	BIT(TG_4LEVEL)
#define TG_ALL_MODES	(TG_32_BIT | TG_PAE_BIT | TG_4LEVEL_BIT)

/* Slots.  A data page holds its own gpa in its first 8 bytes. */
#define TG_CODE_SLOT	0
#define TG_CODE_GPA	0x0ul
#define TG_CODE_PAGES	16
#define TG_OP_GPA	0x1000ul
#define TG_ARENA_SLOT	1
#define TG_ARENA_GPA	0x200000ul
#define TG_ARENA_PAGES	512
#define TG_DATA_SLOT	2
#define TG_DATA_GPA	0x400000ul
#define TG_DATA_PAGES	512
#define TG_NR_SLOTS	3

/* The arena, i.e. the page tables, as the guest sees it.  Code is at va = gpa. */
#define TG_EDIT_VA	0x80000000ul

/* Present, writable, accessed, dirty: KVM has nothing to set. */
#define TG_FLAGS	0x63ul
#define TG_PS		0x80ul
#define TG_PCD		0x10ul

/* No data page has this number, see tg_translate(). */
#define TG_FAULT	(~0ul)

/* A vCPU with the page tables that it uses.  Copies may share a VM. */
struct tiny_guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	enum tg_mode mode;
	uint64_t root;		/* gpa of the root table */
	uint64_t next;		/* gpa of the first free page of the arena */
	const char *skip;	/* set by a case that cannot be tested: why */
};

const char *tg_mode_name(enum tg_mode mode);

/* Page tables as the host lays them out.  Level 1 is the one of 4K pages. */
int tg_levels(const struct tiny_guest *g);
int tg_entry_size(const struct tiny_guest *g);
int tg_shift(const struct tiny_guest *g, int level);
uint64_t tg_alloc(struct tiny_guest *g);
uint64_t tg_read_entry(const struct tiny_guest *g, uint64_t gpa);
void tg_write_entry(const struct tiny_guest *g, uint64_t gpa, uint64_t entry);
/* The entry that points to @gpa in a table of @level. */
uint64_t tg_make_entry(const struct tiny_guest *g, int level, uint64_t gpa);
/* The gpa of the entry for @va at @level; all levels above are present. */
uint64_t tg_entry_gpa(const struct tiny_guest *g, uint64_t va, int level);
/* Map a 4K page, with new tables where there are none. */
void tg_map(struct tiny_guest *g, uint64_t va, uint64_t gpa);

#define TG_HUGE_SIZE	0x200000ul

/* Map 2M with one entry of level 2, in 64-bit mode. */
void tg_map_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa);
/* The entry for a table of @level, through new tables, that leads @va to @gpa. */
uint64_t tg_new_path(struct tiny_guest *g, uint64_t va, int level, uint64_t gpa);
/* How many upper-level tables of the arena, with the root, can the guest reach? */
int tg_count_upper(const struct tiny_guest *g);
/* A new root with the guest's code and the arena mapped through new tables. */
uint64_t tg_new_root(struct tiny_guest *g);
/* Where does @va lead?  TG_FAULT if nowhere. */
uint64_t tg_translate(const struct tiny_guest *g, uint64_t va);

static inline uint64_t tg_data(int i)
{
	return TG_DATA_GPA + i * PAGE_SIZE;
}

/* The address at which the guest itself reaches a page of the arena. */
static inline uint64_t tg_edit_va(uint64_t gpa)
{
	return TG_EDIT_VA + gpa - TG_ARENA_GPA;
}

/* A whole page at once: libkvm's memcpy() and memcmp() go byte by byte. */
static inline void tg_copy_page(void *to, const void *from)
{
	unsigned long nr = PAGE_SIZE / 8;

	asm volatile("rep movsq" : "+D" (to), "+S" (from), "+c" (nr) : : "memory");
}

static inline bool tg_is_same_page(const void *one, const void *other)
{
	const uint64_t *a = one, *b = other;
	int i;

	for (i = 0; i < PAGE_SIZE / 8; i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

#endif /* SELFTEST_KVM_PAGE_TRACK_TABLES_H */
