// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: trackers of others than KVM come and go.
 *
 * Whose they are does not matter here.  A tracker goes in this order: what it tracks,
 * so that no vCPU faults for it any more; its place in the list, so that none finds
 * it; then, after a grace period of kvm->srcu, what it has allocated.
 *
 * Bitmaps may be many, 32 MiB for each set and TiB, so that process context frees them:
 * who unregisters, or, if nobody is to wait for readers, a work item of the VM's, which a
 * callback of kvm->srcu queues.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/llist.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "page_track_notifier.h"
#include "page_track_range.h"
#include "page_track_untracked.h"
#include "page_track_written.h"

int kvm_page_track_forbid_external(struct kvm *kvm)
{
	guard(mutex)(&kvm->slots_arch_lock);

	if (kvm_page_track_has_external(kvm))
		return -EBUSY;

	WRITE_ONCE(kvm->arch.track_notifier_head.no_external, true);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_page_track_forbid_external);

struct kvm_page_track_notifier_node *kvm_page_track_find_notifier(struct kvm *kvm, u64 id)
{
	struct kvm_page_track_notifier_node *n;

	kvm_page_track_for_each_notifier(kvm, n) {
		if (n->id == id)
			break;
	}

	return n;
}

int __kvm_page_track_register_notifier(struct kvm *kvm,
				       struct kvm_page_track_notifier_node *n)
{
	guard(mutex)(&kvm->slots_arch_lock);

	if (!kvm_page_track_may_have_external(kvm))
		return -EOPNOTSUPP;

	if (kvm->arch.track_notifier_head.nr_external >= KVM_PAGE_TRACK_MAX_TRACKERS)
		return -EOVERFLOW;

	if (n->track_by_kvm) {
		n->written = page_track_written_create();
		if (!n->written)
			return -ENOMEM;
	}

	kvm_get_kvm(kvm);
	kvm_page_track_add_notifier(kvm, n);
	WRITE_ONCE(kvm->arch.track_notifier_head.nr_external,
		   kvm->arch.track_notifier_head.nr_external + 1);
	return 0;
}

int kvm_page_track_register_notifier(struct kvm *kvm,
				     struct kvm_page_track_notifier_node *n)
{
	if (n->track_enter)
		return -EINVAL;

	if (!kvm || kvm->mm != current->mm)
		return -ESRCH;

	return __kvm_page_track_register_notifier(kvm, n);
}
EXPORT_SYMBOL_GPL(kvm_page_track_register_notifier);

void kvm_page_track_remove_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n)
{
	int idx;

	/* What may be long comes first, with breaks. */
	kvm_page_track_remove_most_ranges(kvm, n);

	idx = srcu_read_lock(&kvm->srcu);
	mutex_lock(&kvm->slots_arch_lock);

	/* In this order: who faults on a gfn that is tracked still finds @n. */
	kvm_page_track_remove_all_ranges(kvm, n);

	hlist_del_init_rcu(&n->node);
	WRITE_ONCE(kvm->arch.track_notifier_head.nr_external,
		   kvm->arch.track_notifier_head.nr_external - 1);

	mutex_unlock(&kvm->slots_arch_lock);
	srcu_read_unlock(&kvm->srcu, idx);
}

static void destroy_gfns(struct kvm_page_track_notifier_node *n)
{
	enum kvm_page_track_mode mode;

	for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++) {
		page_track_untracked_destroy(&n->untracked[mode]);
		page_track_untracked_destroy(&n->told[mode]);
	}

	page_track_written_destroy(n->written);
	n->written = NULL;
}

void kvm_page_track_unregister_notifier(struct kvm *kvm,
					struct kvm_page_track_notifier_node *n)
{
	kvm_page_track_remove_notifier(kvm, n);

	/* Wait for whoever walks the list and may have found @n. */
	synchronize_srcu(&kvm->srcu);

	destroy_gfns(n);
	kvm_put_kvm(kvm);
}
EXPORT_SYMBOL_GPL(kvm_page_track_unregister_notifier);

/* One item for all trackers of the VM: they are freed one after the other. */
static void free_in_work(struct work_struct *work)
{
	struct kvm_page_track_notifier_head *head =
		container_of(work, struct kvm_page_track_notifier_head, free_work);
	struct kvm_page_track_notifier_node *n, *next;

	llist_for_each_entry_safe(n, next, llist_del_all(&head->to_free), to_free) {
		destroy_gfns(n);
		n->free(n);
		cond_resched();
	}
}

/* No reader is left.  Bottom halves are disabled here. */
static void free_after_readers(struct rcu_head *rcu)
{
	struct kvm_page_track_notifier_node *n =
		container_of(rcu, struct kvm_page_track_notifier_node, rcu);
	struct kvm_page_track_notifier_head *head = n->head;

	/* If others are there already, @n may be freed as soon as it is, too. */
	if (llist_add(&n->to_free, &head->to_free))
		queue_work(system_unbound_wq, &head->free_work);
}

void kvm_page_track_free_notifier(struct kvm *kvm, struct kvm_page_track_notifier_node *n,
				  void (*free)(struct kvm_page_track_notifier_node *n))
{
	n->head = &kvm->arch.track_notifier_head;
	n->free = free;
	call_srcu(&kvm->srcu, &n->rcu, free_after_readers);

	/* If this is the last one, kvm_page_track_cleanup() waits for @n. */
	kvm_put_kvm(kvm);
}

void kvm_page_track_init(struct kvm *kvm)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;

	init_llist_head(&head->to_free);
	INIT_WORK(&head->free_work, free_in_work);
}

void kvm_page_track_cleanup(struct kvm *kvm)
{
	/* No reader is left, so that this takes no longer than a grace period. */
	srcu_barrier(&kvm->srcu);

	/* What queues it has run. */
	flush_work(&kvm->arch.track_notifier_head.free_work);
}
