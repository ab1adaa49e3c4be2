// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit: KVM_RUN returns before a write with what would be written, and
 * userspace allows it, skips it or has something else written.
 */
#include <errno.h>
#include <string.h>

#include "cases.h"
#include "tracker.h"

#define VA	0x40000000ul
#define GPA	tg_data(0)
#define TWO	(VA + PAGE_SIZE - 3)	/* crosses into the second page after 3 bytes */
#define ID	0x1234567890ul

static void init(struct tiny_guest *g, struct tracker *t)
{
	tg_map(g, VA, GPA);
	tg_map(g, VA + PAGE_SIZE, GPA + PAGE_SIZE);
	memset(addr_gpa2hva(g->vm, GPA), 0x11, 2 * PAGE_SIZE);
	tracker_create(g->vm, t, 64, 0, ID);
	tracker_add(t, GPA, 2 * PAGE_SIZE, TRACKER_EXIT);
}

static void *mem(struct tiny_guest *g, uint64_t va)
{
	return addr_gpa2hva(g->vm, GPA + va - VA);
}

#define ASSERT_MEM(g, va, data, len)						\
	TEST_ASSERT(!memcmp(mem(g, va), data, len), "Not the bytes that had to be written")

#define assert_asked(g, va, data, len) \
	assert_asked_at(g, va, data, len, __FILE__, __LINE__)

static void assert_asked_at(struct tiny_guest *g, uint64_t va, const void *data, uint16_t len,
			    const char *file, unsigned int line)
{
	tracker_assert_asked(g, va, GPA + va - VA, data, len, file, line);
}

static void start(struct tiny_guest *g, enum tg_op op, const struct kvm_regs *regs)
{
	tg_start(g, op, regs);
	vcpu_run(g->vcpu);
}

static void start_store(struct tiny_guest *g, uint64_t va, uint32_t val)
{
	struct kvm_regs regs = { .rdi = va, .rax = val };

	start(g, TG_STORE4, &regs);
}

static void allow(struct tiny_guest *g)
{
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
}

static void skip(struct tiny_guest *g)
{
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
}

static void replace(struct tiny_guest *g, const void *data)
{
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE, data);
}

