// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker that has vCPUs wait: a vCPU asks by an event and sleeps in KVM_RUN, whose
 * caller knows nothing of that, until whoever holds the tracker has replied.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asleep.h"
#include "cases.h"

static const struct {
	uint32_t reply, want;
} replies[] = {
	{ KVM_PAGE_TRACK_REPLY_SKIP, 0 },
	{ KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 1 },
	{ KVM_PAGE_TRACK_REPLY_ALLOW, ASK_VAL },
};

/* In another process, which has the tracker and the ring alone. */
static int reply_to_all(struct tracker *t)
{
	struct kvm_page_track_event event;
	int i, r = 0;

	for (i = 0; i < ARRAY_SIZE(replies) && !r; i++) {
		event = asleep_get_event(t);
		TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_ASKS, "flags 0x%x", event.flags);
		r = asleep_reply(t, &event, replies[i].reply, ASK_VAL + 1);
	}
	return r;
}

static void test_process(struct tiny_guest *g)
{
	struct tracker t;
	int i, status;
	pid_t pid;

	asleep_init(g, &t, 0);
	pid = fork();
	TEST_ASSERT(pid >= 0, "errno %d", errno);
	if (!pid)
		_exit(reply_to_all(&t));

	for (i = 0; i < ARRAY_SIZE(replies); i++) {
		ask_start(g, TG_STORE4, ASK_VAL);
		ask_assert_ended(g, replies[i].want);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "The other process: 0x%x",
		    status);
	tracker_close(&t);
}

static void test_replies(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;
	int i;

	asleep_init(g, &t, 0);
	for (i = 0; i < ARRAY_SIZE(replies); i++) {
		asleep_start(&s, g, TG_STORE4, ASK_VAL);
		event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
		ASLEEP_ASSERT_SLEEPS(&s);
		TEST_ASSERT_EQ(ask_mem(g), i ? replies[i - 1].want : 0);
		TEST_ASSERT_EQ(asleep_reply(&t, &event, replies[i].reply, ASK_VAL + 1), 0);
		ASLEEP_ASSERT_ENDED(&s, replies[i].want);

		/* Once. */
		TEST_ASSERT_EQ(asleep_reply(&t, &event, replies[i].reply, 0), ENOENT);
	}
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The whole of a store of 16 bytes. */
static void test_data(struct tiny_guest *g)
{
	static const uint8_t data[] = "0123456789abcdef";
	struct kvm_page_track_event event;
	struct kvm_page_track_reply reply;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	asleep_start(&s, g, TG_STORE16_SSE, ASK_VAL);
	event = asleep_get_event(&t);
	TEST_ASSERT_EQ(event.len, 16);
	reply = asleep_make_reply(&event, KVM_PAGE_TRACK_REPLY_REPLACE, 0);
	memset(reply.data, 0xff, sizeof(reply.data));
	memcpy(reply.data, data, 16);
	TEST_ASSERT(!ioctl(t.fd, KVM_PAGE_TRACK_REPLY, &reply), "errno %d", errno);
	asleep_join(&s);
	tg_assert_ended(g);
	TEST_ASSERT(!memcmp(addr_gpa2hva(g->vm, ASK_GPA), data, 16), "Not these bytes");
	TEST_ASSERT_EQ(((uint64_t *)addr_gpa2hva(g->vm, ASK_GPA))[2], 0);
	tracker_close(&t);
}

static void assert_refused(struct tracker *t, struct asleep *s, int want,
			   struct kvm_page_track_reply reply)
{
	TEST_ASSERT(ioctl(t->fd, KVM_PAGE_TRACK_REPLY, &reply) == -1 && errno == want,
		    "Reply %u to event %llu of vCPU %u, flags %u: errno %d, wanted %d",
		    reply.reply, reply.seq, reply.vcpu_id, reply.flags, errno, want);
	ASLEEP_ASSERT_SLEEPS(s);
}

/* Nothing changes, and a good reply is still taken. */
static void test_bad_replies(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct kvm_page_track_reply good, bad;
	struct tracker t, other;
	struct asleep s;
	int i;

	tracker_create(g->vm, &other, KVM_PAGE_TRACK_MIN_EVENTS, KVM_PAGE_TRACKER_WAIT, 0);
	asleep_init(g, &t, 0);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	good = asleep_make_reply(&event, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 1);

	assert_refused(&other, &s, ENOENT, good);
	for (i = -1; i <= 1; i += 2) {
		bad = good;
		bad.seq += i;
		assert_refused(&t, &s, ENOENT, bad);
		bad = good;
		bad.vcpu_id += i;
		assert_refused(&t, &s, ENOENT, bad);
	}

	bad = good;
	bad.reply = KVM_PAGE_TRACK_REPLY_REPLACE + 1;
	assert_refused(&t, &s, EINVAL, bad);
	bad.reply = ~0u;
	assert_refused(&t, &s, EINVAL, bad);
	bad.reply = 0x100;
	assert_refused(&t, &s, EINVAL, bad);
	bad = good;
	bad.flags = 1;
	assert_refused(&t, &s, EINVAL, bad);
	for (i = 0; i < ARRAY_SIZE(bad.reserved); i++) {
		bad = good;
		bad.reserved[i] = 1u << 31;
		assert_refused(&t, &s, EINVAL, bad);
	}
	TEST_ASSERT(ioctl(t.fd, KVM_PAGE_TRACK_REPLY, (void *)8) == -1 && errno == EFAULT,
		    "errno %d", errno);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(ask_mem(g), 0);

	TEST_ASSERT(!ioctl(t.fd, KVM_PAGE_TRACK_REPLY, &good), "errno %d", errno);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL + 1);
	TRACKER_ASSERT_EMPTY(&t);
	TRACKER_ASSERT_EMPTY(&other);
	tracker_close(&t);
	tracker_close(&other);
}

