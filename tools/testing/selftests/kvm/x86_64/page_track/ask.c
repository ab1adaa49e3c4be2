// SPDX-License-Identifier: GPL-2.0-only
/* A page whose writes userspace is asked for, see ask.h. */
#include "ask.h"

void ask_init(struct tiny_guest *g, struct tracker *t, uint64_t id)
{
	tg_map(g, ASK_VA, ASK_GPA);
	*(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA) = 0;
	tracker_create(g->vm, t, 64, 0, id);
	tracker_add(t, ASK_GPA, PAGE_SIZE, TRACKER_EXIT);
}

uint32_t ask_mem(struct tiny_guest *g)
{
	return *(uint32_t *)addr_gpa2hva(g->vm, ASK_GPA);
}

void ask_start(struct tiny_guest *g, enum tg_op op, uint32_t val)
{
	struct kvm_regs regs = { .rdi = ASK_VA, .rax = val };

	tg_start(g, op, &regs);
	vcpu_run(g->vcpu);
}

void ask_assert_asked(struct tiny_guest *g, uint64_t id, uint32_t val, const char *file,
		      unsigned int line)
{
	tracker_assert_asked(g, ASK_VA, ASK_GPA, &val, 4, file, line);
	test_assert(g->vcpu->run->page_track.user_data == id, "that tracker", file, line,
		    "tracker %llu, wanted %lu", g->vcpu->run->page_track.user_data, id);
}

void ask_reply(struct tiny_guest *g, uint8_t reply, uint32_t val)
{
	tracker_reply(g, reply, &val);
}

void ask_assert_ended(struct tiny_guest *g, uint32_t want)
{
	tg_assert_ended(g);
	TEST_ASSERT_EQ(ask_mem(g), want);
}
