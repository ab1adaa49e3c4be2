// SPDX-License-Identifier: GPL-2.0-only
/*
 * May an OUT that KVM emulates use its port?  The I/O bitmap of the TSS says so, as it does
 * for the CPU; and if the host cannot read that, nobody knows.
 *
 * The guest has privilege level 3, no paging and no IDT: what it is not allowed ends in a
 * shutdown.  Each case runs twice, without the forced emulation prefix and with it; once only
 * on QEMU, which takes no notice of the bitmap of a TSS that is busy, as that of TR is.
 */
#include "kvm_util.h"
#include "processor.h"

#define CODE_GPA	0x1000ul
/* The pointer to the bitmap is in one page, the bit in the other. */
#define TSS_GPA		0x3f80ul
#define TSS_LIMIT	0xfff
#define TSS_IO_BASE	102
#define IO_BASE		0x80
#define PORT		0x84
#define BIT_GPA		(TSS_GPA + IO_BASE + PORT / 8)
#define NR_PAGES	8
#define FEP_LEN		5

struct io_case {
	const char *name;
	uint16_t limit;		/* of the TSS */
	bool denied;		/* by the bit */
	uint64_t hidden;	/* a page that the host cannot read, or 0 */
	uint32_t exit;		/* once the host can read all */
};

static const struct io_case cases[] = {
	{ "a clear bit", TSS_LIMIT, false, 0, KVM_EXIT_IO },
	{ "a set bit", TSS_LIMIT, true, 0, KVM_EXIT_SHUTDOWN },
	{ "a bit behind the TSS", IO_BASE + PORT / 8 - 1, false, 0, KVM_EXIT_SHUTDOWN },
	{ "no bitmap", TSS_IO_BASE - 1, false, 0, KVM_EXIT_SHUTDOWN },
	{ "a hidden bit", TSS_LIMIT, false, 0x4000, KVM_EXIT_IO },
	{ "a hidden bit that is set", TSS_LIMIT, true, 0x4000, KVM_EXIT_SHUTDOWN },
	{ "a hidden pointer", TSS_LIMIT, false, 0x3000, KVM_EXIT_IO },
};

/* The same OUT without the prefix and with it. */
static const uint8_t code[2][8] = {
	{ 0xe6, PORT },
	{ 0x0f, 0x0b, 'k', 'v', 'm', 0xe6, PORT },
};

static const char *const ways[] = { "by the CPU", "emulated" };

static void set_segment(struct kvm_segment *seg, int type)
{
	*seg = (struct kvm_segment) {
		.selector = type == 0xb ? 0x1b : 0x23,
		.limit = 0xffffffff,
		.type = type,
		.dpl = 3,
		.s = 1,
		.present = 1,
		.db = 1,
		.g = 1,
	};
}

static void set_vcpu(struct kvm_vcpu *vcpu, uint16_t tss_limit)
{
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = X86_EFLAGS_FIXED };
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	set_segment(&sregs.cs, 0xb);
	set_segment(&sregs.ds, 3);
	sregs.es = sregs.ds;
	sregs.ss = sregs.ds;
	sregs.tr = (struct kvm_segment) {
		.base = TSS_GPA,
		.selector = 0x28,
		.limit = tss_limit,
		.type = 0xb,
		.present = 1,
	};
	sregs.idt.limit = 0;
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	sregs.cr4 = 0;
	sregs.efer = 0;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
}

static void protect(struct kvm_vm *vm, uint64_t gpa, int prot)
{
	TEST_ASSERT(!mprotect(addr_gpa2hva(vm, gpa), PAGE_SIZE, prot), "mprotect() failed");
}

static struct kvm_vm *create_vm(const struct io_case *c, int way, struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm = vm_create_barebones();

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, NR_PAGES, 0);
	memcpy(addr_gpa2hva(vm, CODE_GPA), code[way], sizeof(code[way]));
	*(uint16_t *)addr_gpa2hva(vm, TSS_GPA + TSS_IO_BASE) = IO_BASE;
	*(uint8_t *)addr_gpa2hva(vm, BIT_GPA) = c->denied ? BIT(PORT % 8) : 0;

	*vcpu = __vm_vcpu_add(vm, 0);
	vcpu_init_cpuid(*vcpu, kvm_get_supported_cpuid());
	set_vcpu(*vcpu, c->limit);
	return vm;
}

/* Does the CPU let the guest use a port whose bit is clear? */
static bool cpu_knows_bitmap(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&cases[0], 0, &vcpu);
	uint32_t exit;

	vcpu_run(vcpu);
	exit = vcpu->run->exit_reason;
	kvm_vm_free(vm);
	return exit == cases[0].exit;
}

static void run_case(const struct io_case *c, int way)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(c, way, &vcpu);
	struct kvm_regs regs;
	int r;

	if (c->hidden) {
		protect(vm, c->hidden, PROT_NONE);
		r = _vcpu_run(vcpu);
		TEST_ASSERT(r == -1 && errno == EFAULT,
			    "%s, %s: KVM_RUN returned %d, errno %d, exit reason %d",
			    c->name, ways[way], r, errno, vcpu->run->exit_reason);
		/* KVM has gone beyond the prefix; do it again with it. */
		vcpu_regs_get(vcpu, &regs);
		TEST_ASSERT(regs.rip == CODE_GPA + way * FEP_LEN, "%s, %s: RIP is 0x%llx",
			    c->name, ways[way], regs.rip);
		regs.rip = CODE_GPA;
		vcpu_regs_set(vcpu, &regs);
		protect(vm, c->hidden, PROT_READ | PROT_WRITE);
	}

	vcpu_run(vcpu);
	TEST_ASSERT(vcpu->run->exit_reason == c->exit, "%s, %s: exit reason %d", c->name,
		    ways[way], vcpu->run->exit_reason);
	if (c->exit == KVM_EXIT_IO)
		TEST_ASSERT_EQ(vcpu->run->io.port, PORT);

	kvm_vm_free(vm);
}

int main(void)
{
	int i, way, first;

	TEST_REQUIRE(kvm_is_forced_emulation_enabled());

	first = cpu_knows_bitmap() ? 0 : 1;
	if (first)
		pr_info("The CPU knows no I/O bitmap: the emulator alone is tested\n");

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (way = first; way < ARRAY_SIZE(ways); way++) {
			pr_info("%s, %s\n", cases[i].name, ways[way]);
			run_case(&cases[i], way);
		}
	}
	return 0;
}
