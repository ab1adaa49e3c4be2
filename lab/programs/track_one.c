// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module for lab/programs/single_cost.c: what KVMGT's calls cost, which track one gfn
 * after the other, by the functions that the loaded KVM exports, of the base or of ours.
 *
 * Write struct track_one to /dev/track_one, by the process that has the VM: it gets the TSC's
 * ticks of all calls that add, and of all that remove.
 */
#include <linux/file.h>
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
static int (*ours_add)(struct kvm *kvm, void *node, gfn_t gfn, gfn_t nr, int mode, u8 action);
static int (*ours_remove)(struct kvm *kvm, void *node, gfn_t gfn, gfn_t nr, int mode);

static const struct {
	const char *name;
	void **fn;
} symbols[] = {
	{ "kvm_page_track_register_notifier", (void **)&register_notifier },
	{ "kvm_page_track_unregister_notifier", (void **)&unregister_notifier },
	{ "kvm_write_track_add_gfn", (void **)&base_add },
	{ "kvm_write_track_remove_gfn", (void **)&base_remove },
	{ "kvm_page_track_add_range", (void **)&ours_add },
	{ "kvm_page_track_remove_range", (void **)&ours_remove },
};

static int track(struct kvm *kvm, void *node, gfn_t gfn)
{
	return base_add ? base_add(kvm, gfn) : ours_add(kvm, node, gfn, 1, 0, 0);
}

static int untrack(struct kvm *kvm, void *node, gfn_t gfn)
{
	return base_remove ? base_remove(kvm, gfn) : ours_remove(kvm, node, gfn, 1, 0);
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
