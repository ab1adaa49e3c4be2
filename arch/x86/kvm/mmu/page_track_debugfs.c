// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: what the trackers of a VM track, for people who look.
 *
 * The file page_track of a VM in debugfs has a line per range: the tracker's id,
 * mode, action, first gfn and number of gfns.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/seq_file.h>

#include "page_track.h"
#include "page_track_fd.h"

static void show_ranges(struct seq_file *file, struct kvm *kvm,
			struct kvm_page_track_notifier_node *n,
			enum kvm_page_track_mode mode)
{
	gfn_t gfn = 0, nr_pages;
	u8 action;

	/* Ranges may change between the calls, but never go back. */
	while (!kvm_page_track_next_range(kvm, n, mode, &gfn, &nr_pages, &action)) {
		seq_printf(file, "%llu %u %u 0x%llx %llu\n", n->id, mode, action, gfn,
			   nr_pages);
		gfn += nr_pages;
		cond_resched();
	}
}

static int show_trackers(struct seq_file *file, void *unused)
{
	struct kvm_page_track_notifier_node *n;
	struct kvm *kvm = file->private;
	enum kvm_page_track_mode mode;
	int idx;

	seq_puts(file, "tracker mode action gfn nr_pages\n");

	idx = srcu_read_lock(&kvm->srcu);
	hlist_for_each_entry_srcu(n, &kvm->arch.track_notifier_head.track_notifier_list,
				  node, srcu_read_lock_held(&kvm->srcu)) {
		for (mode = 0; mode < KVM_PAGE_TRACK_MAX; mode++)
			show_ranges(file, kvm, n, mode);
	}
	srcu_read_unlock(&kvm->srcu, idx);

	return 0;
}

static int open_trackers(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;

	r = single_open(file, show_trackers, kvm);
	if (r)
		kvm_put_kvm(kvm);

	return r;
}

static int release_trackers(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r = single_release(inode, file);

	kvm_put_kvm(kvm);
	return r;
}

static const struct file_operations trackers_fops = {
	.owner		= THIS_MODULE,
	.open		= open_trackers,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= release_trackers,
};

void kvm_page_track_create_debugfs(struct kvm *kvm)
{
	debugfs_create_file("page_track", 0444, kvm->debugfs_dentry, kvm, &trackers_fops);
}
