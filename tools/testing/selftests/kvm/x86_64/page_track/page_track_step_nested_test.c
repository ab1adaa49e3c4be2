// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM's emulator does not know, a nested guest does itself as well, on pages that stay
 * tracked: it comes of it what comes of it on any page, for L2 and for L1, and L1 has no
 * exit that it would not have.  With and without an NPT or EPT of L1's.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "apic.h"
#include "kselftest.h"
#include "nested.h"
#include "nested_op.h"
#include "processor.h"
#include "tracker.h"

#define NR_EVENTS	4096
#define ROUNDS		3
#define MANY		400
#define MAX_SENT	20000	/* interrupts, NMIs and signals meanwhile */
#define AT		(NESTED_OP_VA + 0x40)
/* FXSAVE there goes on in the next page. */
#define CROSSING(page)	(NESTED_OP_VA + ((page) + 1) * PAGE_SIZE - 256)

struct result {
	struct nested_op_outcome o;
	uint8_t mem[NESTED_OP_PAGES * PAGE_SIZE];
};

struct op_case {
	const char *name;
	struct nested_op op;
	bool on_stack;		/* what is tracked, if not what is stored to */
	bool needs_tdp;
	bool needs_intel;
	bool unfinished;	/* it comes to no end */
};

static const struct op_case cases[] = {
	{ "a store by SSE", { NESTED_OP_SSE, AT } },
	{ "a store by x87", { NESTED_OP_X87, AT } },
	{ "fxsave", { NESTED_OP_FXSAVE, AT } },
	{ "fxsave, and a #PF for L2", { NESTED_OP_FXSAVE, CROSSING(0) }, .unfinished = true },
	{ "fxsave, and a #PF for L1",
	  { NESTED_OP_FXSAVE, CROSSING(0), .exceptions = BIT(PF_VECTOR) }, .unfinished = true },
	{ "fxsave, and a #PF that is none of those for L1",
	  { NESTED_OP_FXSAVE, CROSSING(0), .exceptions = BIT(PF_VECTOR), .pf_mask = BIT(1) },
	  .needs_intel = true, .unfinished = true },
	{ "a store by SSE, and behind it a #PF that is none of those for L1",
	  { NESTED_OP_SSE_MOV, AT, .exceptions = BIT(PF_VECTOR), .pf_mask = BIT(1) },
	  .needs_intel = true },
	{ "fxsave, and a fault in L1's NPT or EPT",
	  { NESTED_OP_FXSAVE, CROSSING(2) }, .needs_tdp = true, .unfinished = true },
	{ "fxsave, and a #DB for L2", { NESTED_OP_TF_FXSAVE, AT } },
	{ "fxsave, and a #DB for L1",
	  { NESTED_OP_TF_FXSAVE, AT, .exceptions = BIT(DB_VECTOR) } },
	{ "a store by SSE, and a window for NMIs behind it",
	  { NESTED_OP_SSE_IRET, AT, .nmi_window = true }, .needs_intel = true },
	{ "an exception", { NESTED_OP_DIVIDE }, .on_stack = true },
	{ "an exception that L1 injects", { .inject = true }, .on_stack = true },
};

static uint64_t get_steps(struct nested_vm *n)
{
	return vm_get_stat(n->vm, "page_track_steps");
}

static void fill(struct nested_vm *n)
{
	memset(addr_gpa2hva(n->vm, n->gpa), 0xee, NESTED_OP_PAGES * PAGE_SIZE);
}

static void run(struct nested_vm *n, const struct nested_op *op, struct result *r)
{
	fill(n);
	nested_op_run(n, op, &r->o);
	memcpy(r->mem, addr_gpa2hva(n->vm, n->gpa), sizeof(r->mem));
}

static void assert_same(const char *name, const struct result *want, const struct result *got)
{
	const uint64_t *w = (void *)&want->o, *g = (void *)&got->o;
	bool same = true;
	int i;

	for (i = 0; i < sizeof(want->o) / sizeof(*w); i++) {
		if (w[i] == g[i])
			continue;
		pr_info("%s: word %d of the outcome is 0x%lx, without tracking 0x%lx\n", name,
			i, g[i], w[i]);
		same = false;
	}
	TEST_ASSERT(same, "%s has another outcome", name);

	for (i = 0; i < sizeof(got->mem) && want->mem[i] == got->mem[i]; i++)
		;
	TEST_ASSERT(i == sizeof(got->mem), "%s: byte 0x%x is 0x%x, without tracking 0x%x", name,
		    i, got->mem[i], want->mem[i]);
}

