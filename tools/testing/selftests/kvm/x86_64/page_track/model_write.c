// SPDX-License-Identifier: GPL-2.0-only
/* Writes and reads of the guest, and what they lead to, see model.h. */
#include <string.h>

#include "model.h"
#include "stats.h"

/* What a store of the guest writes to one page. */
struct write {
	struct tiny_guest *g;
	int pos, len, page;
	uint64_t rip;
	uint8_t data[16];
	bool skipped;
};

static void check_no_events(struct model *m)
{
	struct model_tracker *t;

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->exists)
			TRACKER_ASSERT_EMPTY(&t->t);
	}
}

/* What each has of the page. */
static void check_ranges(struct model *m, int page)
{
	struct model_tracker *t;

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->exists)
			model_check_next(t, page);
	}
}

/* The next event but for steps that were interrupted is @want, of any RIP. */
static void assert_finished(struct model_tracker *t, struct kvm_page_track_event want)
{
	struct kvm_page_track_event got;

	TEST_ASSERT(tracker_pop_finished(&t->t, &got), "A step was not told");
	want.seq = got.seq;
	want.time = got.time;
	want.rip = got.rip;
	TEST_ASSERT(!memcmp(&want, &got, sizeof(got)),
		    "A step: gpa 0x%llx, len %u, phase %u, flags 0x%x, wanted 0x%llx, 0x%x, or bytes",
		    got.gpa, got.len, got.phase, got.flags, want.gpa, want.flags);
}

/*
 * If the page is tracked, the CPU faults, maybe in a step, and each "once" has its event and
 * is over.  Returns whether the page is tracked still.
 */
static bool fault(struct model *m, const struct write *w, bool steps)
{
	struct kvm_page_track_event want;
	struct model_tracker *t;
	bool tracked = false;

	want = tracker_untracked_event(w->g, MODEL_VA + w->pos, MODEL_GPA + w->pos);
	want.rip = w->rip;
	if (steps)
		want.flags |= KVM_PAGE_TRACK_EVENT_UNEMULATED;

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->action[w->page] == TRACKER_ONCE) {
			model_untrack(t, w->page);
			if (steps)
				assert_finished(t, want);
			else
				TRACKER_ASSERT_EVENT(&t->t, &want);
			m->before++;
		}
		tracked |= t->action[w->page] != MODEL_NONE;
	}
	return tracked;
}

/* The first created after @last, or of all, that has to be asked. */
static struct model_tracker *next_to_ask(struct model *m, int page,
					 const struct model_tracker *last)
{
	struct model_tracker *t, *next = NULL;

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->action[page] == TRACKER_EXIT && (!last || t->id > last->id) &&
		    (!next || t->id < next->id))
			next = t;
	}
	return next;
}

static void check_memory(struct model *m, const struct write *w)
{
	struct model_slot *s = model_find_slot(m, w->page);

	model_check_page(s, w->page - s->first);
}

/*
 * Reply to whoever is asked, each for what the ones before want.  Nothing is written
 * yet, nor to the page of @other, which may be @w, if that has to be asked for, too.
 */
static void ask(struct model *m, struct write *w, const struct write *other)
{
	struct model_tracker *t = NULL;
	uint8_t reply, data[16];

	while ((t = next_to_ask(m, w->page, t))) {
		TRACKER_ASSERT_ASKED(w->g, MODEL_VA + w->pos, MODEL_GPA + w->pos, w->data,
				     w->len);
		TEST_ASSERT_EQ(w->g->vcpu->run->page_track.user_data, t->id);
		check_no_events(m);
		check_memory(m, w);
		/* Without a tracker, the CPU may have stored there before it faulted. */
		if (next_to_ask(m, other->page, NULL))
			check_memory(m, other);

		reply = m->reply(data);
		m->replies[reply]++;
		tracker_reply(w->g, reply, data);
		if (reply == KVM_PAGE_TRACK_REPLY_SKIP)
			w->skipped = true;
		if (reply == KVM_PAGE_TRACK_REPLY_REPLACE && !w->skipped)
			memcpy(w->data, data, w->len);
	}
}

/* KVM writes and tells whoever tracks the page and was not asked. */
static void emulate(struct model *m, const struct write *w)
{
	struct kvm_page_track_event want;
	struct model_tracker *t;

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->action[w->page] == MODEL_NONE || t->action[w->page] == TRACKER_EXIT)
			continue;

		want = tracker_write_event(w->g, MODEL_VA + w->pos, MODEL_GPA + w->pos,
					   w->data, w->len);
		want.rip = w->rip;
		if (t->action[w->page] == TRACKER_ONCE) {
			model_untrack(t, w->page);
			want.flags |= KVM_PAGE_TRACK_EVENT_UNTRACKED;
			m->after_once++;
		}
		TRACKER_ASSERT_EVENT(&t->t, &want);
		m->after++;
	}
}

static void store(struct model *m, const struct write *w)
{
	struct model_slot *s = model_find_slot(m, w->page);

	if (!w->skipped) {
		memcpy(s->copy + w->pos - s->first * PAGE_SIZE, w->data, w->len);
		if (s->flags & KVM_MEM_LOG_DIRTY_PAGES)
			s->dirty |= BIT_ULL(w->page - s->first);
	}
	check_memory(m, w);
}

/* What becomes of a write to one page or two, while KVM_RUN returns with questions. */
static void follow(struct model *m, struct write *w, int nr)
{
	bool emulated = false;
	int i;

	/* The order of the pages is the CPU's; those emulated fault on the lower first. */
	for (i = 0; i < nr && !emulated; i++)
		emulated = fault(m, &w[i], false);

	/* All are asked before one is written. */
	for (i = 0; i < nr && emulated; i++)
		ask(m, &w[i], &w[nr - 1 - i]);
	tg_assert_ended(w->g);

	for (i = 0; i < nr; i++) {
		if (emulated && !w[i].skipped)
			emulate(m, &w[i]);
		store(m, &w[i]);
	}

	check_no_events(m);
	for (i = 0; i < nr; i++)
		check_ranges(m, w[i].page);
}

