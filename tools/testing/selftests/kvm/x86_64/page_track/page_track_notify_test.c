// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker of userspace with the action "notify": each write to its pages, of any
 * kind and size, leads to the events it has to, and to the same memory as natively.
 */
#include <string.h>

#include "cases.h"
#include "stats.h"
#include "tracker.h"

/* Pages in a row, the first two of which are tracked; the others have twins. */
#define TRACKED_VA	0x40000000ul
#define PLAIN_VA	(TRACKED_VA + 4 * PAGE_SIZE)
#define TRACKED_GPA	tg_data(0)
#define PLAIN_GPA	tg_data(4)
#define SOURCE_VA	(TRACKED_VA + 8 * PAGE_SIZE)

static const struct write {
	enum tg_op op;
	const char *name;
	int len;		/* of an event */
	int nr;			/* of events if no page is crossed */
	bool only_64bit;
} writes[] = {
	{ TG_STORE1, "mov, 1 byte", 1, 1 },
	{ TG_STORE2, "mov, 2 bytes", 2, 1 },
	{ TG_STORE4, "mov, 4 bytes", 4, 1 },
	{ TG_STORE8, "mov, 8 bytes", 8, 1, true },
	{ TG_STORE8_MMX, "movq", 8, 1 },
	{ TG_STORE16_SSE, "movdqu", 16, 1 },
	{ TG_XCHG1, "xchg, 1 byte", 1, 1 },
	{ TG_XCHG2, "xchg, 2 bytes", 2, 1 },
	{ TG_XCHG4, "xchg, 4 bytes", 4, 1 },
	{ TG_XCHG8, "xchg, 8 bytes", 8, 1, true },
	{ TG_LOCK_OR4, "lock or", 4, 1 },
	{ TG_LOCK_AND4, "lock and", 4, 1 },
	{ TG_LOCK_XADD4, "lock xadd", 4, 1 },
	{ TG_CMPXCHG4, "lock cmpxchg, 4 bytes", 4, 1 },
	{ TG_CMPXCHG8, "lock cmpxchg, 8 bytes", 8, 1, true },
	{ TG_CMPXCHG8B, "lock cmpxchg8b", 8, 1 },
	{ TG_REP_STOS4, "rep stos", 4, 3 },
	{ TG_REP_MOVS1, "rep movs", 1, 3 },
};

/* The registers of a write at @va.  Of compare-and-exchange, one that succeeds. */
static struct kvm_regs write_regs(struct tiny_guest *g, const struct write *w,
				  uint64_t va, bool fail)
{
	struct kvm_regs regs = {
		.rdi = va,
		.rsi = SOURCE_VA,
		.rax = 0x1122334455667788ul,
		.rbx = 0x99aabbccul,
		.rcx = 0xddeeff0099887766ul,
		.rdx = 0x13579bdful,
	};
	uint64_t old;

	if (w->op == TG_REP_STOS4 || w->op == TG_REP_MOVS1)
		regs.rcx = w->nr;

	if (!fail && (w->op == TG_CMPXCHG4 || w->op == TG_CMPXCHG8)) {
		memcpy(&regs.rax, addr_gpa2hva(g->vm, tg_translate(g, va)), sizeof(old));
	} else if (!fail && w->op == TG_CMPXCHG8B) {
		memcpy(&old, addr_gpa2hva(g->vm, tg_translate(g, va)), sizeof(old));
		regs.rax = old & 0xffffffff;
		regs.rdx = old >> 32;
	}

	return regs;
}

static void init_pages(struct tiny_guest *g)
{
	uint8_t *page;
	int i, j;

	for (i = 0; i < 9; i++) {
		tg_map(g, TRACKED_VA + i * PAGE_SIZE, tg_data(i));
		page = addr_gpa2hva(g->vm, tg_data(i));
		for (j = 0; j < PAGE_SIZE; j++)
			page[j] = i % 4 * 7 + j * 13;
	}
}

static void assert_pages_equal(struct tiny_guest *g, const char *name)
{
	TEST_ASSERT(!memcmp(addr_gpa2hva(g->vm, TRACKED_GPA),
			    addr_gpa2hva(g->vm, PLAIN_GPA), 4 * PAGE_SIZE),
		    "%s of the %s guest: memory is not as without tracking", name,
		    tg_mode_name(g->mode));
}