/* FXSAVE of a 32-bit guest: more than can be shown, or replaced. */
static void test_large(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	asleep_start(&s, g, TG_FXSAVE, 0);
	event = asleep_get_event(&t);
	TEST_ASSERT_EQ(event.len, 288);
	TEST_ASSERT_EQ(event.flags, KVM_PAGE_TRACK_EVENT_GVA | KVM_PAGE_TRACK_EVENT_TRUNCATED |
				    KVM_PAGE_TRACK_EVENT_ASKS);
	assert_refused(&t, &s, EINVAL,
		       asleep_make_reply(&event, KVM_PAGE_TRACK_REPLY_REPLACE, 0));
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, 0);

	asleep_start(&s, g, TG_FXSAVE, 0);
	event = asleep_get_event(&t);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	asleep_join(&s);
	tg_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)ask_mem(g), 0x37f);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* What KVM cannot emulate the CPU does, when that is allowed: no other reply can be. */
static void test_unemulated(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct kvm_page_track_range range;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	asleep_start(&s, g, TG_FXSAVE, 0);
	event = asleep_get_event(&t);
	TEST_ASSERT_EQ(event.len, 0);
	TEST_ASSERT_EQ(event.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
		       KVM_PAGE_TRACK_EVENT_UNEMULATED | KVM_PAGE_TRACK_EVENT_ASKS);
	assert_refused(&t, &s, EINVAL, asleep_make_reply(&event, KVM_PAGE_TRACK_REPLY_SKIP, 0));
	assert_refused(&t, &s, EINVAL,
		       asleep_make_reply(&event, KVM_PAGE_TRACK_REPLY_REPLACE, 0));
	TEST_ASSERT_EQ(ask_mem(g), 0);
	TEST_ASSERT_EQ(tracker_next(&t, ASK_GPA, &range), 0);

	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	asleep_join(&s);
	tg_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)ask_mem(g), 0x37f);
	TEST_ASSERT_EQ(tracker_next(&t, ASK_GPA, &range), ENOENT);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* What one vCPU has given up by that nobody can refuse another one. */
