// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module for the guest of lab/verbs/run: overwrite an entry of the system-call table, which
 * is read-only, as a rootkit would, and put it back when unloaded.  Linux 6.12
 * shows this table to tracers and calls by another way, so that the entry has no effect.
 */
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/printk.h>

#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include <asm/unistd.h>

static unsigned long table;
module_param(table, ulong, 0);
MODULE_PARM_DESC(table, "address of sys_call_table");

static unsigned long original;

static long taken_over(const struct pt_regs *regs)
{
	return -EPERM;
}

/* native_write_cr0() would set WP again. */
static void set_cr0(unsigned long cr0)
{
	asm volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
}

/* Returns the old value. */
static unsigned long put_entry(unsigned long value)
{
	unsigned long *entry = (unsigned long *)table + __NR_getcpu;
	unsigned long flags, cr0, old, rip;

	local_irq_save(flags);
	cr0 = read_cr0();
	set_cr0(cr0 & ~X86_CR0_WP);
	old = *entry;
	asm volatile("lea 1f(%%rip), %0\n"
		     "1: mov %2, %1" : "=&r"(rip), "=m"(*entry) : "r"(value));
	set_cr0(cr0);
	local_irq_restore(flags);

	pr_info("overwrite: wrote %d 0x%016lx 0x%016lx 0x%016lx\n", __NR_getcpu, old,
		value, rip);
	return old;
}

static int __init overwrite_init(void)
{
	if (!table)
		return -EINVAL;

	original = put_entry((unsigned long)taken_over);
	return 0;
}

static void __exit overwrite_exit(void)
{
	put_entry(original);
}

module_init(overwrite_init);
module_exit(overwrite_exit);
MODULE_DESCRIPTION("Overwrite an entry of the system-call table");
MODULE_LICENSE("GPL");
