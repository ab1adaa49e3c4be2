// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of a random mix of writes, by one vCPU and by several at once, against a
 * reference: each event once, in order, with the right bytes; and the same memory.
 *
 * The ring is the smallest one, so that vCPUs have to wait for the consumer.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "tracker.h"

#define NR_VCPUS	4
#define AREA_PAGES	4	/* of each vCPU; all but page 2 are tracked */
#define AREA_SIZE	(AREA_PAGES * PAGE_SIZE)
#define VA		0x40000000ul
#define GPA		tg_data(0)
#define MAX_PIECES	128	/* of one operation */

static uint32_t seed;
static int nr_ops;

struct writer {
	struct tiny_guest g;
	uint8_t ref[AREA_SIZE];
	uint64_t va, gpa;
	pthread_t thread;

	/* What has to be in the log, and how much of it was. */
	struct kvm_page_track_event *log;
	int logged, seen;
	uint64_t time;		/* of the last event */
	uint64_t stops;
};

/* Most often near the edge of two pages. */
static int pick_offset(int max_len)
{
	int offset = tg_pick(AREA_SIZE - max_len);

	if (tg_pick(4)) {
		offset = (1 + tg_pick(AREA_PAGES - 1)) * PAGE_SIZE - 20 + tg_pick(24);
		if (offset > AREA_SIZE - max_len)
			offset = AREA_SIZE - max_len;
	}
	return offset;
}

static void log_piece(struct writer *w, int offset, int len, uint64_t rip)
{
	struct kvm_page_track_event *event = &w->log[w->logged];

	if (offset / PAGE_SIZE == 2)
		return;

	*event = tracker_write_event(&w->g, w->va + offset, w->gpa + offset,
				     w->ref + offset, len);
	event->rip = rip;
	w->logged++;
}

/* KVM writes an element page by page. */
static void ref_write(struct writer *w, int offset, const void *data, int len, uint64_t rip)
{
	int first = PAGE_SIZE - offset % PAGE_SIZE;

	memmove(w->ref + offset, data, len);
	if (first >= len) {
		log_piece(w, offset, len, rip);
	} else {
		log_piece(w, offset, first, rip);
		log_piece(w, offset + first, len - first, rip);
	}
}

static void do_reference(struct writer *w, enum tg_op op, const struct kvm_regs *regs)
{
	int i, src, offset = regs->rdi - w->va;
	uint64_t rip = tg_op_rip(op), data[2] = { regs->rax, regs->rax }, old;

	memcpy(&old, w->ref + offset, sizeof(old));
	switch (op) {
	case TG_STORE1:
	case TG_XCHG1:
		return ref_write(w, offset, data, 1, rip);
	case TG_STORE2:
	case TG_XCHG2:
		return ref_write(w, offset, data, 2, rip);
	case TG_STORE4:
	case TG_XCHG4:
		return ref_write(w, offset, data, 4, rip);
	case TG_STORE8:
	case TG_XCHG8:
		return ref_write(w, offset, data, 8, rip);
	case TG_STORE16_SSE:
		data[0] = regs->rdx << 32 | (uint32_t)regs->rax;
		data[1] = data[0];
		return ref_write(w, offset, data, 16, 0);
	case TG_LOCK_OR4:
		data[0] |= old;
		return ref_write(w, offset, data, 4, rip);
	case TG_LOCK_AND4:
		data[0] &= old;
		return ref_write(w, offset, data, 4, rip);
	case TG_LOCK_XADD4:
		data[0] += old;
		return ref_write(w, offset, data, 4, rip);
	case TG_CMPXCHG4:
		data[0] = (uint32_t)old == (uint32_t)regs->rax ? regs->rcx : old;
		return ref_write(w, offset, data, 4, rip);
	case TG_CMPXCHG8:
		data[0] = old == regs->rax ? regs->rcx : old;
		return ref_write(w, offset, data, 8, rip);
	case TG_CMPXCHG8B:
		data[0] = old;
		if (old == ((uint64_t)(uint32_t)regs->rdx << 32 | (uint32_t)regs->rax))
			data[0] = regs->rcx << 32 | (uint32_t)regs->rbx;
		return ref_write(w, offset, data, 8, rip);
	case TG_PUSH:
		return ref_write(w, offset - 8, data, 8, 0);
	case TG_REP_STOS4:
		for (i = 0; i < regs->rcx; i++)
			ref_write(w, offset + 4 * i, data, 4, rip);
		return;
	case TG_REP_MOVS1:
		src = regs->rsi - w->va;
		for (i = 0; i < regs->rcx; i++)
			ref_write(w, offset + i, w->ref + src + i, 1, rip);
		return;
	default:
		TEST_FAIL("No reference for operation %d", op);
	}
}

