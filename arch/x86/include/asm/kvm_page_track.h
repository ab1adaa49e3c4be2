/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tracking: what another kernel module may call.
 *
 * A tracker is told of accesses that the guest makes to chosen guest pages.
 * Documentation/virt/kvm/page-track.rst has the model, the locks and the limits.
 */
#ifndef _ASM_X86_KVM_PAGE_TRACK_H
#define _ASM_X86_KVM_PAGE_TRACK_H

#include <linux/kvm_types.h>
#include <linux/types.h>

/* The kind of access to a guest page that is tracked. */
enum kvm_page_track_mode {
	KVM_PAGE_TRACK_WRITE,
	KVM_PAGE_TRACK_MAX,
};

/*
 * The trackers of a VM, and how many of them other modules have registered.
 * Changed under kvm->mmu_lock, walked under kvm->srcu.
 */
struct kvm_page_track_notifier_head {
	struct hlist_head track_notifier_list;
	unsigned int nr_external;
};

/*
 * A tracker.  Embed it, set the callbacks (each may be NULL) and register it.
 * Callbacks are called in the order of registration.
 */
struct kvm_page_track_notifier_node {
	/* Private to page tracking. */
	struct hlist_node node;

	/*
	 * KVM emulated a guest write and has committed it to guest memory.
	 * The page need not be one that this tracker added.
	 *
	 * @gpa:   guest physical address of the first byte written
	 * @new:   the bytes written
	 * @bytes: how many, 1 or more; the write does not cross a page
	 *
	 * Context: the vCPU's thread, in a kvm->srcu read section.  May sleep,
	 * may add and remove pages, must not (un)register a tracker.
	 */
	void (*track_write)(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new,
			    int bytes, struct kvm_page_track_notifier_node *node);

	/*
	 * A slot was deleted.  Its gfns are not tracked any more, whatever was
	 * added; do not remove them.  Pages that other modules add
	 * are in slots of the normal address space only.
	 *
	 * @as_id:    the slot's address space, 0 for the normal one, 1 for SMM
	 * @gfn:      the slot's first gfn
	 * @nr_pages: the slot's size, 1 or more
	 *
	 * Context: kvm->slots_lock held, in a kvm->srcu read section.  May
	 * sleep, must not (un)register a tracker.
	 */
	void (*track_flush_slot)(struct kvm *kvm, int as_id, gfn_t gfn,
				 unsigned long nr_pages,
				 struct kvm_page_track_notifier_node *node);
};

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
/*
 * Start to call the callbacks of @n, which must stay valid until it is
 * unregistered.  A successful call holds a reference on @kvm.  Slots of @kvm
 * cannot be moved as long as such a tracker is registered.
 *
 * Returns 0, -ESRCH if @kvm is NULL or not of the calling process, or -ENOMEM.
 * Context: process, may sleep; takes kvm->slots_arch_lock and kvm->mmu_lock.
 */
int kvm_page_track_register_notifier(struct kvm *kvm,
				     struct kvm_page_track_notifier_node *n);

/*
 * Stop to call the callbacks of @n; none runs when this returns.  Pages that
 * the tracker has added must have been removed before.
 *
 * Context: process, may sleep; takes kvm->mmu_lock.  Waits for all readers of
 * kvm->srcu, e.g. for vCPUs that fault in guest memory: hold no lock that a
 * callback or KVM_RUN may take, like the mmap_lock.
 */
void kvm_page_track_unregister_notifier(struct kvm *kvm,
					struct kvm_page_track_notifier_node *n);

/*
 * Track @gfn, which a slot of the normal address space must contain, and have
 * every emulated write to it told to the trackers.  A gfn may be added many
 * times; each needs a remove.  A call that fails changes nothing.
 *
 * Returns 0, -EINVAL if no slot has @gfn or if @mode is not in use in @kvm, which
 * a registered tracker ensures, -EOVERFLOW if @gfn has too many users already,
 * 2^16 - 1 - 2^14, or -ENOMEM.
 * Context: process, may sleep; takes kvm->mmu_lock.
 */
int kvm_page_track_add_page(struct kvm *kvm, gfn_t gfn,
			    enum kvm_page_track_mode mode);

/*
 * Undo one kvm_page_track_add_page() of @gfn.  A call that fails changes
 * nothing.
 *
 * Returns 0, -EINVAL as above, or -ENOENT if @gfn is not tracked.
 * Context: as kvm_page_track_add_page().
 */
int kvm_page_track_remove_page(struct kvm *kvm, gfn_t gfn,
			       enum kvm_page_track_mode mode);
#endif /* CONFIG_KVM_EXTERNAL_WRITE_TRACKING */

#endif /* _ASM_X86_KVM_PAGE_TRACK_H */