static void test_replies(struct tiny_guest *g)
{
	uint32_t old, val = 0x600df00d, other = 0x0ddba115;
	struct kvm_regs regs;
	struct tracker t;

	init(g, &t);
	old = *(uint32_t *)mem(g, VA);

	start_store(g, VA, val);
	assert_asked(g, VA, &val, 4);
	TEST_ASSERT_EQ(g->vcpu->run->page_track.user_data, ID);
	vcpu_regs_get(g->vcpu, &regs);
	TEST_ASSERT_EQ(regs.rip, tg_op_rip(TG_STORE4));
	ASSERT_MEM(g, VA, &old, 4);

	skip(g);
	tg_assert_ended(g);
	ASSERT_MEM(g, VA, &old, 4);

	start_store(g, VA, val);
	assert_asked(g, VA, &val, 4);
	replace(g, &other);
	tg_assert_ended(g);
	ASSERT_MEM(g, VA, &other, 4);

	start_store(g, VA, val);
	assert_asked(g, VA, &val, 4);
	ASSERT_MEM(g, VA, &other, 4);
	allow(g);
	tg_assert_ended(g);
	ASSERT_MEM(g, VA, &val, 4);

	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* What each of these writes, where memory is 0x11 all over. */
static void test_kinds(struct tiny_guest *g)
{
	static const struct {
		enum tg_op op;
		int len, offset;
		uint8_t data[16];
	} kinds[] = {
		{ TG_STORE1, 1, 0, "\x84" },
		{ TG_STORE2, 2, 0, "\x84\x83" },
		{ TG_STORE8, 8, 0, "\x84\x83\x82\x81\0\0\0\0" },
		{ TG_STORE8_MMX, 8, 0, "\x84\x83\x82\x81\x74\x73\x72\x71" },
		{ TG_STORE16_SSE, 16, 0, "\x84\x83\x82\x81\x74\x73\x72\x71"
					 "\x84\x83\x82\x81\x74\x73\x72\x71" },
		{ TG_XCHG1, 1, 0, "\x84" },
		{ TG_XCHG8, 8, 0, "\x84\x83\x82\x81\0\0\0\0" },
		{ TG_LOCK_OR4, 4, 0, "\x95\x93\x93\x91" },
		{ TG_LOCK_AND4, 4, 0, "\0\x01\0\x01" },
		{ TG_LOCK_XADD4, 4, 0, "\x95\x94\x93\x92" },
		/* These compare, find something else and write it back. */
		{ TG_CMPXCHG4, 4, 0, "\x11\x11\x11\x11" },
		{ TG_CMPXCHG8, 8, 0, "\x11\x11\x11\x11\x11\x11\x11\x11" },
		{ TG_REP_MOVS1, 1, 0, "\x22" },
		{ TG_PUSH, 8, -8, "\x84\x83\x82\x81\0\0\0\0" },
	};
	uint8_t before[16], other[16];
	struct kvm_regs regs;
	struct tracker t;
	uint64_t va;
	int i;

	init(g, &t);
	memset(before, 0x11, sizeof(before));
	memset(other, 0x77, sizeof(other));
	tg_map(g, VA + 0x10000, tg_data(5));
	memset(addr_gpa2hva(g->vm, tg_data(5)), 0x22, 16);

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		regs = (struct kvm_regs) {
			.rdi = VA + 0x100, .rsi = VA + 0x10000,
			.rax = 0x81828384, .rdx = 0x71727374, .rcx = 1,
		};
		va = regs.rdi + kinds[i].offset;

		start(g, kinds[i].op, &regs);
		assert_asked(g, va, kinds[i].data, kinds[i].len);
		ASSERT_MEM(g, va, before, kinds[i].len);
		skip(g);
		tg_assert_ended(g);
		ASSERT_MEM(g, va, before, kinds[i].len);

		start(g, kinds[i].op, &regs);
		assert_asked(g, va, kinds[i].data, kinds[i].len);
		allow(g);
		tg_assert_ended(g);
		ASSERT_MEM(g, va, kinds[i].data, kinds[i].len);
		memset(mem(g, va), 0x11, 16);

		start(g, kinds[i].op, &regs);
		assert_asked(g, va, kinds[i].data, kinds[i].len);
		replace(g, other);
		tg_assert_ended(g);
		ASSERT_MEM(g, va, other, kinds[i].len);
		memset(mem(g, va), 0x11, 16);
	}

	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Both parts are asked before one is written. */
static void test_crossing(struct tiny_guest *g)
{
	uint8_t before[8], data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, other[3] = { 9, 9, 9 };
	struct kvm_regs regs = { .rdi = TWO, .rax = 0x0807060504030201 };
	struct tracker t;

	init(g, &t);
	memset(before, 0x11, sizeof(before));
	start(g, TG_STORE8, &regs);
	assert_asked(g, TWO, data, 3);
	replace(g, other);
	assert_asked(g, VA + PAGE_SIZE, data + 3, 5);
	ASSERT_MEM(g, TWO, before, 8);
	allow(g);
	tg_assert_ended(g);
	memcpy(data, other, 3);
	ASSERT_MEM(g, TWO, data, 8);

	/* One part may stay what it was. */
	regs.rax = ~0ul;
	start(g, TG_STORE8, &regs);
	assert_asked(g, TWO, &regs.rax, 3);
	skip(g);
	assert_asked(g, VA + PAGE_SIZE, &regs.rax, 5);
	allow(g);
	tg_assert_ended(g);
	memset(data + 3, 0xff, 5);
	ASSERT_MEM(g, TWO, data, 8);

	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void test_string(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA, .rax = 0x5a5a5a5a, .rcx = 20 };
	uint32_t before = 0x11111111;
	struct tracker t;
	int i;

	init(g, &t);
	start(g, TG_REP_STOS4, &regs);
	for (i = 0; i < 20; i++) {
		assert_asked(g, VA + 4 * i, &regs.rax, 4);
		vcpu_regs_get(g->vcpu, &regs);
		TEST_ASSERT_EQ(regs.rcx, 20 - i);
		if (i % 2)
			allow(g);
		else
			skip(g);
	}
	tg_assert_ended(g);
	for (i = 0; i < 20; i++)
		ASSERT_MEM(g, VA + 4 * i, i % 2 ? (void *)&regs.rax : &before, 4);

	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* KVM_RUN fails, nothing changes, and a good reply is still taken. */
static void assert_bad_reply(struct tiny_guest *g, uint8_t bad)
{
	g->vcpu->run->page_track.reply = bad;
	TEST_ASSERT(_vcpu_run(g->vcpu) == -1 && errno == EINVAL, "Reply %u, errno %d", bad,
		    errno);
}

static void test_bad_reply(struct tiny_guest *g)
{
	uint32_t old, val = 0x600df00d;
	struct tracker t;

	init(g, &t);
	old = *(uint32_t *)mem(g, VA);
	start_store(g, VA, val);
	assert_bad_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE + 1);
	assert_bad_reply(g, 0xff);
	ASSERT_MEM(g, VA, &old, 4);
	allow(g);
	tg_assert_ended(g);
	ASSERT_MEM(g, VA, &val, 4);
	tracker_close(&t);
}

/* FXSAVE of a 32-bit guest: more than can be shown, or replaced. */
static void test_truncated(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA };
	struct tracker t;

	init(g, &t);
	start(g, TG_FXSAVE, &regs);
	assert_asked(g, VA, NULL, 288);
	assert_bad_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE);
	skip(g);
	tg_assert_ended(g);
	TEST_ASSERT_EQ(*(uint32_t *)mem(g, VA), 0x11111111);

	start(g, TG_FXSAVE, &regs);
	assert_asked(g, VA, NULL, 288);
	allow(g);
	tg_assert_ended(g);
	TEST_ASSERT_EQ(*(uint16_t *)mem(g, VA), 0x37f);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* What the last 64 bytes of an FXSAVE are, i.e. XMM4 to XMM7. */
