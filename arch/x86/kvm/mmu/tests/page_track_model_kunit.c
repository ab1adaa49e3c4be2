// SPDX-License-Identifier: GPL-2.0-only
/* A KUnit test of page tracking, layer 1, that knows nothing of its inside. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

/*
 * Random calls against a plain array.  The slots of the two address spaces
 * overlap in part; most calls go to a few gfns, so that counts build up.
 */

#define MODEL_CALLS	20000
#define MODEL_HOT	12

struct model {
	struct rnd_state rnd;
	gfn_t hot[MODEL_HOT];
	int nr_slots;
	struct kvm_memory_slot *slots[2];
	u16 counts[2][PTK_NPAGES];
	int lpages[2][PTK_NPAGES];
};

static int *model_lpages(struct model *m, int i, gfn_t gfn)
{
	return &m->lpages[i][gfn - m->slots[i]->base_gfn];
}

static u16 *model_count(struct model *m, int i, gfn_t gfn)
{
	struct kvm_memory_slot *slot = m->slots[i];

	if (gfn < slot->base_gfn || gfn >= slot->base_gfn + slot->npages)
		return NULL;
	return &m->counts[i][gfn - slot->base_gfn];
}

static bool model_is_active(struct model *m, gfn_t gfn)
{
	bool active = false;
	u16 *count;
	int i;

	for (i = 0; i < m->nr_slots; i++) {
		count = model_count(m, i, gfn);
		active |= count && *count;
	}
	return active;
}

static int model_remove(u16 *count)
{
	if (!*count)
		return -ENOENT;
	return --*count == 0;
}

static struct model *create_model(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	gfn_t gfn;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	ptk_seed(test, &m->rnd);

	m->nr_slots = kvm_arch_nr_memslot_as_ids(ptk_kvm(test));
	m->slots[0] = ptk_create_tracked_slot(test);
	if (m->nr_slots > 1)
		m->slots[1] = ptk_create_slot_at(test, PTK_SMM_SLOT, PTK_BASE + 1001,
						 PTK_NPAGES - 1234);

	for (i = 0; i < m->nr_slots; i++)
		for (gfn = m->slots[i]->base_gfn; model_count(m, i, gfn); gfn++)
			*model_lpages(m, i, gfn) = ptk_disallow_lpages(m->slots[i], gfn);

	for (i = 0; i < MODEL_HOT; i++)
		m->hot[i] = PTK_BASE + prandom_u32_state(&m->rnd) % PTK_NPAGES;
	return m;
}

static void call_both(struct kunit *test, struct model *m)
{
	gfn_t gfn = m->hot[prandom_u32_state(&m->rnd) % MODEL_HOT];
	int i = prandom_u32_state(&m->rnd) % m->nr_slots;
	bool add = prandom_u32_state(&m->rnd) & 1;
	struct kvm_memory_slot *slot = m->slots[i];
	u16 *count = model_count(m, i, gfn);
	int want, got;

	if (!count)
		return;

	if (add) {
		(*count)++;
		want = 0;
		got = ptk_add(test, slot, gfn);
	} else {
		want = model_remove(count);
		got = ptk_remove(test, slot, gfn);
	}

	KUNIT_ASSERT_EQ_MSG(test, got, want, "add %d of gfn %llx", add, gfn);
	KUNIT_ASSERT_EQ_MSG(test, ptk_is_active(test, slot, gfn),
			    model_is_active(m, gfn), "add %d of gfn %llx", add, gfn);
}

/* How many tracked gfns forbid large pages at @gfn, over all levels. */
static int model_tracked_around(struct model *m, int i, gfn_t gfn)
{
	int level, n = 0;
	gfn_t g;

	for (level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++)
		for (g = m->slots[i]->base_gfn; model_count(m, i, g); g++)
			if (!((g ^ gfn) & -KVM_PAGES_PER_HPAGE(level)))
				n += !!*model_count(m, i, g);
	return n;
}

static void compare_all(struct kunit *test, struct model *m)
{
	s64 pages = 0;
	gfn_t gfn;
	int i, j;

	for (i = 0; i < m->nr_slots; i++) {
		for (gfn = m->slots[i]->base_gfn; model_count(m, i, gfn); gfn++) {
			pages += !!*model_count(m, i, gfn);
			KUNIT_EXPECT_EQ(test, ptk_is_active(test, m->slots[i], gfn),
					model_is_active(m, gfn));
		}

		for (j = 0; j < MODEL_HOT; j++)
			if (model_count(m, i, m->hot[j]))
				KUNIT_EXPECT_EQ(test,
						ptk_disallow_lpages(m->slots[i], m->hot[j]),
						*model_lpages(m, i, m->hot[j]) +
						model_tracked_around(m, i, m->hot[j]));
	}

	KUNIT_EXPECT_EQ(test, ptk_pages(test), pages);
}

static void random_calls_agree_with_an_array(struct kunit *test)
{
	struct model *m = create_model(test);
	int i;

	for (i = 0; i < MODEL_CALLS; i++)
		call_both(test, m);
	compare_all(test, m);
}

static struct kunit_case model_cases[] = {
	KUNIT_CASE(random_calls_agree_with_an_array),
	{}
};

static struct kunit_suite model_suite = {
	.name = "kvm_page_track_model",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = model_cases,
};

kunit_test_suite(model_suite);
