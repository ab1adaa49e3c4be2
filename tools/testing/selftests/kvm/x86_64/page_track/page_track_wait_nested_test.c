// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tracker that has vCPUs wait, while a nested guest runs: another process is asked
 * before L2 writes, and L2 goes on with the reply; the VMM sees none of it.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asleep.h"
#include "nested.h"

#define OTHER		0x77ul

static const uint32_t replies[L2_WRITES] = {
	KVM_PAGE_TRACK_REPLY_ALLOW, KVM_PAGE_TRACK_REPLY_SKIP, KVM_PAGE_TRACK_REPLY_REPLACE,
};

/* In another process. */
static int reply_to_all(struct tracker *t, uint64_t gpa)
{
	struct kvm_page_track_event event;
	int i, r = 0;

	for (i = 0; i < L2_WRITES && !r; i++) {
		event = asleep_get_event(t);
		TEST_ASSERT(event.flags & KVM_PAGE_TRACK_EVENT_NESTED &&
			    event.flags & KVM_PAGE_TRACK_EVENT_ASKS, "flags 0x%x", event.flags);
		TEST_ASSERT_EQ(event.gpa, gpa + 8 * i);
		TEST_ASSERT_EQ(event.len, 8);
		TEST_ASSERT_EQ(*(uint64_t *)event.data, L2_VAL + i);
		r = asleep_reply(t, &event, replies[i], OTHER);
	}
	return r;
}

int main(void)
{
	static const uint64_t want[L2_WRITES] = { L2_VAL, 0, OTHER };
	struct kvm_vcpu *vcpu;
	uint64_t gpa, control_gpa;
	struct kvm_vm *vm;
	struct tracker t;
	int status;
	pid_t pid;

	tracker_require();
	vm = nested_create(&vcpu, &gpa, &control_gpa);
	tracker_create(vm, &t, KVM_PAGE_TRACK_MIN_EVENTS, KVM_PAGE_TRACKER_WAIT, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_EXIT);

	pid = fork();
	TEST_ASSERT(pid >= 0, "errno %d", errno);
	if (!pid)
		_exit(reply_to_all(&t, gpa));

	vcpu_run(vcpu);
	nested_assert_done(vcpu, gpa, want);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "The other process: 0x%x",
		    status);

	tracker_close(&t);
	kvm_vm_free(vm);
	return 0;
}