static void set_xmm(struct tiny_guest *g, const uint8_t *bytes)
{
	struct kvm_xsave xsave;

	vcpu_ioctl(g->vcpu, KVM_GET_XSAVE, &xsave);
	/* XSTATE_BV */
	xsave.region[512 / 4] |= XFEATURE_MASK_FP | XFEATURE_MASK_SSE;
	memcpy(&xsave.region[(288 - 64) / 4], bytes, 64);
	vcpu_ioctl(g->vcpu, KVM_SET_XSAVE, &xsave);
}

/* The last bytes of an FXSAVE, in a page that its first ones are not in. */
static void test_longest(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA + PAGE_SIZE - (288 - 64) };
	uint8_t other[64], saved[64];
	struct tracker t;
	int i;

	init(g, &t);
	tracker_remove(&t, GPA, PAGE_SIZE);
	memset(other, 0x77, sizeof(other));
	for (i = 0; i < sizeof(saved); i++)
		saved[i] = 0x31 + 3 * i;
	set_xmm(g, saved);
	start(g, TG_FXSAVE, &regs);
	assert_asked(g, VA + PAGE_SIZE, saved, 64);
	replace(g, other);
	tg_assert_ended(g);
	ASSERT_MEM(g, VA + PAGE_SIZE, other, 64);
	TEST_ASSERT_EQ(*(uint8_t *)mem(g, VA + PAGE_SIZE + 64), 0x11);
	TEST_ASSERT_EQ(*(uint16_t *)mem(g, regs.rdi), 0x37f);

	/* One that may be 16 bytes longer. */
	regs.rdi += 16;
	start(g, TG_FXSAVE, &regs);
	assert_asked(g, VA + PAGE_SIZE, NULL, 80);
	assert_bad_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE);
	skip(g);
	tg_assert_ended(g);
	ASSERT_MEM(g, VA + PAGE_SIZE, other, 64);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The guest does itself what KVM cannot do, once userspace allows it. */
