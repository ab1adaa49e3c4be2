// SPDX-License-Identifier: GPL-2.0-only
/* Events of what KVM itself writes, see by_kvm.h. */
#include <string.h>

#include "by_kvm.h"

void by_kvm_run_to(struct kvm_vcpu *vcpu, uint64_t cmd)
{
	struct ucall uc;

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(uc.cmd == cmd, "exit reason %u (%s)", vcpu->run->exit_reason,
		    exit_reason_str(vcpu->run->exit_reason));
}

struct kvm_page_track_event by_kvm_event(uint64_t gpa, uint32_t vcpu_id)
{
	return (struct kvm_page_track_event) {
		.gpa = gpa,
		.vcpu_id = vcpu_id,
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.phase = KVM_PAGE_TRACK_PHASE_AFTER,
		.flags = KVM_PAGE_TRACK_EVENT_BY_KVM,
	};
}

void by_kvm_assert_event(const struct kvm_page_track_event *event, uint64_t gpa,
			 uint32_t flags)
{
	struct kvm_page_track_event want = by_kvm_event(gpa, 0);

	want.flags |= flags;
	want.seq = event->seq;
	want.time = event->time;
	TEST_ASSERT(!memcmp(&want, event, sizeof(want)),
		    "gpa 0x%llx rip 0x%llx cr3 0x%llx vcpu %u len %u phase %u flags 0x%x",
		    event->gpa, event->rip, event->cr3, event->vcpu_id, event->len,
		    event->phase, event->flags);
}

void by_kvm_assert_written(struct tracker *t, uint64_t gpa, uint32_t flags,
			   const char *file, unsigned int line)
{
	struct kvm_page_track_event event;

	/* All that KVM has written by now is in the ring when this returns. */
	test_assert(tracker_poll(t, 0), "written", file, line,
		    "KVM wrote, and there is no event");
	while (tracker_pop(t, &event))
		by_kvm_assert_event(&event, gpa, flags);
}
