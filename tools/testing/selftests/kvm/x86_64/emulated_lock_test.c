// SPDX-License-Identifier: GPL-2.0-only
/*
 * A locked instruction that KVM emulates, and that loses the race for its operand, is done
 * once: what it did to the flags before does not count.
 *
 * The guest adds 1 and the carry, which is clear, by LOCK ADC.  Another thread has the
 * operand alternate between two values, of which one leaves a carry, and stops at any
 * other: at the sum.
 */
#include <pthread.h>

#include "kvm_util.h"
#include "processor.h"

#define NR_ROUNDS	2000

/* A sum of either with a carry too much is that of neither without. */
#define SMALL		0x10ul
#define LARGE		~0ul

static uint64_t operand;
static uint64_t *operand_hva;
static bool done;

static void guest_code(void)
{
	int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		GUEST_SYNC(i);
		asm volatile("clc; " KVM_FEP "lock adc %1, %0"
			     : "+m"(operand) : "r"(1ul) : "cc", "memory");
	}
	GUEST_DONE();
}

static bool change(uint64_t old, uint64_t new)
{
	return __atomic_compare_exchange_n(operand_hva, &old, new, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static void *alternate(void *arg)
{
	while (!READ_ONCE(done)) {
		change(SMALL, LARGE);
		change(LARGE, SMALL);
	}
	return NULL;
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	struct kvm_vm *vm;
	uint64_t sum;
	struct ucall uc;
	int nr = 0, nr_wrong = 0;

	TEST_REQUIRE(kvm_is_forced_emulation_enabled());
	__TEST_REQUIRE(sysconf(_SC_NPROCESSORS_ONLN) > 1, "One processor has no races");

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	operand_hva = addr_gva2hva(vm, (uint64_t)&operand);
	*operand_hva = SMALL;
	pthread_create(&thread, NULL, alternate, NULL);

	for (;;) {
		vcpu_run(vcpu);
		if (get_ucall(vcpu, &uc) == UCALL_DONE)
			break;

		TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
		sum = READ_ONCE(*operand_hva);
		if (!nr++)
			continue;

		nr_wrong += sum != SMALL + 1 && sum != LARGE + 1;
		WRITE_ONCE(*operand_hva, SMALL);
	}

	WRITE_ONCE(done, true);
	pthread_join(thread, NULL);
	kvm_vm_free(vm);
	TEST_ASSERT(!nr_wrong, "%d of %d sums are wrong", nr_wrong, NR_ROUNDS);
	return 0;
}
