/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking: what another kernel module may call.
 *
 * A tracker is told of accesses that the guest makes to chosen guest pages.
 * Documentation/virt/kvm/page-track.rst has the model, the locks and the limits.
 */
#ifndef _ASM_X86_KVM_PAGE_TRACK_H
#define _ASM_X86_KVM_PAGE_TRACK_H

#include <linux/atomic.h>
#include <linux/irq_work.h>
#include <linux/kvm_types.h>
#include <linux/llist.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

struct page_track_written;

/* The kind of access to a guest page that is tracked. */
enum kvm_page_track_mode {
	KVM_PAGE_TRACK_WRITE,
	KVM_PAGE_TRACK_MAX,
};

/*
 * The trackers of a VM, and how many of them other modules have registered.
 * Changed under kvm->slots_arch_lock, walked under it or kvm->srcu.
 */
struct kvm_page_track_notifier_head {
	struct hlist_head track_notifier_list;
	/* How often what they track has changed.  Never the same again: 64 bits. */
	atomic64_t generation;
	u64 last_id;
	unsigned int nr_external;
	bool no_external;
	/* Not visible yet: it counts what they track of its gfns below @new_end. */
	struct kvm_memory_slot *new_slot;
	gfn_t new_end;
	/* Tell what KVM has written, from wherever it has. */
	struct irq_work by_kvm_irq_work;
	struct work_struct by_kvm_work;
	/* Trackers that nobody is in any more, and who frees them. */
	struct llist_head to_free;
	struct work_struct free_work;
};

/* An access to a tracked gfn that is not done yet. */
struct kvm_page_track_access {
	enum kvm_page_track_mode mode;

	/* Where, in guest physical and, if @gva_valid, in linear addresses. */
	gpa_t gpa;
	gva_t gva;
	bool gva_valid;

	/* The CPU wanted to set an accessed or dirty bit in a guest page table. */
	bool page_walk;

	/*
	 * KVM cannot emulate it: its emulator has tried the instruction, or the
	 * CPU was delivering an event, whose frame is here.
	 */
	bool unemulated;

	/* The instruction has used a device or written elsewhere: nothing stops it. */
	bool too_late;

	/* At a fault: the host has the page, and can write it. */
	bool page_ready;

	/*
	 * The @bytes that the emulator will write, or NULL if it has not got
	 * that far.  A tracker may lead @data to other bytes, which must stay
	 * valid until the instruction ends.
	 */
	const u8 *data;
	int bytes;
};

/* What track_access wants.  KVM takes the last of what the trackers want. */
enum kvm_page_track_verdict {
	KVM_PAGE_TRACK_GO_ON,
	/* Call again when the data is known. */
	KVM_PAGE_TRACK_WANT_DATA,
	/* Do as if this was written; only if the data is known. */
	KVM_PAGE_TRACK_SKIP,
	/* Call again when the page is ready; only at a fault, if it is not. */
	KVM_PAGE_TRACK_WANT_PAGE,
	/* Try the instruction again, after the vCPU's pending requests. */
	KVM_PAGE_TRACK_STOP,
};

/*
 * A tracker.  Embed it, set the callbacks (each may be NULL) and register it.
 * Callbacks are called in the order of registration.
 */
struct kvm_page_track_notifier_node {
	/*
	 * Private to page tracking: the list of trackers, the gfns of this one,
	 * how it is freed.  Zeroed before the tracker is first registered.
	 */
	struct hlist_node node;
	u64 id;			/* rises in the order of registration */
	struct mutex range_lock;	/* one change of the following at a time */
	unsigned int nr_changes;	/* calls that have changed it so far */
	struct maple_tree ranges[KVM_PAGE_TRACK_MAX];
	struct xarray untracked[KVM_PAGE_TRACK_MAX];	/* gfns, out of these */
	struct xarray told[KVM_PAGE_TRACK_MAX];		/* out of these: collected once */
	struct page_track_written *written;	/* gfns of these, for track_by_kvm */
	struct kvm_page_track_notifier_head *head;	/* where it was in the list */
	struct rcu_head rcu;
	struct llist_node to_free;
	void (*free)(struct kvm_page_track_notifier_node *node);