static void test_given_up(struct tiny_guest *g)
{
	struct kvm_page_track_event store, fxsave;
	struct asleep one, two;
	struct tiny_guest other;
	struct tracker t;

	asleep_init(g, &t, 0);
	tg_add_vcpu(g, &other, 1);
	asleep_start(&one, g, TG_STORE4, ASK_VAL);
	store = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	asleep_start(&two, &other, TG_FXSAVE, 0);
	fxsave = asleep_get_event(&t);
	ASLEEP_ASSERT_SLEEPS(&one);
	ASLEEP_ASSERT_SLEEPS(&two);

	TEST_ASSERT_EQ(asleep_reply(&t, &fxsave, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	asleep_join(&one);
	asleep_join(&two);
	tg_assert_ended(g);
	tg_assert_ended(&other);
	TEST_ASSERT_EQ(asleep_reply(&t, &store, KVM_PAGE_TRACK_REPLY_SKIP, 0), ENOENT);
	tracker_close(&t);
}

/* Each element of a string instruction, and each page of a write to two, asks by itself. */
static void test_string(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + PAGE_SIZE - 10, .rax = 0x5a5a5a5a, .rcx = 5 };
	static const int offsets[] = { -10, -6, -2, 0, 2, 6 };
	static const int lens[] = { 4, 4, 2, 2, 4, 4 };
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;
	uint8_t *mem;
	int i;

	asleep_init(g, &t, 0);
	tg_map(g, ASK_VA + PAGE_SIZE, ASK_GPA + PAGE_SIZE);
	mem = addr_gpa2hva(g->vm, ASK_GPA + PAGE_SIZE);
	memset(mem - 10, 0, 20);
	tracker_add(&t, ASK_GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_EXIT);
	tg_start(g, TG_REP_STOS4, &regs);
	asleep_go_on(&s, g);

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		event = asleep_get_event(&t);
		TEST_ASSERT_EQ(event.gpa, ASK_GPA + PAGE_SIZE + offsets[i]);
		TEST_ASSERT_EQ(event.len, lens[i]);
		TEST_ASSERT_EQ(asleep_reply(&t, &event, i % 2 ? KVM_PAGE_TRACK_REPLY_SKIP :
					    KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	}
	asleep_join(&s);
	tg_assert_ended(g);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		TEST_ASSERT_EQ(mem[offsets[i]], i % 2 ? 0 : 0x5a);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* Two vCPUs wait at once, and are replied to in the other order. */
static void test_two_vcpus(struct tiny_guest *g)
{
	struct kvm_page_track_event first, second;
	struct asleep one, two;
	struct tiny_guest other;
	struct tracker t;

	asleep_init(g, &t, 0);
	tg_add_vcpu(g, &other, 1);
	asleep_start(&one, g, TG_STORE4, ASK_VAL);
	first = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	asleep_start(&two, &other, TG_STORE4, ASK_VAL + 1);
	second = ASLEEP_GET_QUESTION(&t, &other, ASK_VAL + 1);
	ASLEEP_ASSERT_SLEEPS(&one);
	ASLEEP_ASSERT_SLEEPS(&two);

	TEST_ASSERT_EQ(asleep_reply(&t, &second, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&two, ASK_VAL + 1);
	ASLEEP_ASSERT_SLEEPS(&one);
	TEST_ASSERT_EQ(asleep_reply(&t, &first, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&one, ASK_VAL);
	tracker_close(&t);
}

/* A tracker without the flag has the VMM asked, as ever, and takes no reply. */
static void test_without(struct tiny_guest *g)
{
	struct kvm_page_track_event event = { .vcpu_id = g->vcpu->id };
	struct tracker t;

	ask_init(g, &t, 1);
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	TRACKER_ASSERT_EMPTY(&t);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), ENOENT);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "another process replies", test_process, TG_ALL_MODES },
		{ "a vCPU sleeps until the reply, which is taken once", test_replies,
		  TG_ALL_MODES },
		{ "16 bytes are replaced", test_data, TG_4LEVEL_BIT },
		{ "a bad reply changes nothing", test_bad_replies, TG_4LEVEL_BIT },
		{ "a large write is not replaced", test_large, TG_32_BIT },
		{ "an unemulated write is allowed or nothing", test_unemulated, TG_4LEVEL_BIT },
		{ "a page that is given up has no question", test_given_up, TG_4LEVEL_BIT },
		{ "each element and page asks", test_string, TG_4LEVEL_BIT },
		{ "two vCPUs wait at once", test_two_vcpus, TG_4LEVEL_BIT },
		{ "a tracker without the flag takes no reply", test_without, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
