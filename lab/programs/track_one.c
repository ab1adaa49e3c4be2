// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module for lab/programs/single_cost.c: what KVMGT's calls cost, which track one gfn
 * after the other, by the functions that the loaded KVM exports, of the base or of ours.  The
 * base leaves it to its caller to know what is tracked, and KVMGT has a table for that, as
 * here: an allocation and two look-ups to add a gfn, and two to remove it.
 *
 * Write struct track_one to /dev/track_one, by the process that has the VM: it gets the TSC's
 * ticks of all calls that add, and of all that remove.
 */
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/kvm_host.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "track_one.h"

/* A notifier without callbacks, for either KVM. */
#define NODE_SIZE	PAGE_SIZE

/* What there is of it, else NULL. */
static int (*register_notifier)(struct kvm *kvm, void *node);
static void (*unregister_notifier)(struct kvm *kvm, void *node);
static int (*base_add)(struct kvm *kvm, gfn_t gfn);
static int (*base_remove)(struct kvm *kvm, gfn_t gfn);
static int (*ours_add)(struct kvm *kvm, void *node, gfn_t gfn, int mode, u8 action);
static int (*ours_remove)(struct kvm *kvm, void *node, gfn_t gfn, int mode);

static const struct {
	const char *name;
	void **fn;
} symbols[] = {
	{ "kvm_page_track_register_notifier", (void **)&register_notifier },
	{ "kvm_page_track_unregister_notifier", (void **)&unregister_notifier },
	{ "kvm_write_track_add_gfn", (void **)&base_add },
	{ "kvm_write_track_remove_gfn", (void **)&base_remove },
	{ "kvm_page_track_add_page", (void **)&ours_add },
	{ "kvm_page_track_remove_page", (void **)&ours_remove },
};

/* For the base alone, of KVMGT's size. */
static DEFINE_HASHTABLE(table, 18);

struct tracked {
	gfn_t gfn;
	struct hlist_node node;
};

static struct tracked *find(gfn_t gfn)
{
	struct tracked *t;

	hash_for_each_possible(table, t, node, gfn) {
		if (t->gfn == gfn)
			return t;
	}
	return NULL;
}

static int base_track(struct kvm *kvm, gfn_t gfn)
{
	struct tracked *t;
	int r;

	if (find(gfn))
		return 0;
	r = base_add(kvm, gfn);
	if (r || find(gfn))
		return r;
	t = kzalloc(sizeof(*t), GFP_ATOMIC);
	if (!t)
		return -ENOMEM;
	t->gfn = gfn;
	hash_add(table, &t->node, gfn);
	return 0;
}

static int base_untrack(struct kvm *kvm, gfn_t gfn)
{
	struct tracked *t;
	int r = find(gfn) ? base_remove(kvm, gfn) : -ENOENT;

	if (r)
		return r;
	t = find(gfn);
	hash_del(&t->node);
	kfree(t);
	return 0;
}

static int track(struct kvm *kvm, void *node, gfn_t gfn)
{
	return base_add ? base_track(kvm, gfn) : ours_add(kvm, node, gfn, 0, 0);
}

static int untrack(struct kvm *kvm, void *node, gfn_t gfn)
{
	return base_remove ? base_untrack(kvm, gfn) : ours_remove(kvm, node, gfn, 0);
}

static int count(struct kvm *kvm, struct track_one *one)
{
	void *node = kzalloc(NODE_SIZE, GFP_KERNEL);
	u64 start, i;
	int r;

	if (!node)
		return -ENOMEM;
	r = register_notifier(kvm, node);
	if (r)
		goto out;

	start = rdtsc();
	for (i = 0; i < one->nr && !r; i++)
		r = track(kvm, node, one->gfn + i * one->step);
	one->add = rdtsc() - start;

	start = rdtsc();
	for (i = 0; i < one->nr && !r; i++)
		r = untrack(kvm, node, one->gfn + i * one->step);
	one->remove = rdtsc() - start;

	unregister_notifier(kvm, node);
out:
	kfree(node);
	return r;
}

static ssize_t write(struct file *file, const char __user *buf, size_t size, loff_t *pos)
{
	struct track_one one;
	struct file *vm;
	int r;

	if (size != sizeof(one) || copy_from_user(&one, buf, size))
		return -EINVAL;
	vm = fget(one.vm_fd);
	if (!vm)
		return -EBADF;

	r = count(vm->private_data, &one);
	fput(vm);
	if (!r && copy_to_user((void __user *)buf, &one, size))
		r = -EFAULT;
	return r ?: size;
}

static const struct file_operations fops = {
	.owner	= THIS_MODULE,
	.write	= write,
};

static struct miscdevice device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "track_one",
	.fops	= &fops,
};

/* Stays loaded until the host is gone, and so does KVM. */
static int __init track_one_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(symbols); i++)
		*symbols[i].fn = __symbol_get(symbols[i].name);
	if (!register_notifier || !unregister_notifier ||
	    !(base_add && base_remove) == !(ours_add && ours_remove))
		return -ENOENT;
	return misc_register(&device);
}
module_init(track_one_init);

MODULE_DESCRIPTION("What it costs to track one gfn after the other");
MODULE_LICENSE("GPL");
