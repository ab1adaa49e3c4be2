// SPDX-License-Identifier: GPL-2.0-only
/* The vCPUs of the tiny guest and what they execute, see guest.h. */
#include <string.h>

#include "guest.h"

/* Missing in processor.h. */
#define X86_FEATURE_AVX	KVM_X86_CPU_FEATURE(0x1, 0, ECX, 28)

/* In ops.S. */
#define TG_PORT		0x70
#define TG_OP_SIZE	32

static const uint64_t cr4[NR_TG_MODES] = {
	[TG_32]     = X86_CR4_PSE,
	[TG_PAE]    = X86_CR4_PAE,
	[TG_4LEVEL] = X86_CR4_PAE,
};

static void set_segment(struct kvm_segment *seg, int type, bool is_system)
{
	*seg = (struct kvm_segment) {
		.selector = is_system ? 0x18 : type == 0xb ? 0x8 : 0x10,
		.limit = is_system ? 0x67 : 0xffffffff,
		.type = type,
		.s = !is_system,
		.present = 1,
		.db = !is_system,
		.g = !is_system,
	};
}

bool tg_enable_avx(struct tiny_guest *g)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };
	struct kvm_sregs sregs;

	if (!kvm_cpu_has(X86_FEATURE_AVX) || !kvm_cpu_has(X86_FEATURE_XSAVE)) {
		g->skip = "the CPU has no AVX or no XSAVE";
		return false;
	}

	vcpu_sregs_get(g->vcpu, &sregs);
	sregs.cr4 |= X86_CR4_OSXSAVE;
	vcpu_sregs_set(g->vcpu, &sregs);

	xcrs.xcrs[0].value = XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM;
	vcpu_xcrs_set(g->vcpu, &xcrs);
	return true;
}

bool tg_shadowed(void)
{
	static int tdp = -1;

	if (tdp < 0)
		tdp = kvm_is_tdp_enabled();
	return !tdp;
}

void tg_reset_vcpu(struct tiny_guest *g)
{
	struct kvm_vcpu_events events = {};
	struct kvm_sregs sregs;

	vcpu_sregs_get(g->vcpu, &sregs);

	set_segment(&sregs.cs, 0xb, false);
	set_segment(&sregs.ds, 0x3, false);
	sregs.es = sregs.ds;
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	sregs.ss = sregs.ds;
	set_segment(&sregs.tr, 0xb, true);
	memset(&sregs.ldt, 0, sizeof(sregs.ldt));
	sregs.ldt.unusable = 1;
	memset(&sregs.gdt, 0, sizeof(sregs.gdt));
	memset(&sregs.idt, 0, sizeof(sregs.idt));

	if (g->mode == TG_4LEVEL) {
		sregs.cs.l = 1;
		sregs.cs.db = 0;
	}

	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	sregs.cr3 = g->root;
	sregs.cr4 = cr4[g->mode] | X86_CR4_OSFXSR;
	sregs.efer = g->mode == TG_4LEVEL ? EFER_LME | EFER_LMA : 0;
	vcpu_sregs_set(g->vcpu, &sregs);

	/* After a shutdown, the last exception may wait to be injected again. */
	vcpu_events_set(g->vcpu, &events);
}

void tg_add_vcpu(const struct tiny_guest *g, struct tiny_guest *new, uint32_t id)
{
	*new = *g;
	new->vcpu = __vm_vcpu_add(g->vm, id);
	vcpu_init_cpuid(new->vcpu, kvm_get_supported_cpuid());
	tg_reset_vcpu(new);
}

void tg_init(struct tiny_guest *g, enum tg_mode mode)
{
	int i;

	TEST_ASSERT(tg_ops_end - tg_ops == NR_TG_OPS * TG_OP_SIZE,
		    "Have one instruction of the guest for each operation");

	memset(g, 0, sizeof(*g));
	g->mode = mode;
	g->next = TG_ARENA_GPA;
	g->vm = vm_create_barebones();

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, TG_CODE_GPA,
				    TG_CODE_SLOT, TG_CODE_PAGES, 0);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, TG_ARENA_GPA,
				    TG_ARENA_SLOT, TG_ARENA_PAGES, 0);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, TG_DATA_GPA,
				    TG_DATA_SLOT, TG_DATA_PAGES, 0);

	memcpy(addr_gpa2hva(g->vm, TG_OP_GPA), tg_ops, tg_ops_end - tg_ops);
	for (i = 0; i < TG_DATA_PAGES; i++)
		*(uint64_t *)addr_gpa2hva(g->vm, tg_data(i)) = tg_data(i);

	tg_new_root(g);
	tg_add_vcpu(g, g, 0);
}

void tg_free(struct tiny_guest *g)
{
	kvm_vm_free(g->vm);
}

