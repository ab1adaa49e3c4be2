// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: what the trackers of a VM track, for people who look.
 *
 * The file page_track of a VM in debugfs has a line per range: the tracker's id,
 * mode, action, first gfn and number of gfns.  There may be millions, so that no lock
 * is held from line to line: trackers and ranges that come and go meanwhile may be
 * there or not, all others are there once.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/seq_file.h>

#include "page_track_notifier.h"
#include "page_track_user.h"

/* Where a reader is: at the range of the current line, if @nr_pages is not 0. */
struct cursor {
	struct kvm *kvm;
	u64 id;
	enum kvm_page_track_mode mode;
	gfn_t gfn, nr_pages;
	u8 action;
};

/* Go on to the next range of tracker @n, if it has one. */
static bool next_range(struct cursor *c, struct kvm_page_track_notifier_node *n)
{
	for (; c->mode < KVM_PAGE_TRACK_MAX; c->mode++, c->gfn = 0) {
		if (!kvm_page_track_next_range(c->kvm, n, c->mode, &c->gfn, &c->nr_pages,
					       &c->action))
			return true;
	}

	return false;
}

static struct cursor *next_line(struct cursor *c)
{
	struct kvm_page_track_notifier_node *n;
	struct kvm *kvm = c->kvm;
	int idx;

	c->gfn += c->nr_pages;
	c->nr_pages = 0;

	/* The trackers are in the order of their ids. */
	idx = srcu_read_lock(&kvm->srcu);
	kvm_page_track_for_each_notifier(kvm, n) {
		if (n->id < c->id)
			continue;

		if (n->id > c->id) {
			c->id = n->id;
			c->mode = 0;
			c->gfn = 0;
		}

		if (next_range(c, n))
			break;
	}
	srcu_read_unlock(&kvm->srcu, idx);

	return c->nr_pages ? c : NULL;
}

static void *start_lines(struct seq_file *file, loff_t *pos)
{
	struct cursor *c = file->private;

	/* Each read() goes on where the last one ended, or starts over. */
	if (*pos)
		return c->nr_pages ? c : NULL;

	*c = (struct cursor) { .kvm = c->kvm };
	return SEQ_START_TOKEN;
}

static void *step_line(struct seq_file *file, void *v, loff_t *pos)
{
	++*pos;
	return next_line(file->private);
}

static void stop_lines(struct seq_file *file, void *v)
{
}

static int show_line(struct seq_file *file, void *v)
{
	struct cursor *c = v;

	if (v == SEQ_START_TOKEN)
		seq_puts(file, "tracker mode action gfn nr_pages\n");
	else
		seq_printf(file, "%llu %u %u 0x%llx %llu\n", c->id, c->mode, c->action,
			   c->gfn, c->nr_pages);

	return 0;
}

static const struct seq_operations lines_ops = {
	.start	= start_lines,
	.next	= step_line,
	.stop	= stop_lines,
	.show	= show_line,
};

static int open_trackers(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	struct cursor *c;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;

	c = __seq_open_private(file, &lines_ops, sizeof(*c));
	if (!c) {
		kvm_put_kvm(kvm);
		return -ENOMEM;
	}

	c->kvm = kvm;
	return 0;
}

static int release_trackers(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r = seq_release_private(inode, file);

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
