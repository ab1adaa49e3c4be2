// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may happen while a vCPU sleeps in KVM_RUN with a question: a signal takes it out,
 * and its state is read, set and moved.  The question is open as long as the vCPU is
 * where it asked.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "asleep.h"
#include "cases.h"

static void ignore(int sig)
{
}

/* A vCPU that has asked, and is out for a signal. */
static struct kvm_page_track_event ask_and_interrupt(struct tiny_guest *g, struct tracker *t,
						     struct asleep *s)
{
	struct kvm_page_track_event event;

	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	asleep_start(s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(s);
	ASLEEP_INTERRUPT(s);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	return event;
}

static void assert_allowed(struct tracker *t, struct asleep *s,
			   const struct kvm_page_track_event *event)
{
	TEST_ASSERT_EQ(asleep_reply(t, event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(s, ASK_VAL);
	TRACKER_ASSERT_EMPTY(t);
}

/* As often as it likes: the question is the same one. */
static void test_signal(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct kvm_regs regs;
	struct asleep s;
	struct tracker t;
	int i;

	asleep_init(g, &t, 0);
	event = ask_and_interrupt(g, &t, &s);
	for (i = 0; i < 3; i++) {
		vcpu_regs_get(g->vcpu, &regs);
		TEST_ASSERT_EQ(regs.rip, tg_op_rip(TG_STORE4));
		TEST_ASSERT_EQ(regs.rax, ASK_VAL);
		vcpu_regs_set(g->vcpu, &regs);
		asleep_go_on(&s, g);
		ASLEEP_ASSERT_SLEEPS(&s);
		TRACKER_ASSERT_EMPTY(&t);
		ASLEEP_INTERRUPT(&s);
	}

	asleep_go_on(&s, g);
	ASLEEP_ASSERT_SLEEPS(&s);
	assert_allowed(&t, &s, &event);
	tracker_close(&t);
}

/* The reply waits for the vCPU. */
static void test_reply_to_stopped(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	event = ask_and_interrupt(g, &t, &s);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_REPLACE, ASK_VAL + 1), 0);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), ENOENT);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	asleep_go_on(&s, g);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL + 1);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The reply is for a range that is gone when the vCPU goes on. */
static void test_reply_withdrawn(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	event = ask_and_interrupt(g, &t, &s);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), 0);
	tracker_remove(&t, ASK_GPA, PAGE_SIZE);
	tracker_add(&t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
	asleep_go_on(&s, g);
	event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	assert_allowed(&t, &s, &event);
	tracker_close(&t);
}

/* KVM_RUN gets no further than it is let, and nothing is lost. */
static void test_immediate_exit(struct tiny_guest *g)
{
	struct kvm_run *run = g->vcpu->run;
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	event = ask_and_interrupt(g, &t, &s);
	run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EINTR, "errno %d", errno);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EINTR, "errno %d", errno);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	run->immediate_exit = 0;
	asleep_go_on(&s, g);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

#define NR_STORES	100

static bool stop;

/* Store by store, whatever interrupts it. */
static void *store_on(void *arg)
{
	struct tiny_guest *g = arg;
	struct kvm_regs regs;
	uint32_t i;
	int r;

	for (i = 0; i < NR_STORES; i++) {
		regs = (struct kvm_regs) { .rdi = ASK_VA, .rax = i };
		tg_start(g, TG_STORE4, &regs);
		do {
			r = __vcpu_run(g->vcpu);
		} while (r == -1 && errno == EINTR);
		TEST_ASSERT(!r, "errno %d", errno);
		ask_assert_ended(g, i % 2 ? i - 1 : i);
	}
	return NULL;
}