	/*
	 * An access to a gfn that this tracker tracks is not done yet: the guest
	 * faulted, KVM's emulator has failed after that, or it is about to write.
	 * The last is left out if the fault was on the same bytes, the write is
	 * to one page and nobody wants the data.  Called again if the
	 * instruction is retried for whatever reason, and if the gfn was not
	 * mapped: once before that, when the host has the page, the result does
	 * not count and the tracker may give the gfn up, and once after it.
	 *
	 * @access: valid during the call
	 * @action: what the tracker gave when it added the gfn
	 *
	 * Returns an enum kvm_page_track_verdict, -EAGAIN for KVM_PAGE_TRACK_STOP
	 * without a call of the trackers behind this one, or an error that KVM_RUN
	 * ends with if this is a fault, and that else counts as KVM_PAGE_TRACK_STOP.
	 * If @access->too_late, that counts as KVM_PAGE_TRACK_GO_ON.
	 * Context: as track_write.
	 */
	int (*track_access)(struct kvm_vcpu *vcpu,
			    struct kvm_page_track_access *access, u8 action,
			    struct kvm_page_track_notifier_node *node);

	/*
	 * KVM emulated a guest write to a gfn that this tracker tracked before
	 * the write, or tracks now, and has committed it to guest memory.  Or, if
	 * this tracker has track_access, the CPU did it since another tracker
	 * wanted that: @new is what is there afterwards, up to 64 bytes, or none
	 * if they cannot be read at once.  Without track_access, nobody else has
	 * the CPU do that to the gfn, but for a step that is under way when this
	 * tracker adds it: a write of that one may be missed.
	 *
	 * @gpa:    guest physical address of the first byte written
	 * @gva:    its linear address
	 * @new:    the bytes written
	 * @bytes:  how many, 1 or more but for that; the write does not cross a page
	 * @action: what the tracker gave when it added the gfn
	 *
	 * Context: the vCPU's thread, in a kvm->srcu read section.  May sleep,
	 * may add and remove ranges, must not (un)register a tracker.
	 */
	void (*track_write)(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva,
			    const u8 *new, int bytes, u8 action,
			    struct kvm_page_track_notifier_node *node);

	/*
	 * KVM itself has written to a gfn that this tracker tracked: a clock, a VMCB, an
	 * Accessed bit and so on.  It is not known what.  Called some time after the
	 * write: by the vCPU in whose thread it was, before it enters the guest, but once
	 * an exit at most; by a work item, for what it writes behind that, on the way into
	 * the guest, and for what else KVM writes; or earlier, by any of these or whoever
	 * asks for events.  Several writes to the gfn before the call are one.  Without
	 * this callback, such writes are not told.
	 *
	 * @as_id:   the address space, 0 for the normal one, 1 for SMM
	 * @vcpu_id: of the vCPU in whose thread it was, or U32_MAX if in none's, or if
	 *           that is not known any more
	 * @action:  what the tracker gave when it added the gfn, or -ENOENT if it does not
	 *           track the gfn any more
	 *
	 * Returns whether that has been told.  If not, it is told again when somebody
	 * asks for it, or at the next such write.
	 * Context: process, in any thread, see above, in a kvm->srcu read section, one
	 * call at a time.  May sleep, may add and remove ranges, must not (un)register a
	 * tracker.
	 */
	bool (*track_by_kvm)(struct kvm *kvm, gfn_t gfn, int as_id, u32 vcpu_id, int action,
			     struct kvm_page_track_notifier_node *node);

	/*
	 * The vCPU is about to enter the guest, and somebody has made the request
	 * KVM_REQ_PAGE_TRACK of it.  vcpu->run is there for an exit.  Only trackers of
	 * userspace have this callback: the request is for them.
	 *
	 * Returns 0 if it may, or else a number for whoever serves the request.
	 * Context: as track_write.
	 */
	int (*track_enter)(struct kvm_vcpu *vcpu,
			   struct kvm_page_track_notifier_node *node);

	/*
	 * A slot was deleted or moved: what was the guest's memory at its gfns
	 * is not there any more.  The tracker's ranges stay, and track whatever
	 * slot has these gfns next.
	 *
	 * @as_id:    the slot's address space, 0 for the normal one, 1 for SMM
	 * @gfn:      the slot's first gfn, before the move
	 * @nr_pages: the slot's size, 1 or more
	 *
	 * Context: kvm->slots_lock held, in a kvm->srcu read section.  May
	 * sleep, may add and remove ranges, must not (un)register a tracker.
	 */
	void (*track_flush_slot)(struct kvm *kvm, int as_id, gfn_t gfn,
				 unsigned long nr_pages,
				 struct kvm_page_track_notifier_node *node);
};

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * Start to call the callbacks of @n, which must stay valid until it is
 * unregistered.  It tracks nothing yet.  A successful call holds a reference on
 * @kvm.
 *
 * Returns 0, -EINVAL if @n has track_enter, -ESRCH if @kvm is NULL or not of the calling
 * process, -EOPNOTSUPP if its memory is private or was to be encrypted, -EOVERFLOW if it has
 * 2^15 - 1 trackers already, or, with track_by_kvm only, -ENOMEM.
 * Context: process, may sleep; takes kvm->slots_arch_lock.
 */
