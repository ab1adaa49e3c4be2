// SPDX-License-Identifier: GPL-2.0-only
/* Pages that cannot be accessed for one reason or another, see exact.h. */
#include <sys/mman.h>

#include "exact.h"

#define FIRST_GPA	0x20000ul
#define GROUP_SIZE	(EXACT_NR_GROUP_PAGES * PAGE_SIZE)

/* Where a page is while it is absent in the host. */
static void *stash;

const char *exact_kind_name(enum exact_kind kind)
{
	static const char * const names[EXACT_NR_KINDS] = {
		"RAM", "tracked RAM", "read-only in the host", "absent in the host",
		"absent in the guest", "read-only in the guest", "a read-only slot", "no slot",
	};

	return names[kind];
}

uint64_t exact_group_gpa(enum exact_kind kind)
{
	return FIRST_GPA + kind * GROUP_SIZE;
}

static uint64_t other_gpa(enum exact_kind kind)
{
	return exact_group_gpa(kind) + EXACT_OTHER * PAGE_SIZE;
}

static void add_slot(struct exact *x, uint64_t gpa, uint64_t end, int slot, uint32_t flags)
{
	vm_userspace_mem_region_add(x->g->vm, VM_MEM_SRC_ANONYMOUS, gpa, TG_NR_SLOTS + slot,
				    (end - gpa) / PAGE_SIZE, flags);
}

static void add_slots(struct exact *x, enum exact_kind kind)
{
	uint64_t gpa = exact_group_gpa(kind), end = gpa + GROUP_SIZE, other = other_gpa(kind);

	if (kind < EXACT_READONLY_SLOT)
		return add_slot(x, gpa, end, 0, 0);

	add_slot(x, gpa, other, 0, 0);
	add_slot(x, other + PAGE_SIZE, end, 1, 0);
	if (kind == EXACT_READONLY_SLOT)
		add_slot(x, other, other + PAGE_SIZE, 2, KVM_MEM_READONLY);
}

static void set_segments(struct exact *x, uint64_t base)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(x->g->vcpu, &sregs);
	sregs.ds.base = base;
	sregs.ds.selector = base >> 4;
	sregs.es = sregs.ds;
	sregs.ss = sregs.ds;
	vcpu_sregs_set(x->g->vcpu, &sregs);
}

void exact_init_group(struct exact *x, enum exact_kind kind)
{
	uint64_t gpa = exact_group_gpa(kind);
	int i;

	add_slots(x, kind);
	for (i = 0; i < EXACT_NR_GROUP_PAGES; i++, gpa += PAGE_SIZE) {
		if (x->bits != 16)
			tg_map(x->g, gpa, gpa);
		x->mem[i] = kind == EXACT_NO_SLOT && i == EXACT_OTHER ? NULL :
			    addr_gpa2hva(x->g->vm, gpa);
	}

	if (x->bits == 16)
		set_segments(x, exact_group_gpa(kind));

	if (!stash)
		stash = mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(stash != MAP_FAILED, "mmap() failed");
}

static void move_page(void *from, void *to)
{
	TEST_ASSERT(mremap(from, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to,
		    "mremap() failed");
}

static void show_page(void *hva)
{
	move_page(stash, hva);
	TEST_ASSERT(mmap(stash, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0) == stash, "mmap() failed");
}

static void protect(void *hva, int prot)
{
	TEST_ASSERT(!mprotect(hva, PAGE_SIZE, prot), "mprotect() failed");
}

/* The guest's entry for the page, changed by the guest itself. */
static void edit(struct exact *x, enum exact_kind kind, uint64_t clear, uint64_t set)
{
	uint64_t pos = tg_entry_gpa(x->g, other_gpa(kind), 1);

	tg_edit(x->g, pos, (tg_read_entry(x->g, pos) & ~clear) | set);
	tg_invlpg(x->g, other_gpa(kind));
}

void exact_break_page(struct exact *x, enum exact_kind kind)
{
	void *hva = x->mem[EXACT_OTHER];

	if (kind == EXACT_ABSENT)
		edit(x, kind, 1, 0);
	else if (kind == EXACT_GUEST_RO)
		edit(x, kind, 2, 0);
	else if (kind == EXACT_HOST_RO)
		protect(hva, PROT_READ);
	else if (kind == EXACT_HOST_ABSENT)
		move_page(hva, stash);
}

void exact_mend_page(struct exact *x, enum exact_kind kind)
{
	void *hva = x->mem[EXACT_OTHER];

	if (kind == EXACT_ABSENT || kind == EXACT_GUEST_RO)
		edit(x, kind, 0, 3);
	else if (kind == EXACT_HOST_RO)
		protect(hva, PROT_READ | PROT_WRITE);
	else if (kind == EXACT_HOST_ABSENT)
		show_page(hva);
}
