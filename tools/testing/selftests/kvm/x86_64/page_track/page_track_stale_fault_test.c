// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a fault on a tracked page has led to is not there for the next fault: an
 * instruction that KVM cannot emulate, first on a tracked page, then where there is no
 * memory or none to write, ends as it does without trackers (finding 4).
 */
#include <errno.h>
#include <signal.h>

#include "cases.h"
#include "tracker.h"

#define VA	0x40000000ul
#define GPA	0x10000000ul
#define SLOT	10

/* More than enough for one KVM_RUN, also where instructions are emulated. */
#define TIMEOUT	30

static void on_alarm(int sig)
{
}

static void run_fxsave(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA };
	int r;

	tg_start(g, TG_FXSAVE, &regs);
	alarm(TIMEOUT);
	r = __vcpu_run(g->vcpu);
	alarm(0);
	TEST_ASSERT(!r, "FXSAVE for ever, errno %d", errno);
}

static void test_slot(struct tiny_guest *g, uint32_t action, bool gone)
{
	struct tracker t;
	void *mem;

	tg_map(g, VA, GPA);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, 1, 0);
	mem = addr_gpa2hva(g->vm, GPA);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, GPA, PAGE_SIZE, action);
	run_fxsave(g);
	while (g->vcpu->run->exit_reason == KVM_EXIT_PAGE_TRACK)
		tracker_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
	tg_assert_ended(g);

	vm_set_user_memory_region(g->vm, SLOT, 0, GPA, 0, mem);
	if (!gone)
		vm_set_user_memory_region(g->vm, SLOT, KVM_MEM_READONLY, GPA, PAGE_SIZE, mem);
	run_fxsave(g);
	TEST_ASSERT_EQ(g->vcpu->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	TEST_ASSERT_EQ(g->vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);

	tracker_close(&t);
	if (!gone)
		vm_set_user_memory_region(g->vm, SLOT, 0, GPA, 0, mem);
	vm_set_user_memory_region(g->vm, SLOT, 0, GPA, PAGE_SIZE, mem);
}

static void test_deleted(struct tiny_guest *g)
{
	test_slot(g, TRACKER_NOTIFY, true);
}

static void test_deleted_exit(struct tiny_guest *g)
{
	test_slot(g, TRACKER_EXIT, true);
}

static void test_read_only(struct tiny_guest *g)
{
	test_slot(g, TRACKER_NOTIFY, false);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "the slot is deleted", test_deleted, TG_4LEVEL_BIT },
		{ "the slot is deleted after a question", test_deleted_exit, TG_4LEVEL_BIT },
		{ "the slot is read-only", test_read_only, TG_4LEVEL_BIT },
	};
	struct sigaction action = { .sa_handler = on_alarm };

	tracker_require();
	TEST_ASSERT(!sigaction(SIGALRM, &action, NULL), "Cannot handle an alarm");
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