static void run_on_both(struct tiny_guest *g, const struct write *w, int offset, bool fail)
{
	struct kvm_regs regs = write_regs(g, w, PLAIN_VA + offset, fail), plain;

	plain = regs;
	TEST_ASSERT(tg_run(g, w->op, &plain), "%s faulted", w->name);
	regs.rdi = TRACKED_VA + offset;
	TEST_ASSERT(tg_run(g, w->op, &regs), "%s on a tracked page faulted", w->name);
	TEST_ASSERT(regs.rax == plain.rax && regs.rdx == plain.rdx &&
		    regs.rcx == plain.rcx && regs.rsi == plain.rsi &&
		    regs.rflags == plain.rflags &&
		    regs.rdi - TRACKED_VA == plain.rdi - PLAIN_VA,
		    "%s: registers are not as without tracking", w->name);
	assert_pages_equal(g, w->name);
}

/* The event of @len bytes at @offset from the first tracked page. */
static void assert_write(struct tiny_guest *g, struct tracker *t, const struct write *w,
			 int offset, int len)
{
	uint64_t gpa = TRACKED_GPA + offset;
	struct kvm_page_track_event want =
		tracker_write_event(g, TRACKED_VA + offset, gpa,
				    addr_gpa2hva(g->vm, gpa), len);

	if (w->op != TG_STORE8_MMX && w->op != TG_STORE16_SSE)
		want.rip = tg_op_rip(w->op);
	TRACKER_ASSERT_EVENT(t, &want);
}

static bool skip_write(struct tiny_guest *g, const struct write *w)
{
	return w->only_64bit && g->mode != TG_4LEVEL;
}

static void test_writes(struct tiny_guest *g)
{
	const struct write *w;
	struct tracker t;
	uint64_t emulated;
	int i, fail;

	init_pages(g);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, TRACKED_GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);

	for (w = writes; w < writes + ARRAY_SIZE(writes); w++) {
		if (skip_write(g, w))
			continue;

		for (fail = 0; fail < 2; fail++) {
			emulated = tg_vcpu_stat(g, "pf_emulate");
			run_on_both(g, w, 0x340, fail);
			for (i = 0; i < w->nr; i++)
				assert_write(g, &t, w, 0x340 + i * w->len, w->len);
			TRACKER_ASSERT_EMPTY(&t);
			TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated + 1);
		}
	}

	tracker_close(&t);
}

/* Both pages are tracked, or one of them. */
static void test_crossing(struct tiny_guest *g)
{
	const struct write *w;
	struct tracker t;
	int tracked, first;

	init_pages(g);

	for (w = writes; w < writes + ARRAY_SIZE(writes); w++) {
		if (skip_write(g, w) || w->len == 1 || w->nr > 1)
			continue;

		for (tracked = 1; tracked < 4; tracked++) {
			tracker_create(g->vm, &t, 64, 0, 0);
			if (tracked & 1)
				tracker_add(&t, TRACKED_GPA, PAGE_SIZE, TRACKER_NOTIFY);
			if (tracked & 2)
				tracker_add(&t, TRACKED_GPA + PAGE_SIZE, PAGE_SIZE,
					    TRACKER_NOTIFY);

			first = w->len > 4 ? w->len - 3 : 1;
			run_on_both(g, w, PAGE_SIZE - first, false);
			if (tracked & 1)
				assert_write(g, &t, w, PAGE_SIZE - first, first);
			if (tracked & 2)
				assert_write(g, &t, w, PAGE_SIZE, w->len - first);
			TRACKER_ASSERT_EMPTY(&t);
			tracker_close(&t);
		}
	}
}

