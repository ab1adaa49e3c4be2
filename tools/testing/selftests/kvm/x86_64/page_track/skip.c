// SPDX-License-Identifier: GPL-2.0-only
/* What KVM cannot emulate, and userspace skips, see skip.h. */
#include <errno.h>
#include <string.h>

#include "skip.h"

uint8_t *skip_mem(struct tiny_guest *g, uint64_t va)
{
	return addr_gpa2hva(g->vm, ASK_GPA + va - ASK_VA);
}

void skip_init(struct tiny_guest *g, struct tracker *t)
{
	tg_map(g, ASK_VA, ASK_GPA);
	tg_map(g, ASK_VA + PAGE_SIZE, ASK_GPA + PAGE_SIZE);
	memset(skip_mem(g, ASK_VA), SKIP_PATTERN, 2 * PAGE_SIZE);
	tracker_create(g->vm, t, 64, KVM_PAGE_TRACKER_STEP, 1);
	tracker_add(t, ASK_GPA, 2 * PAGE_SIZE, TRACKER_EXIT);
}

bool skip_is_untouched(struct tiny_guest *g, uint64_t va, size_t size)
{
	size_t i;

	for (i = 0; i < size && skip_mem(g, va)[i] == SKIP_PATTERN; i++)
		;
	return i == size;
}

void skip_start(struct tiny_guest *g, enum tg_op op, const struct kvm_regs *regs)
{
	tg_start(g, op, regs);
	vcpu_run(g->vcpu);
}

void skip_assert_asked(struct tiny_guest *g, uint64_t va, uint32_t flags, uint64_t id,
		       const char *file, unsigned int line)
{
	struct kvm_run *run = g->vcpu->run;

	test_assert(run->exit_reason == KVM_EXIT_PAGE_TRACK &&
		    run->page_track.reason == KVM_PAGE_TRACK_REASON_ACCESS, "a question", file,
		    line, "exit reason %u (%s)", run->exit_reason,
		    exit_reason_str(run->exit_reason));
	test_assert((run->page_track.flags & ~KVM_PAGE_TRACK_EVENT_GVA) == flags, "the flags",
		    file, line, "flags are 0x%x, not 0x%x", run->page_track.flags, flags);
	test_assert(run->page_track.gpa == ASK_GPA + va - ASK_VA && !run->page_track.len,
		    "that write", file, line, "%u bytes at 0x%llx", run->page_track.len,
		    run->page_track.gpa);
	test_assert(run->page_track.user_data == id, "that tracker", file, line,
		    "tracker %llu, not %lu", run->page_track.user_data, id);
}

void skip_assert_bad_reply(struct tiny_guest *g, uint8_t reply)
{
	g->vcpu->run->page_track.reply = reply;
	TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EINVAL, "Reply %u is taken", reply);
}
