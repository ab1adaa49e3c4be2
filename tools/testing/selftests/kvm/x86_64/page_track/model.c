// SPDX-License-Identifier: GPL-2.0-only
/* A model of trackers of userspace, see model.h. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "attach.h"
#include "model.h"
#include "stats.h"

struct model_slot *model_find_slot(struct model *m, int page)
{
	struct model_slot *s;

	for (s = m->slots; s < m->slots + MODEL_SLOTS; s++) {
		if (page >= s->first && page < s->first + s->nr)
			return s;
	}
	return NULL;
}

/* Checks */

void model_check_page(struct model_slot *s, int page)
{
	uint8_t *mem = s->mem + page * PAGE_SIZE, *copy = s->copy + page * PAGE_SIZE;
	int i;

	if (tg_is_same_page(mem, copy))
		return;

	for (i = 0; mem[i] == copy[i]; i++)
		;
	TEST_FAIL("Byte 0x%x of page %d: wanted 0x%x, got 0x%x", i, s->first + page,
		  copy[i], mem[i]);
}

void model_check_memory(struct model *m)
{
	struct model_slot *s;
	int page;

	for (s = m->slots; s < m->slots + MODEL_SLOTS; s++) {
		for (page = 0; page < MODEL_SLOT_PAGES; page++)
			model_check_page(s, page);
	}
}

static bool is_tracked(struct model *m, int page)
{
	struct model_tracker *t;

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->action[page] != MODEL_NONE)
			return true;
	}
	return false;
}

/* Counters are in slots.  Those of the shadow MMU are of the guest's page tables. */
void model_check_counters(struct model *m)
{
	uint64_t want = 0, got = tg_stat(m->vcpus, "page_track_pages");
	int page;

	for (page = 0; page < MODEL_PAGES; page++)
		want += model_find_slot(m, page) && is_tracked(m, page);

	if (m->shadow_changed) {
		TEST_ASSERT(got >= want && got - want <= m->max_shadow,
			    "page_track_pages: wanted %lu and up to %lu more, got %lu",
			    want, m->max_shadow, got);
		m->nr_shadow = got - want;
		m->shadow_changed = false;
	}
	TEST_ASSERT(got == want + m->nr_shadow, "page_track_pages: wanted %lu, got %lu",
		    want + m->nr_shadow, got);
}

int model_check_next(struct model_tracker *t, int page)
{
	struct kvm_page_track_range range;
	int r = tracker_next(&t->t, page ? model_gpa(page) : 0, &range), end;

	while (page < MODEL_PAGES && t->action[page] == MODEL_NONE)
		page++;
	if (page == MODEL_PAGES) {
		TEST_ASSERT(r == ENOENT, "Wanted no range, got 0x%llx, 0x%llx, errno %d",
			    range.gpa, range.size, r);
		return MODEL_PAGES + 1;
	}

	for (end = page + 1; end < MODEL_PAGES && t->action[end] == t->action[page]; end++)
		;
	TEST_ASSERT(!r && range.gpa == model_gpa(page) && range.action == t->action[page] &&
		    range.size == (end - page) * PAGE_SIZE,
		    "Wanted %d pages at 0x%lx, action %d, got 0x%llx bytes at 0x%llx, %u, errno %d",
		    end - page, model_gpa(page), t->action[page], range.size, range.gpa,
		    range.action, r);
	return end;
}

void model_check_list(struct model_tracker *t)
{
	int page = 0;

	while (page <= MODEL_PAGES)
		page = model_check_next(t, page);
}

/* Trackers */

static void set_action(struct model_tracker *t, int page, int nr, int action)
{
	for (; nr--; page++) {
		t->action[page] = action;
		t->untracked[page] = MODEL_NONE;
		t->told[page] = false;
	}
}

void model_untrack(struct model_tracker *t, int page)
{
	t->untracked[page] = t->action[page];
	t->action[page] = MODEL_NONE;
}

void model_collect(struct model_tracker *t, int page, int nr, bool rearm)
{
	uint64_t want = 0, bitmap = ~0ul;
	int i, r;

	for (i = page; i < page + nr; i++) {
		if (t->untracked[i] == MODEL_NONE || (!rearm && t->told[i]))
			continue;
		want |= BIT_ULL(i - page);
		if (rearm)
			set_action(t, i, 1, t->untracked[i]);
		else
			t->told[i] = true;
	}

	r = tracker_collect(&t->t, model_gpa(page), nr * PAGE_SIZE,
			    rearm ? KVM_PAGE_TRACK_COLLECT_REARM : 0, &bitmap);
	TEST_ASSERT(!r && bitmap == want, "Collecting: wanted 0x%lx, got 0x%lx, errno %d", want,
		    bitmap, r);
	model_check_list(t);
}

void model_create_tracker(struct model *m, struct model_tracker *t, uint32_t nr_events,
			  uint32_t flags)
{
	struct kvm_create_page_tracker create = {
		.vm_fd = m->vm->fd,
		.nr_events = nr_events,
		.flags = flags,
	};
	int fd;

	t->id = ++m->last_id;
	t->waits = flags & KVM_PAGE_TRACKER_WAIT;
	if (t->waits) {
		fd = try_attach(&create);
		TEST_ASSERT(fd >= 0, "Attaching: errno %d", -fd);
		tracker_map(&t->t, fd, nr_events);
	} else {
		tracker_create(m->vm, &t->t, nr_events, flags, t->id);
	}
	t->exists = true;
	model_check_list(t);
}

