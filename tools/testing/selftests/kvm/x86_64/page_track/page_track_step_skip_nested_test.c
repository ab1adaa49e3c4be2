// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace skips what a nested guest does and KVM cannot emulate: nothing of it gets to
 * memory, all else comes of it as without tracking, for L2 and for L1, and the page stays
 * tracked.  With and without an NPT or EPT of L1's.
 */
#include <string.h>

#include "kselftest.h"
#include "nested_op.h"
#include "processor.h"
#include "tracker.h"

#define ROUNDS	3
#define PATTERN	0xee
/* In the first page, and up to the end of the third one; the second one is not there for L2. */
#define AT	(NESTED_OP_VA + 0x40)
#define LAST	(NESTED_OP_VA + 3 * PAGE_SIZE - 512)

static const struct {
	const char *name;
	struct nested_op op;
} cases[] = {
	{ "a store by SSE", { NESTED_OP_SSE, AT } },
	{ "a store by x87", { NESTED_OP_X87, AT } },
	{ "fxsave", { NESTED_OP_FXSAVE, AT } },
	{ "fxsave at the end of a page", { NESTED_OP_FXSAVE, LAST } },
	{ "fxsave, and a #DB for L2", { NESTED_OP_TF_FXSAVE, AT } },
	{ "fxsave, and a #DB for L1",
	  { NESTED_OP_TF_FXSAVE, AT, .exceptions = BIT(DB_VECTOR) } },
};

static uint8_t *get_mem(struct nested_vm *n)
{
	return addr_gpa2hva(n->vm, n->gpa);
}

static void assert_asked(struct nested_vm *n, const char *name, uint64_t gpa)
{
	const uint32_t flags = KVM_PAGE_TRACK_EVENT_NESTED | KVM_PAGE_TRACK_EVENT_UNEMULATED |
			       KVM_PAGE_TRACK_EVENT_STEPPED;
	struct kvm_run *run = n->vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS,
		    "%s: exit reason %u (%s)", name, run->exit_reason,
		    exit_reason_str(run->exit_reason));
	TEST_ASSERT((run->page_track.flags & flags) == flags, "%s: flags 0x%x", name,
		    run->page_track.flags);
	TEST_ASSERT_EQ(run->page_track.gpa, gpa);
}

/* The operation asks once, and then not again before it is done. */
static void skip(struct nested_vm *n, const char *name, const struct nested_op *op,
		 struct nested_op_outcome *o)
{
	uint64_t steps = vm_get_stat(n->vm, "page_track_steps");

	nested_op_start(n, op);
	vcpu_run(n->vcpu);
	assert_asked(n, name, n->gpa + op->va - NESTED_OP_VA);
	n->vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_SKIP;
	vcpu_run(n->vcpu);
	nested_op_end(n, o);
	TEST_ASSERT_EQ(vm_get_stat(n->vm, "page_track_steps"), steps + 1);
}

static void test_case(struct nested_vm *n, struct tracker *t, int nr)
{
	uint64_t gpa = n->gpa + (cases[nr].op.va - NESTED_OP_VA) / PAGE_SIZE * PAGE_SIZE;
	const struct nested_op *op = &cases[nr].op;
	struct nested_op_outcome want, got;
	int round, i;

	/* Bochs has a #DB more when KVM has to map the page. */
	nested_op_run(n, op, &want);
	nested_op_run(n, op, &want);
	memset(get_mem(n), PATTERN, NESTED_OP_PAGES * PAGE_SIZE);

	tracker_add(t, gpa, PAGE_SIZE, TRACKER_EXIT);
	for (round = 0; round < ROUNDS; round++) {
		skip(n, cases[nr].name, op, &got);
		TEST_ASSERT(!memcmp(&want, &got, sizeof(want)), "%s has another outcome",
			    cases[nr].name);
		for (i = 0; i < NESTED_OP_PAGES * PAGE_SIZE; i++)
			TEST_ASSERT(get_mem(n)[i] == PATTERN, "%s has written 0x%x to 0x%x",
				    cases[nr].name, get_mem(n)[i], i);
	}
	tracker_remove(t, gpa, PAGE_SIZE);
	TRACKER_ASSERT_EMPTY(t);

	nested_op_run(n, op, &got);
	TEST_ASSERT(get_mem(n)[op->va - NESTED_OP_VA] != PATTERN,
		    "%s writes nothing when nobody skips it", cases[nr].name);
}

static void test_all(bool tdp)
{
	const char *how = tdp ? "with paging of L1's" : "without";
	struct nested_vm n;
	struct tracker t;
	int i;

	nested_op_create(&n, tdp);
	tracker_create(n.vm, &t, 64, KVM_PAGE_TRACKER_STEP, 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		if (host_cpu_is_intel && cases[i].op.nr == NESTED_OP_TF_FXSAVE) {
			ksft_test_result_skip("%s, %s: Bochs has its #DB before the instruction\n",
					      cases[i].name, how);
			continue;
		}
		test_case(&n, &t, i);
		ksft_test_result_pass("%s, %s\n", cases[i].name, how);
	}
	tracker_close(&t);
	kvm_vm_free(n.vm);
}

int main(void)
{
	bool tdp = kvm_is_tdp_enabled();

	tracker_require();
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM) || kvm_cpu_has(X86_FEATURE_VMX));
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(cases) * (1 + tdp));

	test_all(false);
	if (tdp)
		test_all(true);
	ksft_finished();
}