/* What @g stores to one page or two; returns how many. */
static int split(struct write w[2], struct tiny_guest *g, int pos, int len, uint64_t rip,
		 const uint8_t *data)
{
	int left = PAGE_SIZE - pos % PAGE_SIZE;

	w[0] = (struct write) { .g = g, .rip = rip, .pos = pos, .len = len };
	w[0].page = pos / PAGE_SIZE;
	memcpy(w[0].data, data, len);
	if (len <= left)
		return 1;

	w[1] = (struct write) { .g = g, .rip = rip, .pos = pos + left, .len = len - left };
	w[1].page = w[0].page + 1;
	memcpy(w[1].data, data + left, w[1].len);
	w[0].len = left;
	return 2;
}

void model_write(struct model *m, struct tiny_guest *g, int pos, int len, uint64_t data)
{
	static const enum tg_op ops[] = {
		TG_STORE1, TG_STORE2, TG_STORE4, TG_STORE8, TG_STORE16_SSE
	};
	enum tg_op op = ops[ffs(len) - 1];
	struct kvm_regs regs = { .rdi = MODEL_VA + pos, .rax = data, .rdx = data >> 32 };
	/* The store of 16 bytes is not the first instruction of its operation. */
	uint64_t rip = op == TG_STORE16_SSE ? 0 : tg_op_rip(op), stored[2] = { data, data };
	struct write w[2];
	int nr = split(w, g, pos, len, rip, (uint8_t *)stored);

	tg_start(g, op, &regs);
	vcpu_run(g->vcpu);
	m->shadow_changed = m->shadowed;
	follow(m, w, nr);
}

/* Each tracker with exit is asked before the CPU writes to the page, and allows or skips it. */
static void ask_step(struct model *m, struct write *w)
{
	struct model_tracker *t = NULL;
	struct kvm_run *run = w->g->vcpu->run;
	uint8_t reply, data[16];

	while ((t = next_to_ask(m, w->page, t))) {
		TEST_ASSERT_KVM_EXIT_REASON(w->g->vcpu, KVM_EXIT_PAGE_TRACK);
		TEST_ASSERT_EQ(run->page_track.user_data, t->id);
		TEST_ASSERT_EQ(run->page_track.gpa, MODEL_GPA + w->pos);
		TEST_ASSERT_EQ(run->page_track.len, 0);
		TEST_ASSERT_EQ(run->page_track.flags & ~KVM_PAGE_TRACK_EVENT_GVA,
			       KVM_PAGE_TRACK_EVENT_UNEMULATED | KVM_PAGE_TRACK_EVENT_STEPPED);
		check_memory(m, w);

		reply = m->reply(data);
		if (reply == KVM_PAGE_TRACK_REPLY_REPLACE)
			reply = KVM_PAGE_TRACK_REPLY_ALLOW;
		m->replies[reply]++;
		w->skipped |= reply == KVM_PAGE_TRACK_REPLY_SKIP;
		tracker_reply(w->g, reply, NULL);
	}
}

/* Whoever has notify is told what is there then, to the end of the page. */
static void tell_step(struct model *m, const struct write *w)
{
	struct kvm_page_track_event want;
	int left = PAGE_SIZE - w->pos % PAGE_SIZE;
	struct model_slot *s = model_find_slot(m, w->page);
	uint8_t *mem = s->mem + w->pos - s->first * PAGE_SIZE;
	struct model_tracker *t;

	want = tracker_untracked_event(w->g, MODEL_VA + w->pos, MODEL_GPA + w->pos);
	want.phase = KVM_PAGE_TRACK_PHASE_AFTER;
	want.flags ^= KVM_PAGE_TRACK_EVENT_UNTRACKED ^ KVM_PAGE_TRACK_EVENT_STEPPED;
	memcpy(want.data, mem, left < sizeof(want.data) ? left : sizeof(want.data));

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->action[w->page] != TRACKER_NOTIFY)
			continue;
		assert_finished(t, want);
		m->after++;
		m->stepped++;
	}
}

void model_step(struct model *m, struct tiny_guest *g, int pos, uint32_t data)
{
	struct kvm_regs regs = { .rdi = MODEL_VA + pos, .rax = data };
	struct write w[2];
	int i, nr = split(w, g, pos, sizeof(data), 0, (uint8_t *)&data);
	bool steps = false;

	tg_start(g, TG_STORE4_MOVD, &regs);
	vcpu_run(g->vcpu);
	m->shadow_changed = m->shadowed;

	for (i = 0; i < nr; i++) {
		steps |= fault(m, &w[i], steps);
		ask_step(m, &w[i]);
	}
	tg_assert_ended(g);

	for (i = 0; i < nr; i++) {
		if (!w[i].skipped)
			store(m, &w[i]);
	}
	for (i = 0; i < nr; i++) {
		if (!w[i].skipped)
			tell_step(m, &w[i]);
		check_memory(m, &w[i]);
		check_ranges(m, w[i].page);
	}
	check_no_events(m);
}

void model_read(struct model *m, struct tiny_guest *g, int pos)
{
	struct model_slot *s = model_find_slot(m, pos / PAGE_SIZE);
	uint32_t want;

	memcpy(&want, s->copy + pos - s->first * PAGE_SIZE, sizeof(want));
	TG_ASSERT_LOAD(g, MODEL_VA + pos, want);
	m->shadow_changed = m->shadowed;
}