static void test_unemulated(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA };
	struct kvm_run *run = g->vcpu->run;
	struct tracker t;

	init(g, &t);
	start(g, TG_FXSAVE, &regs);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
	TEST_ASSERT_EQ(run->page_track.reason, KVM_PAGE_TRACK_REASON_ACCESS);
	TEST_ASSERT_EQ(run->page_track.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
		       KVM_PAGE_TRACK_EVENT_UNEMULATED);
	TEST_ASSERT_EQ(run->page_track.gpa, GPA);
	TEST_ASSERT_EQ(run->page_track.len, 0);
	TEST_ASSERT_EQ(*(uint32_t *)mem(g, VA), 0x11111111);

	assert_bad_reply(g, KVM_PAGE_TRACK_REPLY_SKIP);
	assert_bad_reply(g, KVM_PAGE_TRACK_REPLY_REPLACE);
	allow(g);
	tg_assert_ended(g);
	TEST_ASSERT_EQ(*(uint16_t *)mem(g, VA), 0x37f);

	/* The other page is tracked still, this one is not. */
	start_store(g, VA, 1);
	tg_assert_ended(g);
	start_store(g, VA + PAGE_SIZE, 1);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
	allow(g);
	tg_assert_ended(g);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Of several writes, the first is asked, the others are told. */
static void test_several(struct tiny_guest *g, bool do_skip)
{
	const uint32_t pushed[] = { 0xa, 0xc, 0xd, 0xb, VA + 0x40, 0xe, 0x5, VA + 0x40 };
	struct kvm_regs regs = {
		.rdi = VA + 0x40, .rax = 0xa, .rbx = 0xb, .rcx = 0xc, .rdx = 0xd,
		.rsi = 0x5, .rbp = 0xe,
	};
	struct kvm_page_track_event want;
	struct tracker t;
	uint64_t offset;
	int i;

	init(g, &t);
	start(g, TG_PUSHA, &regs);
	assert_asked(g, VA + 0x3c, &pushed[0], 4);
	if (do_skip)
		skip(g);
	else
		allow(g);
	tg_assert_ended(g);
	TEST_ASSERT_EQ(*(uint32_t *)mem(g, VA + 0x3c), do_skip ? 0x11111111 : 0xa);

	for (i = 1; i < ARRAY_SIZE(pushed); i++) {
		offset = 0x3c - 4 * i;
		want = tracker_write_event(g, VA + offset, GPA + offset, &pushed[i], 4);
		TRACKER_ASSERT_EVENT(&t, &want);
		ASSERT_MEM(g, VA + offset, &pushed[i], 4);
	}
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void test_pusha(struct tiny_guest *g)
{
	test_several(g, false);
	test_several(g, true);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a write is allowed, skipped and replaced", test_replies, TG_ALL_MODES },
		{ "each kind of write asks", test_kinds, TG_4LEVEL_BIT },
		{ "a write to two pages asks for both first", test_crossing, TG_4LEVEL_BIT },
		{ "a string instruction asks for each element", test_string, TG_ALL_MODES },
		{ "of several writes, the first asks", test_pusha, TG_32_BIT | TG_PAE_BIT },
		{ "a bad reply changes nothing", test_bad_reply, TG_4LEVEL_BIT },
		{ "a large write is not replaced", test_truncated, TG_32_BIT },
		{ "a write of 64 bytes is replaced", test_longest, TG_32_BIT },
		{ "an unemulated write asks before it is done", test_unemulated, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
