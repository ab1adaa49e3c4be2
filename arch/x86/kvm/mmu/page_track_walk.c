// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 1: counting ranges.
 *
 * A walk counts ranges of slots under one hold of kvm->mmu_lock.  It looks for runs
 * of gfns that became tracked, or untracked, and touches the SPTEs of those alone,
 * a run at once, or short ones of 64 gfns at once.  TLBs are flushed at the end, or
 * before the lock is dropped for whoever waits: a count that others can see is
 * enforced.  Which gfns of which slots are to be counted is up to the caller.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/kvm_host.h>
#include <linux/lockdep.h>
#include <linux/math.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "mmutrace.h"
#include "page_track.h"
#include "page_track_walk.h"

/*
 * Forbid large pages for [@gfn, @end) of @slot, or, if @count is -1, not any more.
 * Returns whether nothing forbids one somewhere now, but that @slot may have none
 * there: the other address space can.
 */
static bool update_lpages(struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end, int count)
{
	struct kvm_lpage_info *linfo;
	bool any_allowed = false;
	gfn_t start, next;
	int level;

	for (level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		for (start = gfn; start < end; start = next) {
			next = gfn_round_for_level(start, level) + KVM_PAGES_PER_HPAGE(level);
			next = min(next, end);
			linfo = &slot->arch.lpage_info[level - PG_LEVEL_2M]
				[gfn_to_index(start, slot->base_gfn, level)];
			linfo->disallow_lpage += count * (int)(next - start);
			any_allowed |= !(linfo->disallow_lpage & ~KVM_LPAGE_UNALIGNED_FLAG);
		}
	}

	return any_allowed;
}

/* Write-protect what protect() has put off. */
static void protect_word(struct kvm_page_track_walk *walk)
{
	if (!walk->mask)
		return;

	walk->flush |= kvm_mmu_slot_masked_write_protect(walk->kvm, walk->word_slot,
							 walk->word, walk->mask);
	walk->mask = 0;
}

/*
 * Write-protect [@gfn, @end) of @slot.  Put it off if more gfns of the same 64 may follow:
 * to find the SPTEs of a page costs more than all else.
 */
static void protect(struct kvm_page_track_walk *walk, struct kvm_memory_slot *slot,
		    gfn_t gfn, gfn_t end)
{
	gfn_t word = round_down(gfn, (gfn_t)BITS_PER_LONG);

	if (walk->word_slot != slot || walk->word != word)
		protect_word(walk);

	if (end - word > BITS_PER_LONG) {
		walk->flush |= kvm_mmu_slot_range_write_protect(walk->kvm, slot, gfn, end);
		return;
	}

	walk->word_slot = slot;
	walk->word = word;
	walk->mask |= GENMASK(end - 1 - word, gfn - word);
}

/* [@gfn, @end) of a block, which may be empty, became tracked, or untracked. */
static void change_tracked(struct kvm_page_track_walk *walk, struct kvm_memory_slot *slot,
			   gfn_t gfn, gfn_t end, int count)
{
	struct kvm *kvm = walk->kvm;
	bool any_allowed;

	if (gfn == end)
		return;

	kvm_page_track_add_nr(kvm, slot, gfn, walk->mode, count * (long)(end - gfn));
	any_allowed = update_lpages(slot, gfn, end, count);

	if (walk->unmapped)
		return;

	if (count > 0)
		protect(walk, slot, gfn, end);
	else if (any_allowed)
		walk->flush = kvm_mmu_zap_collapsible_range(kvm, gfn, end, walk->flush);
}

/* Count the gfns [@gfn, @end) of a block, one at least. */
static int count_part(struct kvm_page_track_walk *walk, struct kvm_memory_slot *slot,
		      gfn_t gfn, gfn_t end, int count)
{
	int r = 0, edge = count > 0;
	/* A run of gfns that become tracked, or untracked, begins here. */
	gfn_t run = gfn;

	for (; gfn < end; gfn++) {
		r = update_gfn_track(slot, gfn, walk->mode, count);
		if (KVM_BUG_ON(r < 0, walk->kvm))
			break;

		if (count > 0)
			trace_kvm_page_track_add(slot->as_id, gfn, walk->mode, r);
		else
			trace_kvm_page_track_remove(slot->as_id, gfn, walk->mode, r);

		if (r == edge)
			continue;

		change_tracked(walk, slot, run, gfn, count);
		run = gfn + 1;
	}

	change_tracked(walk, slot, run, gfn, count);
	return r < 0 ? -EIO : 0;
}

static void flush_walk(struct kvm_page_track_walk *walk)
{
	protect_word(walk);
	if (walk->flush)
		kvm_flush_remote_tlbs(walk->kvm);
	walk->flush = false;
}

static void break_walk(struct kvm_page_track_walk *walk)
{
	struct kvm *kvm = walk->kvm;

	if (need_resched() || rwlock_needbreak(&kvm->mmu_lock)) {
		/* Before anybody else relies on what has become tracked. */
		flush_walk(walk);
		cond_resched_rwlock_write(&kvm->mmu_lock);
	}
}

static int count_range(struct kvm_page_track_walk *walk, struct kvm_memory_slot *slot,
		       gfn_t gfn, gfn_t end, int count)
{
	gfn_t next;
	int r;

	lockdep_assert_held_write(&walk->kvm->mmu_lock);
	lockdep_assert_once(lockdep_is_held(&walk->kvm->slots_lock) ||
			    srcu_read_lock_held(&walk->kvm->srcu));

	for (;; gfn = next) {
		/* For nothing as well: there may be many calls. */
		break_walk(walk);
		if (gfn >= end)
			return 0;

		next = gfn + KVM_PAGE_TRACK_BLOCK_GFNS -
		       (gfn - slot->base_gfn) % KVM_PAGE_TRACK_BLOCK_GFNS;
		next = min(next, end);
		r = count_part(walk, slot, gfn, next, count);
		if (r)
			return r;
	}
}

void kvm_page_track_begin_walk(struct kvm_page_track_walk *walk)
	__acquires(&walk->kvm->mmu_lock)
{
	write_lock(&walk->kvm->mmu_lock);
}

void kvm_page_track_end_walk(struct kvm_page_track_walk *walk)
	__releases(&walk->kvm->mmu_lock)
{
	flush_walk(walk);
	write_unlock(&walk->kvm->mmu_lock);
}

int __kvm_slot_page_track_add_range(struct kvm_page_track_walk *walk,
				    struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end)
{
	return count_range(walk, slot, gfn, end, 1);
}

int __kvm_slot_page_track_remove_range(struct kvm_page_track_walk *walk,
				       struct kvm_memory_slot *slot, gfn_t gfn, gfn_t end)
{
	return count_range(walk, slot, gfn, end, -1);
}
