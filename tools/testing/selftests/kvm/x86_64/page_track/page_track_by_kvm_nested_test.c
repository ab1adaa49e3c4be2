// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM writes to a guest's VMCB or VMCS that a tracker has: at each VMRUN and exit of the
 * nested guest, or when the VMCS is cleared.
 */
#include "by_kvm.h"
#include "nested.h"

/* KVM has written to the page @nr times at least.  L1 may have, too, as it does. */
static void assert_written(struct tracker *t, uint64_t gpa, int nr)
{
	struct kvm_page_track_event event;
	int found = 0;

	tracker_poll(t, 0);
	while (tracker_pop(t, &event)) {
		TEST_ASSERT_EQ(event.gpa & PAGE_MASK, gpa);
		if (event.flags & KVM_PAGE_TRACK_EVENT_BY_KVM) {
			by_kvm_assert_event(&event, gpa, 0);
			found++;
		}
	}
	TEST_ASSERT(found >= nr, "%d events by KVM, wanted %d", found, nr);
}

int main(void)
{
	static const uint64_t want[L2_WRITES] = { L2_VAL, L2_VAL + 1, L2_VAL + 2 };
	uint64_t gpa, control_gpa;
	struct kvm_vcpu *vcpu;
	struct tracker t;
	struct kvm_vm *vm;

	tracker_require();
	vm = nested_create(&vcpu, &gpa, &control_gpa);
	tracker_create(vm, &t, 64, 0, 0);
	tracker_add(&t, control_gpa, PAGE_SIZE, TRACKER_NOTIFY);

	vcpu_run(vcpu);
	nested_assert_done(vcpu, gpa, want);
	/* Those of VMRUN come before L2 runs, those of its exit before L1 does. */
	assert_written(&t, control_gpa, host_cpu_is_intel ? 1 : 2);

	tracker_close(&t);
	kvm_vm_free(vm);
	return 0;
}
