// SPDX-License-Identifier: GPL-2.0-only
/*
 * A signal that ends KVM_RUN is counted, in signal_exits of the vCPU.  The kernel counts
 * it, not KVM: if KVM is a module that was built for another struct kvm_vcpu, it does so
 * somewhere else.
 */
#include <signal.h>

#include "cases.h"
#include "guest.h"
#include "stats.h"

#define SIGNALS	10

static void block_but_in_run(struct tiny_guest *g, sigset_t *usr1)
{
	uint8_t buf[sizeof(struct kvm_signal_mask) + sizeof(uint64_t)] = {};
	struct kvm_signal_mask *none = (void *)buf;

	sigemptyset(usr1);
	sigaddset(usr1, SIGUSR1);
	TEST_ASSERT(!sigprocmask(SIG_BLOCK, usr1, NULL), "Cannot block a signal");
	none->len = sizeof(uint64_t);
	vcpu_ioctl(g->vcpu, KVM_SET_SIGNAL_MASK, none);
}

static void test_signals(struct tiny_guest *g)
{
	uint64_t counted, exits;
	sigset_t usr1;
	int i, r, got;

	/* The vCPU has run, and has state of its own. */
	tg_load(g, TG_OP_GPA);
	block_but_in_run(g, &usr1);
	counted = tg_vcpu_stat(g, "signal_exits");
	exits = tg_vcpu_stat(g, "exits");

	for (i = 1; i <= SIGNALS; i++) {
		raise(SIGUSR1);
		r = __vcpu_run(g->vcpu);
		TEST_ASSERT(r == -1 && errno == EINTR && g->vcpu->run->exit_reason == KVM_EXIT_INTR,
			    "Wanted KVM_RUN to be interrupted, got %d, errno %d, exit reason %u",
			    r, errno, g->vcpu->run->exit_reason);
		TEST_ASSERT(!sigwait(&usr1, &got) && got == SIGUSR1, "Another signal");
		TEST_ASSERT_EQ(tg_vcpu_stat(g, "signal_exits"), counted + i);
	}

	/* They came before the guest did. */
	TEST_ASSERT_EQ(tg_vcpu_stat(g, "exits"), exits);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "1: signals are counted", test_signals, TG_4LEVEL_BIT },
	};

	tg_run_cases(cases, ARRAY_SIZE(cases));
}
