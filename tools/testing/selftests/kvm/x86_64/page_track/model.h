/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of trackers of userspace: an array of what each has of each page, where each
 * slot is, and a copy of its memory.  Each call does something to the VM and to the
 * model, and ends the test if what comes of it differs: an errno, an event, a list of
 * ranges, a byte.
 */
#ifndef SELFTEST_KVM_PAGE_TRACK_MODEL_H
#define SELFTEST_KVM_PAGE_TRACK_MODEL_H

#include "tracker.h"

/* The pages of the model, on both sides of where a huge page could begin. */
#define MODEL_PAGES		64
#define MODEL_GPA		(0x10000000ul - MODEL_PAGES / 2 * PAGE_SIZE)
#define MODEL_VA		0x40000000ul
#define MODEL_SLOTS		5
#define MODEL_SLOT_PAGES	16
#define MODEL_TRACKERS		4
#define MODEL_VCPUS		2
#define MODEL_NONE		-1	/* the action for a page that is not tracked */

struct model_slot {
	uint8_t *mem;		/* what the guest has there */
	uint8_t *copy;		/* what it has to have */
	int first, nr;		/* pages; nr is 0 if the slot does not exist */
	uint32_t flags;
	uint64_t dirty;		/* pages written since the log was read, a bit each */
};

struct model_tracker {
	struct tracker t;
	uint64_t id;		/* grows with each that is created */
	bool exists;
	bool waits;		/* attached: no vCPU leaves KVM_RUN for it */
	int action[MODEL_PAGES];
	/* The action of a page that is untracked, and whether it was collected as such. */
	int untracked[MODEL_PAGES];
	bool told[MODEL_PAGES];
};

struct model {
	struct kvm_vm *vm;
	struct tiny_guest vcpus[MODEL_VCPUS];
	struct model_slot slots[MODEL_SLOTS];
	struct model_tracker trackers[MODEL_TRACKERS];
	uint64_t last_id;
	/* Returns the reply to a question, and stores 16 bytes for it. */
	uint8_t (*reply)(uint8_t *data);
	bool shadowed;
	uint64_t nr_shadow;	/* pages that the shadow MMU tracks: now, ... */
	uint64_t max_shadow;	/* ... and at most */
	bool shadow_changed;	/* since nr_shadow was read */
	uint64_t bytes;		/* page_track_bytes without trackers and slots */

	/* How many events there were: of which phase, of the action once, of steps. */
	uint64_t before, after, after_once, stepped;
	uint64_t replies[KVM_PAGE_TRACK_REPLY_REPLACE + 1];
};

/* Without trackers and slots, @g becomes the first vCPU.  model_free() checks that. */
void model_init(struct model *m, const struct tiny_guest *g);
void model_free(struct model *m);

static inline uint64_t model_gpa(int page)
{
	return MODEL_GPA + (uint64_t)page * PAGE_SIZE;
}

struct model_slot *model_find_slot(struct model *m, int page);

/* Create, move, delete (@nr is 0) or change.  It fails if there is another slot. */
void model_set_slot(struct model *m, struct model_slot *s, int first, int nr,
		    uint32_t flags);
void model_read_log(struct model *m, struct model_slot *s);

/* With KVM_PAGE_TRACKER_WAIT, it is attached, and must not have exit: nobody replies. */
void model_create_tracker(struct model *m, struct model_tracker *t, uint32_t nr_events,
			  uint32_t flags);
void model_close_tracker(struct model_tracker *t);
void model_add(struct model_tracker *t, int page, int nr, int action);
/* It fails if the tracker has none of the pages, be they untracked or not. */
void model_remove(struct model_tracker *t, int page, int nr);
/* The tracker has given up a page, as an event has told. */
void model_untrack(struct model_tracker *t, int page);
void model_collect(struct model_tracker *t, int page, int nr, bool rearm);

/*
 * Have @g store @len bytes of @data, 1 to 16, the second half of 16 as the first, and
 * reply to each question.
 */
void model_write(struct model *m, struct tiny_guest *g, int pos, int len, uint64_t data);
/*
 * Have @g store four bytes by an instruction that KVM cannot emulate.  Each tracker has
 * KVM_PAGE_TRACKER_STEP, and no page has more than two with exit.
 */
void model_step(struct model *m, struct tiny_guest *g, int pos, uint32_t data);
/* Have @g load four bytes.  Positions are in bytes, from MODEL_VA and MODEL_GPA on. */
void model_read(struct model *m, struct tiny_guest *g, int pos);

/*
 * The first range from @page on, for page 0 from gpa 0 on.  Returns the page behind
 * it, or more than MODEL_PAGES if there is none.
 */
int model_check_next(struct model_tracker *t, int page);
void model_check_list(struct model_tracker *t);
/* How many pages are tracked in all. */
void model_check_counters(struct model *m);
/* A page of a slot, or all memory. */
void model_check_page(struct model_slot *s, int page);
void model_check_memory(struct model *m);

#endif /* SELFTEST_KVM_PAGE_TRACK_MODEL_H */
