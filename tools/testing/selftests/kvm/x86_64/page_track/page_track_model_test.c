// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random steps against a model.  Trackers of userspace come and go, they add, remove
 * and list ranges, and collect pages that they have given up, slots are created, moved
 * and deleted below them, and two vCPUs write and read.  Who is asked gives any reply.
 * The same again, where the CPU does some writes itself, in steps.
 * After each step, all is as in the model.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "model.h"
#include "stats.h"

static uint32_t seed;
static uint32_t tracker_flags;
static int nr_steps;
static int step;		/* 0 before the first and after the last */
static char what[256];		/* the step does */

#define say(...) snprintf(what, sizeof(what), __VA_ARGS__)

/* Whatever ended the test. */
static void print_step(void)
{
	if (step)
		fprintf(stderr, "Step %d of -n %d -s %u: %s\n", step, nr_steps, seed,
			what);
}

/* The first page from a random one on that has a slot.  -1 if there is no slot. */
static int pick_page(struct model *m)
{
	int i, page = tg_pick(MODEL_PAGES);

	for (i = 0; i < MODEL_PAGES; i++, page = (page + 1) % MODEL_PAGES) {
		if (model_find_slot(m, page))
			return page;
	}
	return -1;
}

/* Often near the end of a page, and beyond it only if the next one has a slot. */
static int pick_offset(struct model *m, int page, int len)
{
	int offset = tg_pick(2) ? tg_pick(PAGE_SIZE) : PAGE_SIZE - 1 - tg_pick(2 * len);

	if (offset + len > PAGE_SIZE && !model_find_slot(m, page + 1))
		offset = PAGE_SIZE - len;
	return offset;
}

/* Whatever the reply is, there are bytes that KVM may only use to replace. */
static uint8_t pick_reply(uint8_t *data)
{
	uint64_t other[2] = { tg_random_u64(), tg_random_u64() };
	size_t len = strlen(what);
	int reply = tg_pick(KVM_PAGE_TRACK_REPLY_REPLACE + 1);

	snprintf(what + len, sizeof(what) - len, ", reply %d", reply);
	memcpy(data, other, sizeof(other));
	return reply;
}

static void do_write(struct model *m)
{
	bool steps = tracker_flags & KVM_PAGE_TRACKER_STEP && tg_pick(2);
	int vcpu = tg_pick(MODEL_VCPUS), len = steps ? 4 : 1 << tg_pick(5);
	int page = pick_page(m), offset;
	uint64_t data = tg_random_u64();

	if (page < 0)
		return;
	offset = pick_offset(m, page, len);
	say("vCPU %d writes 0x%lx, %d bytes%s, to 0x%lx", vcpu, data, len,
	    steps ? " that KVM cannot emulate" : "", model_gpa(page) + offset);
	if (steps)
		model_step(m, &m->vcpus[vcpu], page * PAGE_SIZE + offset, data);
	else
		model_write(m, &m->vcpus[vcpu], page * PAGE_SIZE + offset, len, data);
}

/* So that not only writes make SPTEs. */
static void do_read(struct model *m)
{
	int vcpu = tg_pick(MODEL_VCPUS), page = pick_page(m);
	int offset = tg_pick(PAGE_SIZE) & ~3;

	if (page < 0)
		return;
	say("vCPU %d reads 0x%lx", vcpu, model_gpa(page) + offset);
	model_read(m, &m->vcpus[vcpu], page * PAGE_SIZE + offset);
}

/* The first from a random one on that exists, or NULL. */
static struct model_tracker *pick_tracker(struct model *m, int *i)
{
	int n;

	*i = tg_pick(MODEL_TRACKERS);
	for (n = 0; n < MODEL_TRACKERS; n++, *i = (*i + 1) % MODEL_TRACKERS) {
		if (m->trackers[*i].exists)
			return &m->trackers[*i];
	}
	return NULL;
}

/* Most are short. */
static void pick_range(int *page, int *nr)
{
	*nr = 1 + tg_pick(tg_pick(6) ? 6 : MODEL_PAGES);
	*page = tg_pick(MODEL_PAGES - *nr + 1);
}

