// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module for hosts on lab/machine/amd, with shadow paging: KVM keeps its intercept of
 * reads of CR0.
 *
 * QEMU from 9.1 on asks for that intercept, not for their own, when a guest reads CR3, CR4
 * or CR8.  KVM does without it while the CPU's CR0 is what the guest wants, that is with
 * paging and write protection on, and then a guest that reads CR3 gets the shadow's: Linux
 * dies in its decompressor.  A guest that wants CR0.CD, which KVM withholds, has the
 * intercept; so let KVM see this bit on the way in, and nobody afterwards.
 */
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/module.h>

#include <asm/processor-flags.h>

struct call {
	struct kvm_vcpu *vcpu;
	unsigned long cr0;
};

/* Nonzero: nothing to undo, do not look at the return. */
static int on_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct call *call = (void *)instance->data;

	if (regs->si & X86_CR0_CD)
		return 1;

	call->vcpu = (void *)regs->di;
	call->cr0 = regs->si;
	regs->si |= X86_CR0_CD;
	return 0;
}

static int on_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct call *call = (void *)instance->data;

	if (!WARN_ON(call->vcpu->arch.cr0 != (call->cr0 | X86_CR0_CD)))
		call->vcpu->arch.cr0 = call->cr0;
	return 0;
}

static struct kretprobe probe = {
	.kp.symbol_name = "svm_set_cr0",
	.entry_handler = on_entry,
	.handler = on_return,
	.data_size = sizeof(struct call),
};

static int __init cr_reads_init(void)
{
	int r = register_kretprobe(&probe);

	if (!r)
		pr_info("cr_reads: KVM keeps its intercept of CR0 reads, for QEMU's sake\n");
	return r;
}

static void __exit cr_reads_exit(void)
{
	unregister_kretprobe(&probe);
}

module_init(cr_reads_init);
module_exit(cr_reads_exit);
MODULE_DESCRIPTION("Keep KVM's intercept of CR0 reads for an emulator that takes it for others");
MODULE_LICENSE("GPL");