void model_close_tracker(struct model_tracker *t)
{
	tracker_close(&t->t);
	t->exists = false;
	set_action(t, 0, MODEL_PAGES, MODEL_NONE);
}

void model_add(struct model_tracker *t, int page, int nr, int action)
{
	tracker_add(&t->t, model_gpa(page), nr * PAGE_SIZE, action);
	set_action(t, page, nr, action);
	model_check_list(t);
}

void model_remove(struct model_tracker *t, int page, int nr)
{
	int i, r, want = ENOENT;

	for (i = page; i < page + nr; i++) {
		if (t->action[i] != MODEL_NONE || t->untracked[i] != MODEL_NONE)
			want = 0;
	}

	r = tracker_ioctl(&t->t, KVM_PAGE_TRACK_REMOVE_RANGE, model_gpa(page),
			  nr * PAGE_SIZE, 0);
	TEST_ASSERT(r == want, "Removal: wanted errno %d, got %d", want, r);
	set_action(t, page, nr, MODEL_NONE);
	model_check_list(t);
}

/* Slots */

static bool overlaps(struct model *m, struct model_slot *s, int first, int nr)
{
	struct model_slot *other;

	for (other = m->slots; other < m->slots + MODEL_SLOTS; other++) {
		if (other != s && nr && other->nr &&
		    first < other->first + other->nr && other->first < first + nr)
			return true;
	}
	return false;
}

void model_set_slot(struct model *m, struct model_slot *s, int first, int nr,
		    uint32_t flags)
{
	int want = overlaps(m, s, first, nr) ? EEXIST : 0, r = 0;

	if (__vm_set_user_memory_region(m->vm, TG_NR_SLOTS + (s - m->slots), flags,
					model_gpa(first), nr * PAGE_SIZE, s->mem))
		r = errno;
	TEST_ASSERT(r == want, "Slot: wanted errno %d, got %d", want, r);
	if (r)
		return;

	/* All shadow pages are obsolete, and go. */
	if (s->nr && (!nr || first != s->first))
		m->nr_shadow = 0;
	if (!nr || !s->nr || !(flags & KVM_MEM_LOG_DIRTY_PAGES))
		s->dirty = 0;
	s->first = first;
	s->nr = nr;
	s->flags = flags;
}

/* A read may make a page dirty, too. */
void model_read_log(struct model *m, struct model_slot *s)
{
	uint64_t log = 0;

	kvm_vm_get_dirty_log(m->vm, TG_NR_SLOTS + (s - m->slots), &log);
	TEST_ASSERT(!(s->dirty & ~log), "Dirty log: wanted 0x%lx, got 0x%lx", s->dirty,
		    log);
	s->dirty = 0;
}

/* The model as a whole */

void model_init(struct model *m, const struct tiny_guest *g)
{
	const size_t size = MODEL_SLOT_PAGES * PAGE_SIZE;
	struct model_tracker *t;
	struct model_slot *s;
	int i;

	memset(m, 0, sizeof(*m));
	m->vm = g->vm;
	m->shadowed = tg_shadowed();
	m->shadow_changed = m->shadowed;
	m->vcpus[0] = *g;

	for (i = 0; i < MODEL_PAGES; i++)
		tg_map(m->vcpus, MODEL_VA + i * PAGE_SIZE, model_gpa(i));
	for (i = 1; i < MODEL_VCPUS; i++)
		tg_add_vcpu(m->vcpus, &m->vcpus[i], i);

	for (s = m->slots; s < m->slots + MODEL_SLOTS; s++) {
		s->mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(s->mem != MAP_FAILED, "mmap() failed, errno %d", errno);
		s->copy = calloc(1, size);
		TEST_ASSERT(s->copy, "no memory");
	}

	/* Have directories, and the block that the shadow MMU needs. */
	tg_flush(m->vcpus);
	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++)
		set_action(t, 0, MODEL_PAGES, MODEL_NONE);
	t = m->trackers;
	model_create_tracker(m, t, KVM_PAGE_TRACK_MIN_EVENTS, 0);
	model_add(t, 0, 1, TRACKER_NOTIFY);
	model_close_tracker(t);
	m->max_shadow = tg_count_upper(m->vcpus);
	m->bytes = tg_stat(m->vcpus, "page_track_bytes");
}

void model_free(struct model *m)
{
	struct model_tracker *t;
	struct model_slot *s;

	for (t = m->trackers; t < m->trackers + MODEL_TRACKERS; t++) {
		if (t->exists)
			model_close_tracker(t);
	}
	model_check_counters(m);

	for (s = m->slots; s < m->slots + MODEL_SLOTS; s++) {
		if (s->nr)
			model_set_slot(m, s, s->first, 0, 0);
	}
	model_check_counters(m);
	model_check_memory(m);
	TG_ASSERT_STAT(m->vcpus, "page_track_bytes", m->bytes);

	for (s = m->slots; s < m->slots + MODEL_SLOTS; s++) {
		TEST_ASSERT(!munmap(s->mem, MODEL_SLOT_PAGES * PAGE_SIZE), "munmap() failed");
		free(s->copy);
	}
}