int kvm_page_track_register_notifier(struct kvm *kvm,
				     struct kvm_page_track_notifier_node *n);

/*
 * Remove what @n tracks and stop calling its callbacks; none runs when this
 * returns.
 *
 * Context: process, may sleep; takes kvm->slots_arch_lock and kvm->mmu_lock.
 * Waits for all readers of kvm->srcu, e.g. for vCPUs that fault in guest memory, as
 * long as whoever serves a userfaultfd takes: hold no lock that a callback or
 * KVM_RUN may take, like the mmap_lock.  The callbacks are in the caller's module,
 * which may go next, so that somebody has to wait.
 */
void kvm_page_track_unregister_notifier(struct kvm *kvm,
					struct kvm_page_track_notifier_node *n);

/*
 * Track the gfns [@gfn, @gfn + @nr_pages) for @n, which is registered, in both
 * address spaces, whether a slot has them or not.  @n may track some already;
 * these get the new @action, which track_access is told and whose meaning is up
 * to @n.  When this returns 0, no vCPU has the access without a fault.  A call
 * that fails changes no counter and no range; a long one is undone then, and in the
 * meantime shows.
 *
 * Returns 0, -EINVAL if there is no such @mode, if @nr_pages is 0 or if the last
 * gfn is beyond guest physical addresses, -ESRCH if @n is not registered, e.g. any
 * more in a callback, -EINTR if the caller is killed, -ENOMEM, or -EIO for a bug of
 * KVM, which ends the VM.
 * Context: process, may sleep; waits for another call for @n, and takes
 * kvm->slots_arch_lock and kvm->mmu_lock, again and again if the range is long.
 */
int kvm_page_track_add_range(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			     gfn_t gfn, gfn_t nr_pages, enum kvm_page_track_mode mode,
			     u8 action);

/*
 * Stop tracking what @n does of the gfns [@gfn, @gfn + @nr_pages).  What other
 * trackers and the shadow MMU do stays tracked.  @n may still be told of a write
 * that was under way.  A call that fails with -EINTR or -ENOMEM may have removed
 * gfns, lower ones first; one for up to 2^10 gfns, or one that fails otherwise, has
 * changed nothing.
 *
 * Returns 0, -ENOENT if @n has no range there, or another error as above.
 * Context: as kvm_page_track_add_range().
 */
int kvm_page_track_remove_range(struct kvm *kvm,
				struct kvm_page_track_notifier_node *n, gfn_t gfn,
				gfn_t nr_pages, enum kvm_page_track_mode mode);

/*
 * The same for one page, at the cost of a bit, for a tracker that adds and removes single
 * pages all the time, with one @action.  Where the tracker has no range near, the first page
 * makes one of 2^15 gfns, in which only the pages that were added are tracked, and which
 * stays: hence only a page that a slot has is added.  To remove a page at the cost of a bit
 * allows huge ones again, but does not zap what is in the way of one: the next page to be
 * added may be in it.
 *
 * Return as kvm_page_track_add_range() and kvm_page_track_remove_range() do, and -ENOENT if
 * no slot has what is to be added, or @n does not track what is to be removed.  One that fails
 * has changed nothing.
 * Context: as kvm_page_track_add_range().
 */
int kvm_page_track_add_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			    gfn_t gfn, enum kvm_page_track_mode mode, u8 action);
int kvm_page_track_remove_page(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			       gfn_t gfn, enum kvm_page_track_mode mode);

/*
 * Find the first gfn, from *@gfn on, that @n tracks.  Store it in *@gfn, and in
 * *@nr_pages how many gfns in a row are tracked from there with one *@action.
 *
 * Returns 0, or with nothing stored -EINVAL if there is no such @mode, -ESRCH if @n
 * is not registered, -ENOENT if nothing is tracked from *@gfn on, or -EINTR if the caller is
 * killed.
 * Context: process, may sleep; takes kvm->slots_arch_lock.
 */
int kvm_page_track_next_range(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
			      enum kvm_page_track_mode mode, gfn_t *gfn,
			      gfn_t *nr_pages, u8 *action);

/*
 * Let @kvm, whose memory is going to be encrypted, never have trackers of others than
 * KVM.
 *
 * Returns 0, or -EBUSY if it has some.
 * Context: process, may sleep; takes kvm->slots_arch_lock.
 */
int kvm_page_track_forbid_external(struct kvm *kvm);
#else
static inline int kvm_page_track_forbid_external(struct kvm *kvm)
{
	return 0;
}
#endif /* CONFIG_KVM_EXTERNAL_WRITE_TRACKING */

#endif /* _ASM_X86_KVM_PAGE_TRACK_H */
