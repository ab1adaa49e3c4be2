/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit suites of page tracking share: a made-up VM, and failing
 * allocations.
 *
 * The VM has memslots, which are created, moved and deleted by KVM's own code,
 * but neither an owner nor a vCPU that could run.
 */
#ifndef __KVM_X86_PAGE_TRACK_KUNIT_H
#define __KVM_X86_PAGE_TRACK_KUNIT_H

#include <kunit/test.h>
#include <linux/kvm_host.h>
#include <linux/prandom.h>

#include "mmu.h"
#include "mmu/page_track.h"
#include "mmu/page_track_access.h"
#include "mmu/page_track_notifier.h"
#include "mmu/page_track_range.h"

#define PTK_BLOCK	((gfn_t)KVM_PAGE_TRACK_BLOCK_GFNS)

/* What most tests have one slot for: an odd base, two blocks and a bit. */
#define PTK_BASE	((gfn_t)0x10003)
#define PTK_NPAGES	(2 * KVM_PAGE_TRACK_BLOCK_GFNS + 5)
#define PTK_DIRECTORY	(3 * sizeof(unsigned short *))

/* Slots for ptk_set_slot(), of the normal address space and of SMM. */
enum {
	PTK_SLOT,
	PTK_SLOT2,
	PTK_INTERNAL_SLOT = KVM_USER_MEM_SLOTS,
	PTK_SMM_SLOT = 1 << 16,
};

struct ptk_vm {
	struct kvm *kvm;

	/* For blocks that layer 1 needs under mmu_lock. */
	struct kvm_mmu_memory_cache blocks;

	/* What a test keeps for its callbacks. */
	void *data;
};

/*
 * Of all suites.  The exit takes down what a failed assertion has left, and proves that
 * counters and bytes are gone.
 */
int ptk_init(struct kunit *test);
void ptk_exit(struct kunit *test);

/*
 * Have tests that skipped themselves tried again when the suite next runs,
 * through debugfs.  By then, allocations may have been made to fail.
 */
void ptk_forget_skips(struct kunit_suite *suite);

static inline struct ptk_vm *ptk_vm(struct kunit *test)
{
	return test->priv;
}

static inline struct kvm *ptk_kvm(struct kunit *test)
{
	return ptk_vm(test)->kvm;
}

/* Create, move, delete (@npages of 0) a slot or change its flags. */
int ptk_set_slot(struct kunit *test, u32 slot, gfn_t base, u64 npages, u32 flags);

/* Create the slot of PTK_BASE and PTK_NPAGES, or another one. */
struct kvm_memory_slot *ptk_create_slot_at(struct kunit *test, u32 id, gfn_t base,
					   u64 npages);
struct kvm_memory_slot *ptk_create_slot(struct kunit *test);
struct kvm_memory_slot *ptk_get_slot(struct kunit *test, u32 id);

/* kvm_page_track_enable() for writes, and a slot that was created after it. */
int ptk_enable(struct kunit *test);
struct kvm_memory_slot *ptk_create_tracked_slot(struct kunit *test);

/* Layer 1 calls for writes, in the context that they want. */
int ptk_add(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn);
int ptk_remove(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn);
bool ptk_is_active(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn);

/* Add @n times.  Return how often that was refused. */
int ptk_add_many(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn, int n);
/* Remove until @gfn is not tracked.  Return how many counts it had. */
int ptk_drain(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn);

/* Trackers, also before they are registered and after that. */
bool ptk_any_tracker(struct kunit *test);
int ptk_register(struct kunit *test, struct kvm_page_track_notifier_node *n);
void ptk_unregister(struct kunit *test, struct kvm_page_track_notifier_node *n);

/* A registered tracker that does nothing. */
struct kvm_page_track_notifier_node *ptk_create_tracker(struct kunit *test);

/* Have a new slot be counted in the smallest pieces, as for that many trackers. */
void ptk_count_in_pieces(struct kunit *test);

/* Layer 2 calls for writes. */
int ptk_add_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		  gfn_t gfn, gfn_t nr_pages);
int ptk_remove_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		     gfn_t gfn, gfn_t nr_pages);
int ptk_next_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		   gfn_t *gfn, gfn_t *nr_pages);

int ptk_untrack_page(struct kunit *test, struct kvm_page_track_notifier_node *n, gfn_t gfn,
		     u8 action);

/* Is [@gfn, @gfn + @nr) what @n tracks first, from @from on?  Does it track any? */
void ptk_expect_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		      gfn_t from, gfn_t gfn, gfn_t nr);
void ptk_expect_no_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
			 gfn_t from);

/* Good for telling trackers of a write, not initialized otherwise. */
struct kvm_vcpu *ptk_create_vcpu(struct kunit *test);

/* What KVM does before it emulates a write of @vcpu, and after. */
int ptk_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void **val, int bytes);
void ptk_decide_write(struct kvm_vcpu *vcpu, gpa_t gpa);
void ptk_after_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes);

/* Tell trackers of a write as KVM does after it has emulated one. */
void ptk_tell_write(struct kunit *test, gpa_t gpa, const u8 *new, int bytes);

/* Statistics of the VM. */
s64 ptk_pages(struct kunit *test);
s64 ptk_bytes(struct kunit *test);

/* How often large pages are forbidden at @gfn, of level 2M and of all. */
int ptk_disallow_lpage(const struct kvm_memory_slot *slot, gfn_t gfn, int level);
int ptk_disallow_lpages(const struct kvm_memory_slot *slot, gfn_t gfn);

/* Skip the test if the VM has no SMM. */
void ptk_require_smm(struct kunit *test);

/* Skip the test, with a reason, if allocations cannot be made to fail. */
void ptk_require_faults(struct kunit *test);

/*
 * Have the first allocation of @call fail, then, in another call, the second,
 * and so on until none is left.  Call @check after each to look at what it
 * returned and to undo it.  Expect @allocs calls to fail, one for each that
 * @call cannot do without.
 */
void ptk_fail_each_alloc(struct kunit *test, int (*call)(struct kunit *test),
			 void (*check)(struct kunit *test, int r), int allocs);

/* Have the first allocation of @call fail.  Return what that call returned. */
int ptk_fail_first_alloc(struct kunit *test, int (*call)(struct kunit *test));

/* Have the next one of another thread fail. */
void ptk_fail_next_alloc(struct task_struct *task);

/* Start the random numbers of a test, and tell how to repeat it. */
void ptk_seed(struct kunit *test, struct rnd_state *rnd);

#endif /* __KVM_X86_PAGE_TRACK_KUNIT_H */