/* Of L2's instructions, and at least one of a step.  Returns how many came to their end. */
static int take_events(struct tracker *t, const struct op_case *c, uint64_t rip)
{
	struct kvm_page_track_event e;
	int nr_stepped = 0, nr_done = 0;

	while (tracker_pop(t, &e)) {
		TEST_ASSERT(e.flags & KVM_PAGE_TRACK_EVENT_NESTED &&
			    !(e.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED),
			    "%s: flags 0x%x, rip 0x%llx", c->name, e.flags, e.rip);
		if (!(e.flags & KVM_PAGE_TRACK_EVENT_STEPPED))
			continue;

		TEST_ASSERT(c->on_stack || e.rip == rip, "%s: rip 0x%llx, wanted 0x%lx",
			    c->name, e.rip, rip);
		nr_stepped++;
		nr_done += !(e.flags & KVM_PAGE_TRACK_EVENT_UNFINISHED);
	}
	TEST_ASSERT(nr_stepped, "%s: no step was told", c->name);
	return nr_done;
}

static void test_case(struct nested_vm *n, struct tracker *t, const struct op_case *c)
{
	uint64_t gpa = n->gpa + (c->op.va - NESTED_OP_VA) / PAGE_SIZE * PAGE_SIZE;
	static struct result want, got;
	uint64_t steps;
	int i, nr;

	if (c->on_stack)
		gpa = n->stack_gpa;

	/* Bochs has a #DB more when KVM has to map the page. */
	run(n, &c->op, &want);
	run(n, &c->op, &want);
	tracker_add(t, gpa, PAGE_SIZE, TRACKER_NOTIFY);
	for (i = 0; i < ROUNDS; i++) {
		steps = get_steps(n);
		run(n, &c->op, &got);
		assert_same(c->name, &want, &got);
		nr = take_events(t, c, got.o.rip);
		TEST_ASSERT_EQ(nr, !c->unfinished);
		TEST_ASSERT_EQ(get_steps(n) - steps, nr);
	}
	tracker_remove(t, gpa, PAGE_SIZE);
}

static void assert_asked(struct nested_vm *n)
{
	struct kvm_run *run = n->vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS,
		    "exit reason %u (%s)", run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->page_track.flags & KVM_PAGE_TRACK_EVENT_NESTED &&
		    run->page_track.flags & KVM_PAGE_TRACK_EVENT_UNEMULATED, "flags 0x%x",
		    run->page_track.flags);
	TEST_ASSERT_EQ(run->page_track.gpa, n->gpa + 0x40);
	TEST_ASSERT_EQ(*(uint8_t *)addr_gpa2hva(n->vm, n->gpa + 0x40), 0xee);
}

/* L2 is led behind what it has asked for: that is not done, and the page is tracked still. */
static void deny(struct nested_vm *n, const struct nested_op *op)
{
	struct nested_op_outcome o;
	struct kvm_regs regs;

	fill(n);
	nested_op_start(n, op);
	vcpu_run(n->vcpu);
	assert_asked(n);
	vcpu_regs_get(n->vcpu, &regs);
	regs.rip += 3;
	vcpu_regs_set(n->vcpu, &regs);
	vcpu_run(n->vcpu);
	nested_op_end(n, &o);
	TEST_ASSERT_EQ(regs.rip, o.behind);
	TEST_ASSERT_EQ(*(uint8_t *)addr_gpa2hva(n->vm, n->gpa + 0x40), 0xee);
}

static void allow(struct nested_vm *n, const struct nested_op *op, struct result *r)
{
	fill(n);
	nested_op_start(n, op);
	vcpu_run(n->vcpu);
	assert_asked(n);
	n->vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_ALLOW;
	vcpu_run(n->vcpu);
	nested_op_end(n, &r->o);
	memcpy(r->mem, addr_gpa2hva(n->vm, n->gpa), sizeof(r->mem));
}

static void test_questions(struct nested_vm *n, struct tracker *t)
{
	static const struct nested_op op = { NESTED_OP_FXSAVE, AT };
	static struct result want, got;
	uint64_t steps = get_steps(n);
	int i;

	run(n, &op, &want);
	tracker_add(t, n->gpa, PAGE_SIZE, TRACKER_EXIT);
	for (i = 0; i < ROUNDS; i++) {
		deny(n, &op);
		TEST_ASSERT_EQ(get_steps(n) - steps, i);
		allow(n, &op, &got);
		assert_same("a question", &want, &got);
		TEST_ASSERT_EQ(get_steps(n) - steps, i + 1);
	}
	TRACKER_ASSERT_EMPTY(t);
	tracker_remove(t, n->gpa, PAGE_SIZE);
}

/* Addressed without registers. */
uint64_t nested_rounds;

