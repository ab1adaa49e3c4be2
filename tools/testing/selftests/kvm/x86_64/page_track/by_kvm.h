/* SPDX-License-Identifier: GPL-2.0-only */
/* A page that a tracker has, and the events of what KVM itself writes to it. */
#ifndef SELFTEST_KVM_PAGE_TRACK_BY_KVM_H
#define SELFTEST_KVM_PAGE_TRACK_BY_KVM_H

#include "tracker.h"

/* Run the guest to @cmd, a ucall. */
void by_kvm_run_to(struct kvm_vcpu *vcpu, uint64_t cmd);

/* The event of KVM's write to the page at @gpa in the thread of @vcpu_id. */
struct kvm_page_track_event by_kvm_event(uint64_t gpa, uint32_t vcpu_id);

/* @event is that, of vCPU 0, at any time, and has @flags as well. */
void by_kvm_assert_event(const struct kvm_page_track_event *event, uint64_t gpa,
			 uint32_t flags);

#define BY_KVM_ASSERT_WRITTEN(t, gpa, flags) \
	by_kvm_assert_written(t, gpa, flags, __FILE__, __LINE__)

/*
 * Take the events: KVM has written to the page at @gpa for vCPU 0, once at least, and
 * that is all.  They have @flags as well.
 */
void by_kvm_assert_written(struct tracker *t, uint64_t gpa, uint32_t flags,
			   const char *file, unsigned int line);

#endif /* SELFTEST_KVM_PAGE_TRACK_BY_KVM_H */