static void do_random_op(struct writer *w)
{
	static const enum tg_op ops[] = {
		TG_STORE1, TG_STORE2, TG_STORE4, TG_STORE8, TG_STORE16_SSE, TG_XCHG1,
		TG_XCHG2, TG_XCHG4, TG_XCHG8, TG_LOCK_OR4, TG_LOCK_AND4, TG_LOCK_XADD4,
		TG_CMPXCHG4, TG_CMPXCHG8, TG_CMPXCHG8B, TG_PUSH, TG_REP_STOS4,
		TG_REP_MOVS1,
	};
	enum tg_op op = ops[tg_pick(ARRAY_SIZE(ops))];
	struct kvm_regs regs = {
		.rdi = w->va + pick_offset(160),
		.rsi = w->va + pick_offset(160),
		.rax = tg_random_u64(),
		.rbx = tg_random_u64(),
		.rcx = tg_random_u64(),
		.rdx = tg_random_u64(),
	};
	uint64_t old;

	if (op == TG_REP_STOS4 || op == TG_REP_MOVS1)
		regs.rcx = tg_pick(40);
	if (op == TG_PUSH)
		regs.rdi += 8;

	/* Have every other compare-and-exchange succeed. */
	memcpy(&old, w->ref + (regs.rdi - w->va), sizeof(old));
	if (tg_pick(2) && (op == TG_CMPXCHG4 || op == TG_CMPXCHG8)) {
		regs.rax = old;
	} else if (tg_pick(2) && op == TG_CMPXCHG8B) {
		regs.rax = (uint32_t)old;
		regs.rdx = old >> 32;
	}

	do_reference(w, op, &regs);
	tg_start(&w->g, op, &regs);
	for (;;) {
		vcpu_run(w->g.vcpu);
		if (w->g.vcpu->run->exit_reason != KVM_EXIT_PAGE_TRACK)
			break;
		w->stops++;
		sched_yield();
	}
	TEST_ASSERT(tg_has_ended(&w->g), "Operation %d at 0x%llx, exit reason %u", op,
		    regs.rdi, w->g.vcpu->run->exit_reason);
}

static void *write_all(void *arg)
{
	struct writer *w = arg;
	int i;

	tg_seed(seed + w->g.vcpu->id);
	for (i = 0; i < nr_ops; i++)
		do_random_op(w);
	return NULL;
}

static void init_writer(struct tiny_guest *g, struct writer *w, int i)
{
	int j;

	memset(w, 0, sizeof(*w));
	w->va = VA + i * AREA_SIZE;
	w->gpa = GPA + i * AREA_SIZE;
	for (j = 0; j < AREA_PAGES; j++)
		tg_map(g, w->va + j * PAGE_SIZE, w->gpa + j * PAGE_SIZE);
	memcpy(w->ref, addr_gpa2hva(g->vm, w->gpa), AREA_SIZE);
	w->log = calloc(nr_ops * MAX_PIECES, sizeof(*w->log));
	TEST_ASSERT(w->log, "no memory");
	tg_add_vcpu(g, &w->g, i + 1);
}

/* Is @event the next one of its vCPU? */
static void check_event(struct writer *writers, int nr, const struct kvm_page_track_event *event)
{
	struct kvm_page_track_event want;
	struct writer *w;

	TEST_ASSERT(event->vcpu_id && event->vcpu_id <= nr, "vCPU %u", event->vcpu_id);
	w = &writers[event->vcpu_id - 1];
	want = w->log[w->seen++];
	want.seq = event->seq;
	want.time = event->time;
	if (!want.rip)
		want.rip = event->rip;
	TEST_ASSERT(!memcmp(&want, event, sizeof(want)),
		    "Event %d of vCPU %u: gpa 0x%llx len %u flags 0x%x, wanted 0x%llx %u 0x%x",
		    w->seen - 1, event->vcpu_id, event->gpa, event->len, event->flags,
		    want.gpa, want.len, want.flags);
	TEST_ASSERT(event->time >= w->time, "vCPU %u: %llu ns behind %lu", event->vcpu_id,
		    event->time, w->time);
	w->time = event->time;
}

static bool join_all(struct writer *writers, int nr, int *joined)
{
	while (*joined < nr && !pthread_tryjoin_np(writers[*joined].thread, NULL))
		(*joined)++;
	return *joined == nr;
}

static void test_log(struct tiny_guest *g, int nr)
{
	struct writer *writers = calloc(nr, sizeof(*writers)), *w;
	struct kvm_page_track_event event;
	uint64_t events = 0, stops = 0;
	struct tracker t;
	int i, joined = 0;
	bool all;

	TEST_ASSERT(writers, "no memory");
	tracker_create(g->vm, &t, KVM_PAGE_TRACK_MIN_EVENTS, 0, 0);
	for (i = 0; i < nr; i++) {
		w = &writers[i];
		init_writer(g, w, i);
		tracker_add(&t, w->gpa, 2 * PAGE_SIZE, TRACKER_NOTIFY);
		tracker_add(&t, w->gpa + 3 * PAGE_SIZE, PAGE_SIZE, TRACKER_NOTIFY);
	}
	for (i = 0; i < nr; i++)
		pthread_create(&writers[i].thread, NULL, write_all, &writers[i]);

	do {
		all = join_all(writers, nr, &joined);
		tracker_poll(&t, all ? 0 : 10);
		for (; tracker_pop(&t, &event); events++)
			check_event(writers, nr, &event);
	} while (!all || tracker_count(&t));

	for (w = writers; w < writers + nr; w++) {
		TEST_ASSERT(w->seen == w->logged, "vCPU %ld: %d of %d events", w - writers,
			    w->seen, w->logged);
		TEST_ASSERT(!memcmp(w->ref, addr_gpa2hva(g->vm, w->gpa), AREA_SIZE),
			    "vCPU %ld: memory differs", w - writers);
		stops += w->stops;
		free(w->log);
	}
	pr_info("%lu events, the ring was full %lu times\n", events, stops);
	TEST_ASSERT(events, "Nothing was to be logged");
	free(writers);
	tracker_close(&t);
}

static void test_one(struct tiny_guest *g)
{
	test_log(g, 1);
}

static void test_several(struct tiny_guest *g)
{
	test_log(g, NR_VCPUS);
}

int main(int argc, char *argv[])
{
	static const struct tg_case cases[] = {
		{ "the log of one vCPU is exact", test_one, TG_4LEVEL_BIT },
		{ "the log of several vCPUs is exact", test_several, TG_4LEVEL_BIT },
	};

	tracker_require();
	nr_ops = tg_get_random_rounds(argc, argv, 400, &seed);
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