static void save_again(void)
{
	asm volatile("push %%rbp\n"
		     "1:\tfxsave %c0\n\t"
		     "decq nested_rounds(%%rip)\n\t"
		     "jnz 1b\n\t"
		     "pop %%rbp"
		     : : "i"(AT)
		     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
		       "r12", "r13", "r14", "r15", "cc", "memory");
}

struct interrupter {
	pthread_t thread, vcpu_thread;
	struct kvm_vm *vm;
	bool stop;
};

static void send(struct interrupter *in, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = data };

	TEST_ASSERT(__vm_ioctl(in->vm, KVM_SIGNAL_MSI, &msi) >= 0, "errno %d", errno);
}

static void *interrupt(void *arg)
{
	struct interrupter *in = arg;
	int i;

	for (i = 0; i < MAX_SENT && !READ_ONCE(in->stop); i++) {
		if (i % 8 == 7)
			pthread_kill(in->vcpu_thread, SIGUSR1);
		else
			send(in, i % 2 ? APIC_DM_NMI : NESTED_OP_VECTOR);
		usleep(50);
	}
	return NULL;
}

static void end_run(int signal) {}

static int count_finished(struct tracker *t)
{
	struct kvm_page_track_event e;
	int nr = 0;

	for (; tracker_pop_finished(t, &e); nr++)
		TEST_ASSERT(e.flags & KVM_PAGE_TRACK_EVENT_STEPPED, "flags 0x%x", e.flags);
	return nr;
}

/* Whenever KVM_RUN has ended for a signal, L2's state is set to what it is. */
static int run_many(struct nested_vm *n, const struct nested_op *op, struct nested_op_outcome *o,
		    struct tracker *t, int *nr_finished)
{
	struct kvm_run *run = n->vcpu->run;
	int nr = 0, r;

	nested_op_start(n, op);
	do {
		r = __vcpu_run(n->vcpu);
		TEST_ASSERT(!r || errno == EINTR, "errno %d", errno);
		*nr_finished += count_finished(t);
		if (r) {
			nested_restore_state(n->vcpu);
			nr++;
		}
		/* The ring may have been full of what was interrupted. */
	} while (r || run->exit_reason == KVM_EXIT_PAGE_TRACK);

	nested_op_end(n, o);
	return nr;
}

/* L1 has interrupts and NMIs at any time, and takes each at once, or behind a step. */
static void test_interrupts(struct nested_vm *n, struct tracker *t)
{
	static const struct nested_op op = { NESTED_OP_CALL, .fn = save_again };
	struct interrupter in = { .vm = n->vm, .vcpu_thread = pthread_self() };
	struct nested_op_outcome o;
	int nr_done = 0, nr_signals;

	signal(SIGUSR1, end_run);
	tracker_add(t, n->gpa, PAGE_SIZE, TRACKER_NOTIFY);
	pthread_create(&in.thread, NULL, interrupt, &in);
	nested_rounds = MANY;
	sync_global_to_guest(n->vm, nested_rounds);
	nr_signals = run_many(n, &op, &o, t, &nr_done);
	sync_global_from_guest(n->vm, nested_rounds);
	WRITE_ONCE(in.stop, true);
	pthread_join(in.thread, NULL);

	pr_info("%lu interrupts, %lu NMIs, %d signals\n", o.nr_interrupts, o.nr_nmis,
		nr_signals);
	TEST_ASSERT_EQ(nested_rounds, 0);
	TEST_ASSERT_EQ(nr_done, MANY);
	tracker_remove(t, n->gpa, PAGE_SIZE);
}

static void test_all(bool tdp)
{
	const char *how = tdp ? "with paging of L1's" : "without";
	struct nested_vm n;
	struct tracker t;
	int i;

	nested_op_create(&n, tdp);
	tracker_create(n.vm, &t, NR_EVENTS, KVM_PAGE_TRACKER_STEP, 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		if ((cases[i].needs_tdp && !tdp) ||
		    (cases[i].needs_intel && !host_cpu_is_intel)) {
			ksft_test_result_skip("%s, %s\n", cases[i].name, how);
			continue;
		}
		test_case(&n, &t, &cases[i]);
		ksft_test_result_pass("%s, %s\n", cases[i].name, how);
	}

	test_questions(&n, &t);
	ksft_test_result_pass("questions, %s\n", how);
	test_interrupts(&n, &t);
	ksft_test_result_pass("interrupts, %s\n", how);
	tracker_close(&t);
	kvm_vm_free(n.vm);
}

int main(void)
{
	bool tdp = kvm_is_tdp_enabled();

	tracker_require();
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM) || kvm_cpu_has(X86_FEATURE_VMX));
	ksft_print_header();
	ksft_set_plan((ARRAY_SIZE(cases) + 2) * (1 + tdp));

	test_all(false);
	if (tdp)
		test_all(true);
	ksft_finished();
}