static void *send_signals(void *arg)
{
	pthread_t *thread = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_kill(*thread, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

/* Whenever a signal comes, each store asks once and follows its reply. */
static void test_many_signals(struct tiny_guest *g)
{
	struct sigaction interrupt = { .sa_handler = ignore };
	struct kvm_page_track_event event;
	pthread_t thread, sender;
	struct tracker t;
	uint32_t i;

	asleep_init(g, &t, 0);
	stop = false;
	TEST_ASSERT(!sigaction(SIGUSR1, &interrupt, NULL), "errno %d", errno);
	pthread_create(&thread, NULL, store_on, g);
	pthread_create(&sender, NULL, send_signals, &thread);

	for (i = 0; i < NR_STORES; i++) {
		event = ASLEEP_GET_QUESTION(&t, g, i);
		TEST_ASSERT_EQ(asleep_reply(&t, &event, i % 2 ? KVM_PAGE_TRACK_REPLY_SKIP :
					    KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(sender, NULL);
	pthread_join(thread, NULL);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/* The vCPU is led elsewhere: nobody waits for a reply to the old question. */
static void test_new_rip(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct kvm_regs regs;
	struct asleep s;
	struct tracker t;
	int early;

	asleep_init(g, &t, 0);
	for (early = 0; early < 2; early++) {
		event = ask_and_interrupt(g, &t, &s);
		vcpu_regs_get(g->vcpu, &regs);
		regs.rip += 2;	/* mov %eax, (%rdi) */
		vcpu_regs_set(g->vcpu, &regs);
		if (early)
			TEST_ASSERT_EQ(asleep_reply(&t, &event, 0, 0), 0);
		asleep_go_on(&s, g);
		ASLEEP_ASSERT_ENDED(&s, 0);
		TEST_ASSERT_EQ(asleep_reply(&t, &event, 0, 0), ENOENT);

		/* The same store asks as if nothing had been. */
		asleep_start(&s, g, TG_STORE4, ASK_VAL);
		event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
		ASLEEP_ASSERT_SLEEPS(&s);
		assert_allowed(&t, &s, &event);
	}
	tracker_close(&t);
}

/* Other registers: another question. */
static void test_register(struct tiny_guest *g)
{
	struct kvm_page_track_event event, again;
	struct kvm_regs regs;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	event = ask_and_interrupt(g, &t, &s);
	vcpu_regs_get(g->vcpu, &regs);
	regs.rbx ^= 1;
	vcpu_regs_set(g->vcpu, &regs);
	asleep_go_on(&s, g);
	again = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), ENOENT);
	ASLEEP_ASSERT_SLEEPS(&s);
	assert_allowed(&t, &s, &again);
	tracker_close(&t);
}

/* An exception comes first, and there is no IDT. */
static void test_exception(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct kvm_vcpu_events events;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	event = ask_and_interrupt(g, &t, &s);
	vcpu_events_get(g->vcpu, &events);
	events.exception.injected = 1;
	events.exception.nr = GP_VECTOR;
	events.exception.has_error_code = 1;
	vcpu_events_set(g->vcpu, &events);
	asleep_go_on(&s, g);
	asleep_join(&s);
	TEST_ASSERT_EQ(g->vcpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), ENOENT);
	TRACKER_ASSERT_EMPTY(&t);
	tg_reset_vcpu(g);
	tracker_close(&t);
}

static void copy_vcpu(struct tiny_guest *to, struct tiny_guest *from)
{
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_regs_get(from->vcpu, &regs);
	vcpu_sregs_get(from->vcpu, &sregs);
	vcpu_events_get(from->vcpu, &events);
	vcpu_sregs_set(to->vcpu, &sregs);
	vcpu_regs_set(to->vcpu, &regs);
	vcpu_events_set(to->vcpu, &events);
}

/* The VM goes on elsewhere: the write is done there, once, and not here. */
static void test_migration(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct tracker t, there;
	struct tiny_guest other;
	struct asleep s;

	tg_init(&other, g->mode);
	asleep_init(&other, &there, 0);
	asleep_init(g, &t, 0);
	event = ask_and_interrupt(g, &t, &s);
	copy_vcpu(&other, g);

	asleep_go_on(&s, &other);
	event = ASLEEP_GET_QUESTION(&there, &other, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(ask_mem(&other), 0);
	assert_allowed(&there, &s, &event);
	TEST_ASSERT_EQ(ask_mem(g), 0);
	TRACKER_ASSERT_EMPTY(&t);

	/* And back, where the vCPU has asked before, but not this. */
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = ASK_VAL;
	copy_vcpu(g, &other);
	asleep_start(&s, g, TG_STORE4, ASK_VAL + 1);
	event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL + 1);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL + 1);
	tracker_close(&there);
	tracker_close(&t);
	tg_free(&other);
}

static void *change_slots(void *arg)
{
	struct kvm_vm *vm = arg;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 1ul << 32, TG_NR_SLOTS, 16, 0);
	vm_mem_region_delete(vm, TG_NR_SLOTS);
	return NULL;
}

/* Whatever waits for all vCPUs does not wait for one that sleeps. */
static void test_slots(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct timespec end;
	struct asleep s;
	struct tracker t;
	pthread_t thread;

	asleep_init(g, &t, 0);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	pthread_create(&thread, NULL, change_slots, g->vm);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += ASLEEP_TIMEOUT;
	TEST_ASSERT(!pthread_timedjoin_np(thread, NULL, &end), "Slots wait for a vCPU that asks");
	ASLEEP_ASSERT_SLEEPS(&s);
	assert_allowed(&t, &s, &event);
	tracker_close(&t);
}

/* What was allowed is what is written, or somebody is asked for what there is now. */
static void test_other_data(struct tiny_guest *g)
{
	struct kvm_page_track_event event;
	struct asleep s;
	struct tracker t;

	asleep_init(g, &t, 0);
	asleep_start(&s, g, TG_LOCK_OR4, 0x1);
	event = ASLEEP_GET_QUESTION(&t, g, 0x1);
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0x100;
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	event = ASLEEP_GET_QUESTION(&t, g, 0x101);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, 0x101);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a signal takes the vCPU out, and nothing else changes", test_signal,
		  TG_ALL_MODES },
		{ "a vCPU that is out is replied to", test_reply_to_stopped, TG_4LEVEL_BIT },
		{ "a reply goes with its range", test_reply_withdrawn, TG_4LEVEL_BIT },
		{ "immediate_exit lets nothing happen", test_immediate_exit, TG_4LEVEL_BIT },
		{ "signals come at any time", test_many_signals, TG_4LEVEL_BIT },
		{ "a vCPU led elsewhere has no question", test_new_rip, TG_4LEVEL_BIT },
		{ "a vCPU with other registers asks again", test_register, TG_4LEVEL_BIT },
		{ "an exception comes first", test_exception, TG_4LEVEL_BIT },
		{ "the VM moves while a question is open", test_migration, TG_4LEVEL_BIT },
		{ "slots change while a vCPU sleeps", test_slots, TG_4LEVEL_BIT },
		{ "a reply holds for what was asked", test_other_data, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