uint64_t tg_op_rip(enum tg_op op)
{
	return TG_OP_GPA + op * TG_OP_SIZE;
}

void tg_start(struct tiny_guest *g, enum tg_op op, const struct kvm_regs *regs)
{
	struct kvm_regs start = *regs;

	start.rip = tg_op_rip(op);
	start.rflags = X86_EFLAGS_FIXED;
	vcpu_regs_set(g->vcpu, &start);
}

bool tg_has_ended(struct tiny_guest *g)
{
	struct kvm_run *run = g->vcpu->run;

	return run->exit_reason == KVM_EXIT_IO && run->io.port == TG_PORT;
}

void tg_assert_ended(struct tiny_guest *g)
{
	TEST_ASSERT(tg_has_ended(g), "exit reason %u (%s)", g->vcpu->run->exit_reason,
		    exit_reason_str(g->vcpu->run->exit_reason));
}

bool tg_run(struct tiny_guest *g, enum tg_op op, struct kvm_regs *regs)
{
	struct kvm_run *run = g->vcpu->run;

	tg_start(g, op, regs);
	vcpu_run(g->vcpu);

	if (run->exit_reason == KVM_EXIT_SHUTDOWN) {
		tg_reset_vcpu(g);
		return false;
	}

	TEST_ASSERT(tg_has_ended(g), "Operation %d at 0x%llx: exit reason %u (%s)", op, regs->rdi,
		    run->exit_reason, exit_reason_str(run->exit_reason));
	vcpu_regs_get(g->vcpu, regs);
	return true;
}

uint64_t tg_load(struct tiny_guest *g, uint64_t va)
{
	struct kvm_regs regs = { .rdi = va };

	return tg_run(g, TG_LOAD, &regs) ? regs.rax & 0xffffffff : TG_FAULT;
}

/* An operation that has to succeed. */
static void run_op(struct tiny_guest *g, enum tg_op op, uint64_t va, uint64_t val)
{
	struct kvm_regs regs = { .rdi = va, .rax = val };

	TEST_ASSERT(tg_run(g, op, &regs), "Operation %d at 0x%lx faulted", op, va);
}

/*
 * Without 64-bit registers.  Not by movq: instructions that rarely write page
 * tables have KVM give up tracking the page rather than emulate them.
 */
static void store_cmpxchg8b(struct tiny_guest *g, uint64_t va, uint64_t val)
{
	uint64_t old = 0;
	struct kvm_regs regs = {
		.rdi = va,
		.rbx = val & 0xffffffff,
		.rcx = val >> 32,
	};

	memcpy(&old, addr_gpa2hva(g->vm, tg_translate(g, va)), sizeof(old));
	regs.rax = old & 0xffffffff;
	regs.rdx = old >> 32;
	TEST_ASSERT(tg_run(g, TG_CMPXCHG8B, &regs), "Store to 0x%lx faulted", va);
	TEST_ASSERT(regs.rax == (old & 0xffffffff) && regs.rdx == old >> 32,
		    "At 0x%lx was not 0x%lx", va, old);
}

void tg_store(struct tiny_guest *g, uint64_t va, uint64_t val, int size)
{
	enum tg_op op;

	switch (size) {
	case 1:
		op = TG_STORE1;
		break;
	case 2:
		op = TG_STORE2;
		break;
	case 4:
		op = TG_STORE4;
		break;
	case 8:
		if (g->mode != TG_4LEVEL)
			return store_cmpxchg8b(g, va, val);
		op = TG_STORE8;
		break;
	default:
		TEST_FAIL("No store of %d bytes", size);
	}

	run_op(g, op, va, val);
}

void tg_edit(struct tiny_guest *g, uint64_t gpa, uint64_t entry)
{
	tg_store(g, tg_edit_va(gpa), entry, tg_entry_size(g));
}

void tg_invlpg(struct tiny_guest *g, uint64_t va)
{
	run_op(g, TG_INVLPG, va, 0);
}

void tg_set_cr3(struct tiny_guest *g, uint64_t root)
{
	g->root = root;
	run_op(g, TG_WRITE_CR3, 0, root);
}

void tg_flush(struct tiny_guest *g)
{
	tg_set_cr3(g, g->root);
}

void tg_settle(struct tiny_guest *g, uint64_t va)
{
	if (!tg_shadowed())
		tg_invlpg(g, va);
}

void tg_redirect(struct tiny_guest *g, uint64_t va, int level, uint64_t gpa)
{
	uint64_t entry = tg_new_path(g, va, level, gpa);

	tg_edit(g, tg_entry_gpa(g, va, level), entry);

	if (g->mode == TG_PAE && level == 3)
		tg_flush(g);
	else
		tg_settle(g, va);
}
