// SPDX-License-Identifier: GPL-2.0-only
/*
 * The steal time of a vCPU that is preempted is written while the scheduler holds its lock,
 * and told all the same, without a call by anybody.
 */
#include <pthread.h>
#include <string.h>

#include "by_kvm.h"
#include "cases.h"

#define VA		0x40000000ul
#define STOP_VA		(VA + PAGE_SIZE)
#define STEAL_GPA	tg_data(3)
#define NR_EVENTS	10

static void *run(void *arg)
{
	struct tiny_guest *g = arg;

	kvm_pin_this_task_to_pcpu(0);
	vcpu_run(g->vcpu);
	return NULL;
}

/* The vCPU spins, and so does this thread on the same CPU. */
static void test_preempted(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = VA, .rsi = STOP_VA, .rax = 1, .rdx = 2 };
	uint32_t *stop = addr_gpa2hva(g->vm, tg_data(2));
	struct kvm_steal_time *steal = addr_gpa2hva(g->vm, STEAL_GPA);
	struct kvm_page_track_event event;
	bool preempted = false;
	pthread_t thread;
	struct tracker t;
	int nr = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) == 1) {
		g->skip = "a vCPU that spins would keep the only processor";
		return;
	}

	tg_map(g, VA, tg_data(1));
	tg_map(g, STOP_VA, tg_data(2));
	*stop = 0;
	memset(steal, 0, sizeof(*steal));
	vcpu_set_msr(g->vcpu, MSR_KVM_STEAL_TIME, STEAL_GPA | KVM_MSR_ENABLED);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, STEAL_GPA, PAGE_SIZE, TRACKER_NOTIFY);

	kvm_pin_this_task_to_pcpu(0);
	tg_start(g, TG_SPIN4, &regs);
	pthread_create(&thread, NULL, run, g);
	while (nr < NR_EVENTS || !preempted) {
		/* What the scheduler has had written while this thread runs. */
		preempted |= READ_ONCE(steal->preempted) & KVM_VCPU_PREEMPTED;
		if (tracker_pop(&t, &event)) {
			by_kvm_assert_event(&event, STEAL_GPA, 0);
			nr++;
		}
	}

	WRITE_ONCE(*stop, 1);
	pthread_join(thread, NULL);
	tg_assert_ended(g);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "steal time of a preempted vCPU", test_preempted, TG_4LEVEL_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