static void do_add(struct model *m)
{
	struct model_tracker *t;
	int i, page, nr, action;

	t = pick_tracker(m, &i);
	if (!t)
		return;
	/* To be stepped, a write must not have more than four questions. */
	action = tg_pick(t->waits || (tracker_flags && i > 1) ? TRACKER_ONCE + 1 :
							       TRACKER_EXIT + 1);
	pick_range(&page, &nr);
	say("tracker %d adds 0x%lx, %d pages, action %d", i, model_gpa(page), nr, action);
	model_add(t, page, nr, action);
}

static void do_remove(struct model *m)
{
	struct model_tracker *t;
	int i, page, nr;

	t = pick_tracker(m, &i);
	if (!t)
		return;
	pick_range(&page, &nr);
	say("tracker %d removes 0x%lx, %d pages", i, model_gpa(page), nr);
	model_remove(t, page, nr);
}

static void do_collect(struct model *m)
{
	struct model_tracker *t;
	int i, page, nr, rearm;

	t = pick_tracker(m, &i);
	if (!t)
		return;
	pick_range(&page, &nr);
	rearm = tg_pick(2);
	say("tracker %d collects 0x%lx, %d pages%s", i, model_gpa(page), nr,
	    rearm ? ", and tracks them" : "");
	model_collect(t, page, nr, rearm);
}

static void do_next(struct model *m)
{
	int i, page = tg_pick(MODEL_PAGES + 1);
	struct model_tracker *t = pick_tracker(m, &i);

	if (!t)
		return;
	say("tracker %d looks for a range from 0x%lx on", i, model_gpa(page));
	model_check_next(t, page);
}

/* A call that is right, and something in it that is not. */
static void do_wrong(struct model *m)
{
	static const unsigned long ioctls[] = {
		KVM_PAGE_TRACK_ADD_RANGE, KVM_PAGE_TRACK_REMOVE_RANGE,
		KVM_PAGE_TRACK_NEXT_RANGE,
	};
	struct kvm_page_track_range range = {};
	int i, page, nr, call = tg_pick(ARRAY_SIZE(ioctls));
	struct model_tracker *t = pick_tracker(m, &i);

	if (!t)
		return;
	pick_range(&page, &nr);
	range.gpa = model_gpa(page);
	range.size = call == 2 ? 0 : nr * PAGE_SIZE;

	switch (tg_pick(7)) {
	case 0:
		range.gpa += 1 + tg_pick(PAGE_SIZE - 1);
		break;
	case 1:
		range.size += 1 + tg_pick(PAGE_SIZE - 1);
		break;
	case 2:
		range.size = call == 2 ? PAGE_SIZE : 0;
		break;
	case 3:
		range.mode = 1 + tg_pick(1000);
		break;
	case 4:
		range.action = call ? 1 + tg_pick(3) : TRACKER_EXIT + 1;
		break;
	case 5:
		range.flags = tg_random() | 1;
		break;
	case 6:
		range.reserved[tg_pick(5)] = tg_random() | 1;
		break;
	}

	say("call %d of tracker %d: 0x%llx, 0x%llx, mode %u, action %u, flags 0x%x",
	    call, i, range.gpa, range.size, range.mode, range.action, range.flags);
	TEST_ASSERT(ioctl(t->t.fd, ioctls[call], &range) && errno == EINVAL,
		    "Wanted errno %d, got %d", EINVAL, errno);
	model_check_list(t);
}

/* Beyond guest physical addresses, which end at bit 52 at the latest. */
static void do_beyond(struct model *m)
{
	uint64_t gpa = tg_pick(2) ? BIT_ULL(52) - tg_pick(4) * PAGE_SIZE : -4 * PAGE_SIZE;
	unsigned long call = tg_pick(2) ? KVM_PAGE_TRACK_ADD_RANGE : KVM_PAGE_TRACK_REMOVE_RANGE;
	struct kvm_page_track_range range;
	int i, r;
	struct model_tracker *t = pick_tracker(m, &i);

	if (!t)
		return;
	say("tracker %d does call 0x%lx beyond the end, 0x%lx", i, call, gpa);
	r = tracker_ioctl(&t->t, call, gpa, (4 + tg_pick(8)) * PAGE_SIZE, 0);
	TEST_ASSERT(r == EINVAL, "Wanted errno %d, got %d", EINVAL, r);
	r = tracker_next(&t->t, gpa, &range);
	TEST_ASSERT(r == ENOENT, "Next range: wanted errno %d, got %d", ENOENT, r);
	model_check_list(t);
}

