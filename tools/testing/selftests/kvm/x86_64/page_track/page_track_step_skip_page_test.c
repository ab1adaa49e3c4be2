// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace skips what KVM cannot emulate, and what it would write to is no ordinary page:
 * not there, protected, a page table, or that of the code.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cases.h"
#include "skip.h"
#include "stats.h"
#include "userfault.h"

/* The host has to bring the page in first. */
static void test_absent(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET };
	uint64_t steps = tg_stat(g, "page_track_steps");
	struct tracker t;

	skip_init(g, &t);
	skip_start(g, TG_FXSAVE, &regs);
	SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
	TEST_ASSERT(!madvise(skip_mem(g, ASK_VA), PAGE_SIZE, MADV_DONTNEED), "errno %d", errno);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	tg_assert_ended(g);
	TG_ASSERT_STAT(g, "page_track_steps", steps + 1);
	TEST_ASSERT_EQ(*(uint16_t *)skip_mem(g, ASK_VA + SKIP_OFFSET), 0);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

/*
 * Somebody else has the second page: the step begins anew when that is there, and the vCPU
 * that waits for it keeps nobody from stepping.
 */
static void *skip_in_thread(void *arg)
{
	tracker_reply(arg, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	return NULL;
}

static void test_missing(struct tiny_guest *g)
{
	static uint8_t page[PAGE_SIZE] __aligned(PAGE_SIZE);
	const uint64_t second = ASK_VA + PAGE_SIZE, third = second + PAGE_SIZE;
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_CROSSING };
	uint64_t steps = tg_stat(g, "page_track_steps");
	struct tiny_guest other;
	struct tracker t;
	pthread_t thread;
	int uffd;

	if (!userfault_exists()) {
		g->skip = "no userfaultfd";
		return;
	}

	skip_init(g, &t);
	tg_map(g, third, ASK_GPA + 2 * PAGE_SIZE);
	tracker_add(&t, ASK_GPA + 2 * PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	tg_add_vcpu(g, &other, 1);
	skip_start(g, TG_FXSAVE, &regs);
	SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_CROSSING, SKIP_ASKED, 1);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	SKIP_ASSERT_ASKED(g, second, SKIP_ASKED, 1);
	uffd = userfault_open(skip_mem(g, second));
	TEST_ASSERT(!pthread_create(&thread, NULL, skip_in_thread, g), "No thread");
	TEST_ASSERT(userfault_await(uffd), "The vCPU does not wait for the page");

	/* If one has to wait for the other, it does so for ever. */
	alarm(30);
	regs.rdi = third + SKIP_OFFSET;
	TEST_ASSERT(tg_run(&other, TG_FXSAVE, &regs), "A fault");
	TEST_ASSERT(tracker_count(&t), "The other vCPU's write was not told");
	TG_ASSERT_STAT(g, "page_track_steps", steps + 1);

	memset(page, SKIP_PATTERN, PAGE_SIZE);
	userfault_give(uffd, skip_mem(g, second), page);
	pthread_join(thread, NULL);
	alarm(0);
	tg_assert_ended(g);
	TG_ASSERT_STAT(g, "page_track_steps", steps + 2);
	TEST_ASSERT(skip_is_untouched(g, ASK_VA, 2 * PAGE_SIZE), "It has written");
	close(uffd);
	tracker_close(&t);
}

/* As on any page that the host does not let the vCPU have. */
static void test_protected(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET };
	struct tracker t;

	skip_init(g, &t);
	skip_start(g, TG_FXSAVE, &regs);
	SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
	TEST_ASSERT(!mprotect(skip_mem(g, ASK_VA), PAGE_SIZE, PROT_NONE), "errno %d", errno);
	g->vcpu->run->page_track.reply = KVM_PAGE_TRACK_REPLY_SKIP;
	TEST_ASSERT(__vcpu_run(g->vcpu) == -1 && errno == EFAULT, "errno %d", errno);
	TEST_ASSERT(!mprotect(skip_mem(g, ASK_VA), PAGE_SIZE, PROT_READ | PROT_WRITE), "errno %d",
		    errno);

	/* It has not been skipped, and is asked again. */
	vcpu_run(g->vcpu);
	SKIP_ASSERT_ASKED(g, ASK_VA + SKIP_OFFSET, SKIP_ASKED, 1);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	tg_assert_ended(g);
	TEST_ASSERT(skip_is_untouched(g, ASK_VA, PAGE_SIZE), "It has written");
	tracker_close(&t);
}

/* The second page comes and goes, and is tracked now and then. */
struct change {
	struct tracker *t;
	void *page;
	bool stop;
	int nr_rounds;
};

