// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that moves while its vCPU steps: signals end KVM_RUN anywhere, the state goes to a
 * new VM with the same memory, and a new tracker there goes on.  Each write is done once,
 * and told once, in order; each exception that is delivered to a tracked stack is taken
 * once.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cases.h"
#include "kselftest.h"
#include "stats.h"
#include "tracker.h"
#include "ucall_common.h"

#define NR_EVENTS	4096
#define NR_WORDS	16

struct journey {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct tracker t;
	timer_t timer;
	uint64_t data, stack;	/* gpas of pages */
	struct kvm_regs regs;	/* at the last move */
	int max_delay_us;
	uint32_t nr_told, nr_moves, nr_unfinished;
	uint64_t nr_steps;
};

static uint32_t *words;
static uint64_t stack, handled;
static int nr_rounds;

static void handle_de(struct ex_regs *regs)
{
	handled++;
	regs->rip += 2;
}

static void store(uint32_t *to, uint32_t val)
{
	asm volatile("movd %1, %%xmm1\n\tmovss %%xmm1, %0" : "=m"(*to) : "r"(val) : "xmm1");
}

static void divide_by_zero(void)
{
	asm volatile("div %%ecx" : : "a"(1), "d"(0), "c"(0) : "cc", "memory");
}

static void guest_code(void)
{
	uint64_t rsp;
	int i;

	asm volatile("mov %%rsp, %0" : "=r"(rsp));
	stack = rsp;
	GUEST_SYNC(0);

	for (i = 1; i <= nr_rounds; i++) {
		store(&words[i % NR_WORDS], i);
		GUEST_ASSERT_EQ(words[i % NR_WORDS], i);
		divide_by_zero();
		GUEST_ASSERT_EQ(handled, i);
	}
	GUEST_DONE();
}

static struct kvm_run *stopped;

/* Also if KVM_RUN is only about to be called. */
static void stop(int signal)
{
	WRITE_ONCE(stopped->immediate_exit, 1);
}

/* A signal at some time from now on. */
static void set_alarm(struct journey *j, int max_us)
{
	struct itimerspec time = {
		.it_value.tv_nsec = max_us ? (1 + tg_pick(max_us)) * 1000l : 0,
	};

	TEST_ASSERT(!timer_settime(j->timer, 0, &time, NULL), "timer_settime() failed");
}

/* Stores are told in order; what there is of the stack does not matter. */
static void take_events(struct journey *j)
{
	struct kvm_page_track_event e;
	uint32_t val;

	while (tracker_pop(&j->t, &e)) {
		TEST_ASSERT(!(e.flags & KVM_PAGE_TRACK_EVENT_UNTRACKED), "0x%llx was given up",
			    e.gpa);
		if (e.flags & KVM_PAGE_TRACK_EVENT_UNFINISHED) {
			j->nr_unfinished++;
		} else if ((e.gpa & PAGE_MASK) == j->data) {
			memcpy(&val, e.data, sizeof(val));
			TEST_ASSERT_EQ(val, ++j->nr_told);
		}
	}
}

static void attach(struct journey *j)
{
	tracker_create(j->vm, &j->t, NR_EVENTS, KVM_PAGE_TRACKER_STEP, 0);
	tracker_add(&j->t, j->data, PAGE_SIZE, TRACKER_NOTIFY);
	tracker_add(&j->t, j->stack, PAGE_SIZE, TRACKER_NOTIFY);
}

/* Of this VM, of which nothing is kept then. */
static uint64_t take_steps(struct journey *j)
{
	struct tiny_guest g = { .vm = j->vm };
	uint64_t nr = tg_stat(&g, "page_track_steps");

	free(j->vm->stats_desc);
	close(j->vm->stats_fd);
	j->vm->stats_desc = NULL;
	j->vm->stats_fd = 0;
	return nr;
}

static void move(struct journey *j)
{
	struct kvm_x86_state *state = vcpu_save_state(j->vcpu);
	bool has_moved = memcmp(&state->regs, &j->regs, sizeof(j->regs));

	/* A new VM has to map all it needs first. */
	if (has_moved)
		j->nr_moves++;
	else
		j->max_delay_us *= 2;
	j->regs = state->regs;

	/* What the completion of an access has told, too. */
	take_events(j);
	tracker_close(&j->t);
	j->nr_steps += take_steps(j);
	kvm_vm_release(j->vm);

	j->vcpu = vm_recreate_with_one_vcpu(j->vm);
	vcpu_load_state(j->vcpu, state);
	kvm_x86_state_cleanup(state);
	attach(j);
}

/* False when the guest is done. */
static bool run(struct journey *j)
{
	struct kvm_run *run;
	struct ucall uc;
	int r;

	stopped = j->vcpu->run;
	set_alarm(j, j->max_delay_us);
	r = __vcpu_run(j->vcpu) ? errno : 0;
	set_alarm(j, 0);
	stopped->immediate_exit = 0;
	take_events(j);
	if (r == EINTR) {
		move(j);
		return true;
	}
	TEST_ASSERT(!r, "KVM_RUN: errno %d", r);

	run = j->vcpu->run;
	if (run->exit_reason == KVM_EXIT_PAGE_TRACK)
		return true;	/* the ring was full */

	if (get_ucall(j->vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	return false;
}

static void init(struct journey *j)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	uint64_t gva;

	j->vm = vm_create_with_one_vcpu(&j->vcpu, guest_code);
	vm_install_exception_handler(j->vm, DE_VECTOR, handle_de);
	gva = vm_vaddr_alloc_page(j->vm);
	words = (void *)gva;
	sync_global_to_guest(j->vm, words);
	sync_global_to_guest(j->vm, nr_rounds);

	vcpu_run(j->vcpu);
	TEST_ASSERT_EQ(get_ucall(j->vcpu, NULL), UCALL_SYNC);
	sync_global_from_guest(j->vm, stack);
	j->data = addr_gva2gpa(j->vm, gva);
	j->stack = addr_gva2gpa(j->vm, stack - 128) & PAGE_MASK;

	signal(SIGALRM, stop);
	TEST_ASSERT(!timer_create(CLOCK_MONOTONIC, &event, &j->timer), "timer_create() failed");
}

int main(int argc, char *argv[])
{
	static struct journey j = { .max_delay_us = 20 };
	uint32_t seed;

	nr_rounds = tg_get_random_rounds(argc, argv, 100, &seed);
	tg_seed(seed);
	tracker_require();

	init(&j);
	attach(&j);
	while (run(&j))
		;
	j.nr_steps += take_steps(&j);

	pr_info("%u moves, %lu steps, %u told before their end\n", j.nr_moves, j.nr_steps,
		j.nr_unfinished);
	TEST_ASSERT_EQ(j.nr_told, nr_rounds);
	TEST_ASSERT(j.nr_steps >= 2 * nr_rounds, "%lu steps", j.nr_steps);
	TEST_ASSERT(j.nr_moves >= 5, "%u moves", j.nr_moves);
	tracker_close(&j.t);
	kvm_vm_free(j.vm);
	return 0;
}
