// SPDX-License-Identifier: GPL-2.0-only
/* A page whose writes userspace is asked for, see page_track_exit.h. */
#include "page_track_exit.h"

void exit_init(struct pt_guest *g, struct tracker *t, uint64_t id)
{
	pt_map(g, EXIT_VA, EXIT_GPA);
	*(uint32_t *)addr_gpa2hva(g->vm, EXIT_GPA) = 0;
	tracker_create(g->vm, t, 64, 0, id);
	tracker_add(t, EXIT_GPA, PAGE_SIZE, TRACKER_EXIT);
}

uint32_t exit_mem(struct pt_guest *g)
{
	return *(uint32_t *)addr_gpa2hva(g->vm, EXIT_GPA);
}

void exit_start(struct pt_guest *g, enum pt_op op, uint32_t val)
{
	struct kvm_regs regs = { .rdi = EXIT_VA, .rax = val };

	pt_start(g, op, &regs);
	vcpu_run(g->vcpu);
}

void exit_assert_asked(struct pt_guest *g, uint64_t id, uint32_t val, const char *file,
		       unsigned int line)
{
	tracker_assert_asked(g, EXIT_VA, EXIT_GPA, &val, 4, file, line);
	test_assert(g->vcpu->run->page_track.user_data == id, "that tracker", file, line,
		    "tracker %llu, wanted %lu", g->vcpu->run->page_track.user_data, id);
}

void exit_reply(struct pt_guest *g, uint8_t reply, uint32_t val)
{
	tracker_reply(g, reply, &val);
}

void exit_assert_ended(struct pt_guest *g, uint32_t want)
{
	pt_assert_ended(g);
	TEST_ASSERT_EQ(exit_mem(g), want);
}
