// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module for lab/programs/long_holds.c: how long a VM's mmu_lock and slots_arch_lock are
 * held.  For a host with one processor, whose TSC counts instructions.
 *
 * Write the VM's file descriptor, an int, to /dev/lock_times: that starts anew.  Read of each
 * lock: its name, the longest hold without what ran while the holder was not on the
 * processor, the longest with that, how many there were, and, from "|" on, where the first
 * of these was released.  Probes cost some hundred instructions a hold.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/stacktrace.h>
#include <linux/tracepoint.h>

#define NR_FRAMES	16

struct hold {
	const char *name;
	const void *lock;
	struct task_struct *holder;
	u64 since, left, away;		/* the TSC, and how long the holder was not running */
	u64 longest, longest_all, nr;
	unsigned long frames[NR_FRAMES];
	unsigned int nr_frames;
};

static struct hold holds[] = {
	{ .name = "mmu_lock:write" },
	{ .name = "mmu_lock:read" },
	{ .name = "slots_arch_lock" },
};

/* A function that takes a lock, or releases it. */
struct probe {
	struct kretprobe lock;
	struct kprobe unlock;
	struct hold *hold;
};

static int lock_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct probe *p = container_of(get_kretprobe(ri), struct probe, lock);

	return (void *)regs->di != p->hold->lock;
}
NOKPROBE_SYMBOL(lock_entry);

static int locked(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct probe *p = container_of(get_kretprobe(ri), struct probe, lock);

	/* mutex_lock_killable(), the one function here that returns something. */
	if (strstr(p->lock.kp.symbol_name, "killable") && (int)regs->ax)
		return 0;

	p->hold->holder = current;
	p->hold->away = 0;
	p->hold->since = rdtsc();
	return 0;
}
NOKPROBE_SYMBOL(locked);

static int unlock(struct kprobe *kp, struct pt_regs *regs)
{
	struct hold *hold = container_of(kp, struct probe, unlock)->hold;
	u64 all = rdtsc() - hold->since, own = all - hold->away;

	/* Taken before the start? */
	if ((void *)regs->di != hold->lock || hold->holder != current)
		return 0;

	hold->holder = NULL;
	hold->nr++;
	hold->longest_all = max(hold->longest_all, all);
	if (own <= hold->longest)
		return 0;

	hold->longest = own;
	hold->nr_frames = stack_trace_save(hold->frames, NR_FRAMES, 0);
	return 0;
}
NOKPROBE_SYMBOL(unlock);

#define TAKES(_name, _hold)						\
	{ .lock = { .kp.symbol_name = (_name), .entry_handler = lock_entry,	\
		    .handler = locked, .maxactive = 64 }, .hold = (_hold) }
#define RELEASES(_name, _hold)						\
	{ .unlock = { .symbol_name = (_name), .pre_handler = unlock }, .hold = (_hold) }

static struct probe probes[] = {
	TAKES("_raw_write_lock", &holds[0]),
	RELEASES("_raw_write_unlock", &holds[0]),
	TAKES("_raw_read_lock", &holds[1]),
	RELEASES("_raw_read_unlock", &holds[1]),
	TAKES("mutex_lock", &holds[2]),
	TAKES("mutex_lock_killable", &holds[2]),
	RELEASES("mutex_unlock", &holds[2]),
};

/* The tracepoint sched_switch. */
static void switched(void *data, bool preempt, struct task_struct *prev,
		     struct task_struct *next, unsigned int state)
{
	struct hold *hold;

	for (hold = holds; hold < holds + ARRAY_SIZE(holds); hold++) {
		if (hold->holder == prev)
			hold->left = rdtsc();
		else if (hold->holder == next)
			hold->away += rdtsc() - hold->left;
	}
}

static ssize_t start(struct file *file, const char __user *buf, size_t size, loff_t *pos)
{
	struct hold *hold;
	struct file *vm;
	struct kvm *kvm;
	int fd;

	if (size != sizeof(fd) || copy_from_user(&fd, buf, size))
		return -EINVAL;

	vm = fget(fd);
	if (!vm)
		return -EBADF;

	kvm = vm->private_data;
	for (hold = holds; hold < holds + ARRAY_SIZE(holds); hold++) {
		hold->holder = NULL;
		hold->longest = 0;
		hold->longest_all = 0;
		hold->nr = 0;
		hold->nr_frames = 0;
		hold->lock = hold == &holds[2] ? (void *)&kvm->slots_arch_lock : &kvm->mmu_lock;
	}
	fput(vm);
	return size;
}

static ssize_t report(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	char *text = kmalloc(PAGE_SIZE, GFP_KERNEL);
	struct hold *hold;
	ssize_t n = 0;
	int i;

	if (!text)
		return -ENOMEM;

	for (hold = holds; hold < holds + ARRAY_SIZE(holds); hold++) {
		n += scnprintf(text + n, PAGE_SIZE - n, "%s %llu %llu %llu |", hold->name,
			       hold->longest, hold->longest_all, hold->nr);
		for (i = 0; i < hold->nr_frames; i++)
			n += scnprintf(text + n, PAGE_SIZE - n, " %ps", (void *)hold->frames[i]);
		n += scnprintf(text + n, PAGE_SIZE - n, "\n");
	}

	n = simple_read_from_buffer(buf, size, pos, text, n);
	kfree(text);
	return n;
}

static const struct file_operations fops = {
	.owner	= THIS_MODULE,
	.write	= start,
	.read	= report,
	.llseek	= default_llseek,
};

static struct miscdevice device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "lock_times",
	.fops	= &fops,
};

static void find_sched_switch(struct tracepoint *tp, void *result)
{
	if (!strcmp(tp->name, "sched_switch"))
		*(struct tracepoint **)result = tp;
}

/* Stays loaded until the host is gone. */
static int __init lock_times_init(void)
{
	struct tracepoint *tp = NULL;
	int i, r;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		r = probes[i].unlock.symbol_name ? register_kprobe(&probes[i].unlock) :
						   register_kretprobe(&probes[i].lock);
		if (r) {
			pr_err("no probe %d: %d\n", i, r);
			return r;
		}
	}

	for_each_kernel_tracepoint(find_sched_switch, &tp);
	r = tp ? tracepoint_probe_register(tp, switched, NULL) : -ENOENT;
	if (r) {
		pr_err("no tracepoint: %d\n", r);
		return r;
	}

	return misc_register(&device);
}
module_init(lock_times_init);

MODULE_DESCRIPTION("How long KVM's locks are held");
MODULE_LICENSE("GPL");