static void do_slot(struct model *m)
{
	int i = tg_pick(MODEL_SLOTS);
	struct model_slot *s = &m->slots[i];
	int nr = s->nr ?: 1 + tg_pick(MODEL_SLOT_PAGES);
	int first = s->nr ? s->first : tg_pick(MODEL_PAGES - nr + 1);
	uint32_t flags = s->flags;

	switch (s->nr ? tg_pick(3) : 2) {
	case 0:
		nr = 0;
		flags = 0;
		break;
	case 1:
		first = tg_pick(MODEL_PAGES - nr + 1);
		break;
	case 2:
		flags ^= tg_pick(2) * KVM_MEM_LOG_DIRTY_PAGES;
		break;
	}

	say("slot %d: %d pages, flags 0x%x, at 0x%lx, become %d, flags 0x%x, at 0x%lx", i,
	    s->nr, s->flags, model_gpa(s->first), nr, flags, model_gpa(first));
	model_set_slot(m, s, first, nr, flags);
}

static void do_log(struct model *m)
{
	int i = tg_pick(MODEL_SLOTS);

	say("dirty log of slot %d", i);
	if (m->slots[i].flags & KVM_MEM_LOG_DIRTY_PAGES)
		model_read_log(m, &m->slots[i]);
}

/* Let there be more trackers than not. */
static void do_tracker(struct model *m)
{
	static const uint32_t kinds[] = { 0, KVM_PAGE_TRACKER_LOSSY, KVM_PAGE_TRACKER_WAIT };
	int i = tg_pick(MODEL_TRACKERS);
	struct model_tracker *t = &m->trackers[i];

	say("tracker %d is closed, created or attached", i);
	if (!t->exists)
		model_create_tracker(m, t, KVM_PAGE_TRACK_MIN_EVENTS << tg_pick(3),
				     tracker_flags | kinds[tg_pick(ARRAY_SIZE(kinds))]);
	else if (!tg_pick(3))
		model_close_tracker(t);
}

static void do_lists(struct model *m)
{
	int i;

	say("all lists, all memory");
	for (i = 0; i < MODEL_TRACKERS; i++) {
		if (m->trackers[i].exists)
			model_check_list(&m->trackers[i]);
	}
	model_check_memory(m);
}

static void do_step(struct model *m)
{
	static const struct {
		int weight;
		void (*fn)(struct model *m);
	} steps[] = {
		{ 40, do_write }, { 8, do_read }, { 12, do_add }, { 8, do_remove },
		{ 8, do_next }, { 4, do_wrong }, { 1, do_beyond }, { 6, do_slot },
		{ 2, do_log }, { 3, do_tracker }, { 2, do_lists }, { 6, do_collect },
	};
	int i, n = tg_pick(100);

	for (i = 0; n >= steps[i].weight; i++)
		n -= steps[i].weight;
	say("nothing");
	steps[i].fn(m);
	model_check_counters(m);
}

static void test_model(struct tiny_guest *g)
{
	uint64_t steps = tg_stat(g, "page_track_steps");
	struct model m;

	tg_seed(seed);
	model_init(&m, g);
	m.reply = pick_reply;
	for (step = 1; step <= nr_steps; step++)
		do_step(&m);
	say("the end");
	model_free(&m);
	step = 0;
	steps = tg_stat(g, "page_track_steps") - steps;
	TEST_ASSERT(tracker_flags ? steps && m.stepped : !steps, "%lu steps, %lu told", steps,
		    m.stepped);
	pr_info("Events: %lu before writes, %lu after, of these %lu of the action once, %lu of %lu steps\n",
		m.before, m.after, m.after_once, m.stepped, steps);
	pr_info("Replies: %lu allow, %lu skip, %lu replace\n", m.replies[0], m.replies[1],
		m.replies[2]);
}

static void test_steps(struct tiny_guest *g)
{
	tracker_flags = KVM_PAGE_TRACKER_STEP;
	test_model(g);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "random steps", test_model, TG_4LEVEL_BIT },
		{ "the same, some writes by the CPU", test_steps, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	nr_steps = tg_get_random_rounds(argc, argv, 20000, &seed);
	atexit(print_step);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