static void *change(void *arg)
{
	struct change *c = arg;

	while (!READ_ONCE(c->stop)) {
		tracker_remove(c->t, ASK_GPA + PAGE_SIZE, PAGE_SIZE);
		TEST_ASSERT(!madvise(c->page, PAGE_SIZE, MADV_DONTNEED), "errno %d", errno);
		tracker_add(c->t, ASK_GPA + PAGE_SIZE, PAGE_SIZE, TRACKER_EXIT);
		c->nr_rounds++;
		usleep(500);
	}
	return NULL;
}

static void test_changes(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_CROSSING };
	struct change c = { .page = skip_mem(g, ASK_VA + PAGE_SIZE) };
	struct tracker t;
	pthread_t thread;
	int i;

	skip_init(g, &t);
	c.t = &t;
	TEST_ASSERT(!pthread_create(&thread, NULL, change, &c), "No thread");
	for (i = 0; i < 50 || READ_ONCE(c.nr_rounds) < 50; i++) {
		skip_start(g, TG_FXSAVE, &regs);
		while (g->vcpu->run->exit_reason == KVM_EXIT_PAGE_TRACK)
			tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
		tg_assert_ended(g);
		TEST_ASSERT(skip_is_untouched(g, ASK_VA, PAGE_SIZE), "The first page is written");
	}
	WRITE_ONCE(c.stop, true);
	pthread_join(thread, NULL);
	tracker_close(&t);
}

/* A page table of the guest, of the highest level, is as any page, also if it is shadowed. */
static void test_page_table(struct tiny_guest *g)
{
	struct kvm_regs regs = { .rdi = ASK_VA + PAGE_SIZE / 2 };
	uint8_t *table = addr_gpa2hva(g->vm, g->root);
	uint8_t before[PAGE_SIZE];
	struct tracker t;

	skip_init(g, &t);
	tracker_close(&t);
	tg_map(g, ASK_VA, g->root);
	tg_flush(g);
	memcpy(before, table, PAGE_SIZE);

	tracker_create(g->vm, &t, 64, KVM_PAGE_TRACKER_STEP, 1);
	tracker_add(&t, g->root, PAGE_SIZE, TRACKER_EXIT);
	skip_start(g, TG_FXSAVE, &regs);
	while (g->vcpu->run->exit_reason == KVM_EXIT_PAGE_TRACK) {
		/* With two dimensions, the CPU also sets Accessed bits there. */
		if (!(g->vcpu->run->page_track.flags & KVM_PAGE_TRACK_EVENT_PAGE_WALK))
			TEST_ASSERT_EQ(g->vcpu->run->page_track.gpa, g->root + PAGE_SIZE / 2);
		TEST_ASSERT(g->vcpu->run->page_track.flags & KVM_PAGE_TRACK_EVENT_STEPPED,
			    "flags are 0x%x", g->vcpu->run->page_track.flags);
		tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	}
	tg_assert_ended(g);
	TEST_ASSERT(!memcmp(table + PAGE_SIZE / 2, before + PAGE_SIZE / 2, PAGE_SIZE / 2),
		    "The table was written");
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
	TEST_ASSERT(tg_load(g, ASK_VA + PAGE_SIZE) != TG_FAULT, "The tables are broken");
}

/* The page of the instruction itself, which is mapped already since another step. */
static void test_code(struct tiny_guest *g)
{
	uint64_t rip = tg_op_rip(TG_FXSAVE), page = TG_CODE_GPA + (rip & PAGE_MASK);
	struct kvm_regs regs = { .rdi = ASK_VA + SKIP_OFFSET };
	uint8_t before[PAGE_SIZE];
	struct tracker t;

	skip_init(g, &t);
	skip_start(g, TG_FXSAVE, &regs);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
	tg_assert_ended(g);

	tg_map(g, ASK_VA, page);
	tg_flush(g);
	memcpy(before, addr_gpa2hva(g->vm, page), PAGE_SIZE);
	tracker_add(&t, page, PAGE_SIZE, TRACKER_EXIT);
	regs.rdi = ASK_VA + PAGE_SIZE - 512;
	skip_start(g, TG_FXSAVE, &regs);
	TEST_ASSERT_EQ(g->vcpu->run->page_track.gpa, page + PAGE_SIZE - 512);
	tracker_reply(g, KVM_PAGE_TRACK_REPLY_SKIP, NULL);
	tg_assert_ended(g);
	TEST_ASSERT(!memcmp(addr_gpa2hva(g->vm, page), before, PAGE_SIZE), "It has written");
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "the page is not there", test_absent, TG_4LEVEL_BIT, true },
		{ "the page is somebody else's", test_missing, TG_4LEVEL_BIT, true },
		{ "the host protects the page", test_protected, TG_4LEVEL_BIT, true },
		{ "a page that changes", test_changes, TG_4LEVEL_BIT, true },
		{ "a page table", test_page_table, TG_4LEVEL_BIT, true },
		{ "the page of the instruction", test_code, TG_4LEVEL_BIT, true },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
