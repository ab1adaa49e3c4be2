// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit: a reply is for the instruction that was asked for.  Whatever the vCPU
 * does instead, the next one asks, were it the same at the same place (finding 1).
 */
#include <errno.h>
#include <string.h>

#include "ask.h"
#include "cases.h"

/* Missing in processor.h. */
#define EFLAGS_IF	BIT(9)

static void ask(struct tiny_guest *g, uint64_t id)
{
	ask_start(g, TG_STORE4, ASK_VAL);
	ASK_ASSERT_ASKED(g, id, ASK_VAL);
	TEST_ASSERT_EQ(ask_mem(g), 0);
}

/* The store again: it asks, and is done if that is what userspace wants. */
static void assert_asks_again(struct tiny_guest *g, uint64_t id)
{
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	ask(g, id);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);
}

/* 1a: the vCPU has an exception to take before the instruction.  No IDT: it ends. */
static void test_exception(struct tiny_guest *g)
{
	static const uint8_t replies[] = {
		KVM_PAGE_TRACK_REPLY_ALLOW, KVM_PAGE_TRACK_REPLY_SKIP,
		KVM_PAGE_TRACK_REPLY_REPLACE,
	};
	struct kvm_vcpu_events events;
	struct tracker t;
	int i;

	ask_init(g, &t, 1);
	for (i = 0; i < ARRAY_SIZE(replies); i++) {
		*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
		ask(g, 1);
		vcpu_events_get(g->vcpu, &events);
		events.exception.injected = 1;
		events.exception.nr = GP_VECTOR;
		events.exception.has_error_code = 1;
		vcpu_events_set(g->vcpu, &events);
		ask_reply(g, replies[i], ASK_VAL + 1);
		TEST_ASSERT_EQ(g->vcpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
		TEST_ASSERT_EQ(ask_mem(g), 0);
		tg_reset_vcpu(g);
		assert_asks_again(g, 1);
	}
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The same of an interrupt that userspace injects. */
static void test_interrupt(struct tiny_guest *g)
{
	struct kvm_interrupt irq = { .irq = 0x20 };
	struct kvm_regs regs = { .rdi = ASK_VA, .rax = ASK_VAL };
	struct tracker t;

	ask_init(g, &t, 1);
	tg_start(g, TG_STORE4, &regs);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rflags |= EFLAGS_IF;
	vcpu_regs_set(g->vcpu, &regs);
	vcpu_run(g->vcpu);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);
	vcpu_ioctl(g->vcpu, KVM_INTERRUPT, &irq);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	TEST_ASSERT_EQ(g->vcpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	tg_reset_vcpu(g);
	assert_asks_again(g, 1);
	tracker_close(&t);
}

/* 1b: the store is the CPU's own while its page is not tracked. */
static void test_removed(struct tiny_guest *g)
{
	struct tracker t;

	ask_init(g, &t, 1);
	ask(g, 1);
	tracker_remove(&t, ASK_GPA, PAGE_SIZE);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ask_assert_ended(g, ASK_VAL);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	assert_asks_again(g, 1);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* 1c: KVM_RUN takes the reply and gets no further, then the vCPU is put back. */
static void test_put_back(struct tiny_guest *g)
{
	static const uint8_t replies[] = {
		KVM_PAGE_TRACK_REPLY_ALLOW, KVM_PAGE_TRACK_REPLY_SKIP,
		KVM_PAGE_TRACK_REPLY_REPLACE,
	};
	static const uint32_t want[] = { ASK_VAL, 0, ASK_VAL + 1 };
	struct kvm_run *run = g->vcpu->run;
	struct kvm_regs before, after;
	struct tracker t;
	int i;

	ask_init(g, &t, 1);
	for (i = 0; i < ARRAY_SIZE(replies); i++) {
		*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
		ask(g, 1);
		vcpu_regs_get(g->vcpu, &before);
		run->page_track.reply = replies[i];
		*(uint32_t *)run->page_track.data = ASK_VAL + 1;
		run->immediate_exit = 1;
		TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EINTR, "errno %d", errno);
		run->immediate_exit = 0;

		/* The instruction is over. */
		vcpu_regs_get(g->vcpu, &after);
		TEST_ASSERT_EQ(after.rip, before.rip + 2);
		TEST_ASSERT_EQ(ask_mem(g), want[i]);

		vcpu_regs_set(g->vcpu, &before);
		vcpu_run(g->vcpu);
		ASK_ASSERT_ASKED(g, 1, ASK_VAL);
		ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
		ask_assert_ended(g, ASK_VAL);
	}
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* 1d: it was another tracker's. */
static void test_other_tracker(struct tiny_guest *g)
{
	struct tracker first, second;

	ask_init(g, &first, 1);
	ask(g, 1);
	tracker_close(&first);
	ask_init(g, &second, 2);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ASK_ASSERT_ASKED(g, 2, ASK_VAL);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);
	TRACKER_ASSERT_EMPTY(&second);
	tracker_close(&second);
}

/* Of two that are asked, one goes before the other replies. */
static void test_one_goes(struct tiny_guest *g)
{
	struct tracker first, second;

	ask_init(g, &first, 1);
	ask_init(g, &second, 2);
	ask(g, 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ASK_ASSERT_ASKED(g, 2, ASK_VAL);
	tracker_close(&first);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL);
	tracker_close(&second);
}

/* Userspace changes a register, be it one that the instruction does not use. */
static void test_register(struct tiny_guest *g)
{
	struct kvm_regs regs;
	struct tracker t;

	ask_init(g, &t, 1);
	ask(g, 1);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rbx ^= 1;
	vcpu_regs_set(g->vcpu, &regs);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL);

	regs.rax = ASK_VAL + 1;
	vcpu_regs_set(g->vcpu, &regs);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	ASK_ASSERT_ASKED(g, 1, ASK_VAL + 1);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	ask_assert_ended(g, ASK_VAL + 1);
	tracker_close(&t);
}

/* The code is another one by then, that the emulator cannot do: no error, no loop. */
static void test_other_code(struct tiny_guest *g)
{
	uint8_t *code = addr_gpa2hva(g->vm, tg_op_rip(TG_STORE4)), store[8];
	struct kvm_run *run = g->vcpu->run;
	struct tracker t;

	ask_init(g, &t, 1);
	ask(g, 1);
	memcpy(store, code, sizeof(store));
	memcpy(code, addr_gpa2hva(g->vm, tg_op_rip(TG_FXSAVE)), sizeof(store));
	ask_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, 0);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_PAGE_TRACK);
	TEST_ASSERT(run->page_track.flags & KVM_PAGE_TRACK_EVENT_UNEMULATED, "flags 0x%x",
		    run->page_track.flags);
	ask_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, 0);
	tg_assert_ended(g);
	TEST_ASSERT_EQ((uint16_t)ask_mem(g), 0x37f);

	memcpy(code, store, sizeof(store));
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	assert_asks_again(g, 1);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a reply is lost to an exception", test_exception, TG_4LEVEL_BIT },
		{ "a reply is lost to an interrupt", test_interrupt, TG_4LEVEL_BIT },
		{ "a reply does not outlive the range", test_removed, TG_4LEVEL_BIT },
		{ "a vCPU that is put back asks again", test_put_back, TG_ALL_MODES },
		{ "a reply is not another tracker's", test_other_tracker, TG_4LEVEL_BIT },
		{ "a reply goes with its tracker", test_one_goes, TG_4LEVEL_BIT },
		{ "a vCPU with other registers asks again", test_register, TG_4LEVEL_BIT },
		{ "a reply is not for other code", test_other_code, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
