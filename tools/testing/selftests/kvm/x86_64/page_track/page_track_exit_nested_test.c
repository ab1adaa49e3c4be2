// SPDX-License-Identifier: GPL-2.0-only
/*
 * Action exit while a nested guest runs: userspace is asked before L2 writes, and L2
 * goes on with the reply, unless the nested state is set, even to what it was.
 */
#include "nested.h"
#include "tracker.h"

static void assert_asked(struct kvm_vcpu *vcpu, uint64_t gpa, uint64_t val)
{
	struct kvm_run *run = vcpu->run;

	TEST_ASSERT(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS,
		    "exit reason %u (%s)", run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->page_track.flags & KVM_PAGE_TRACK_EVENT_NESTED, "flags 0x%x",
		    run->page_track.flags);
	TEST_ASSERT_EQ(run->page_track.gpa, gpa);
	TEST_ASSERT_EQ(run->page_track.len, 8);
	TEST_ASSERT_EQ(*(uint64_t *)run->page_track.data, val);
}

int main(void)
{
	static const uint8_t replies[L2_WRITES] = {
		KVM_PAGE_TRACK_REPLY_ALLOW, KVM_PAGE_TRACK_REPLY_SKIP,
		KVM_PAGE_TRACK_REPLY_REPLACE,
	};
	static const uint64_t want[L2_WRITES] = { L2_VAL, 0, 0x77 };
	uint64_t gpa, control_gpa, *mem;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct tracker t;
	int i;

	tracker_require();
	vm = nested_create(&vcpu, &gpa, &control_gpa);
	mem = addr_gpa2hva(vm, gpa);
	tracker_create(vm, &t, 64, 0, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_EXIT);

	vcpu_run(vcpu);
	assert_asked(vcpu, gpa, L2_VAL);
	nested_restore_state(vcpu);
	vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_SKIP;
	vcpu_run(vcpu);
	for (i = 0; i < L2_WRITES; i++) {
		assert_asked(vcpu, gpa + 8 * i, L2_VAL + i);
		TEST_ASSERT_EQ(mem[i], 0);
		vcpu->run->page_track.reply = replies[i];
		*(uint64_t *)vcpu->run->page_track.data = 0x77;
		vcpu_run(vcpu);
	}

	nested_assert_done(vcpu, gpa, want);
	TRACKER_ASSERT_EMPTY(&t);

	tracker_close(&t);
	kvm_vm_free(vm);
	return 0;
}