static void test_push(struct tiny_guest *g)
{
	int len = g->mode == TG_4LEVEL ? 8 : 4;
	struct kvm_regs regs = { .rdi = TRACKED_VA + 0x100, .rax = 0x1122334455667788 };
	struct kvm_page_track_event want =
		tracker_write_event(g, TRACKED_VA + 0x100 - len,
				    TRACKED_GPA + 0x100 - len, &regs.rax, len);
	struct tracker t;

	init_pages(g);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, TRACKED_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT(tg_run(g, TG_PUSH, &regs), "push faulted");
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* More than an event has room for.  KVM does not emulate it in 64-bit mode. */
static void test_fxsave(struct tiny_guest *g)
{
	static const struct write fxsave = { TG_FXSAVE, "fxsave" };
	struct kvm_regs regs = { .rdi = TRACKED_VA + 0x100 };
	struct tracker t;

	init_pages(g);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, TRACKED_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	TEST_ASSERT(tg_run(g, TG_FXSAVE, &regs), "fxsave faulted");
	assert_write(g, &t, &fxsave, 0x100, 288);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Reads and writes to other pages cost nothing; without the tracker all are native. */
static void test_untracked(struct tiny_guest *g)
{
	struct tracker t;
	uint64_t emulated, pages;

	init_pages(g);
	tg_store(g, TRACKED_VA, 1, 4);
	pages = tg_stat(g, "page_track_pages");
	emulated = tg_vcpu_stat(g, "pf_emulate");

	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, TRACKED_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	TG_ASSERT_LOAD(g, TRACKED_VA, 1);
	tg_store(g, TRACKED_VA + PAGE_SIZE, 2, 4);
	TRACKER_ASSERT_EMPTY(&t);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated);
	TEST_ASSERT_EQ(tg_stat(g, "page_track_pages"), pages + 1);

	tg_store(g, TRACKED_VA, 3, 4);
	TEST_ASSERT_EQ(tracker_count(&t), 1);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated + 1);

	tracker_remove(&t, TRACKED_GPA, PAGE_SIZE);
	tg_store(g, TRACKED_VA, 4, 4);
	TEST_ASSERT_EQ(tracker_count(&t), 1);
	tracker_add(&t, TRACKED_GPA, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_close(&t);
	tg_store(g, TRACKED_VA, 5, 4);
	TG_ASSERT_LOAD(g, TRACKED_VA, 5);
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "pf_emulate"), emulated + 1);
}

static void test_two_trackers(struct tiny_guest *g)
{
	uint32_t val = 0x600d600d;
	struct kvm_page_track_event want =
		tracker_write_event(g, TRACKED_VA, TRACKED_GPA, &val, sizeof(val));
	struct tracker a, b;

	init_pages(g);
	tracker_create(g->vm, &a, 64, 0, 0);
	tracker_create(g->vm, &b, 128, 0, 0);
	tracker_add(&a, TRACKED_GPA, 2 * PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&b, TRACKED_GPA, PAGE_SIZE, TRACKER_NOTIFY);

	tg_store(g, TRACKED_VA, val, sizeof(val));
	TRACKER_ASSERT_EVENT(&a, &want);
	TRACKER_ASSERT_EVENT(&b, &want);

	/* Nobody can take away what the other one tracks. */
	TEST_ASSERT_EQ(tracker_ioctl(&b, KVM_PAGE_TRACK_REMOVE_RANGE,
				     TRACKED_GPA + PAGE_SIZE, PAGE_SIZE, 0), ENOENT);
	tracker_close(&b);
	tg_store(g, TRACKED_VA, val, sizeof(val));
	TRACKER_ASSERT_EVENT(&a, &want);
	TRACKER_ASSERT_EMPTY(&a);
	tracker_close(&a);
}

/* A page of a guest page table: the tracker sees the write, and it takes effect. */
static void test_page_table(struct tiny_guest *g)
{
	uint64_t entry, pos;
	struct kvm_page_track_event want;
	struct tracker t;

	init_pages(g);
	tg_map(g, TRACKED_VA, tg_data(1));
	TG_ASSERT_LOAD(g, TRACKED_VA, *(uint32_t *)addr_gpa2hva(g->vm, tg_data(1)));

	pos = tg_entry_gpa(g, TRACKED_VA, 2);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, pos & PAGE_MASK, PAGE_SIZE, TRACKER_NOTIFY);

	entry = tg_new_path(g, TRACKED_VA, 2, tg_data(2));
	want = tracker_write_event(g, tg_edit_va(pos), pos, &entry, tg_entry_size(g));
	tg_edit(g, pos, entry);
	TRACKER_ASSERT_EVENT(&t, &want);
	TRACKER_ASSERT_EMPTY(&t);

	tg_settle(g, TRACKED_VA);
	TG_ASSERT_LOAD(g, TRACKED_VA, *(uint32_t *)addr_gpa2hva(g->vm, tg_data(2)));
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "each kind of write leads to its events", test_writes, TG_ALL_MODES },
		{ "writes that cross pages lead to an event of each", test_crossing, TG_ALL_MODES },
		{ "a push leads to an event", test_push, TG_ALL_MODES },
		{ "data beyond an event's room are cut off", test_fxsave, TG_32_BIT | TG_PAE_BIT },
		{ "what is not tracked runs natively", test_untracked, TG_ALL_MODES },
		{ "each of two trackers sees all of its writes", test_two_trackers, TG_4LEVEL_BIT },
		{ "a page table is tracked and shadowed", test_page_table, TG_ALL_MODES },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
