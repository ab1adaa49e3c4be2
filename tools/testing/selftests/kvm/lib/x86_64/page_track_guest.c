// SPDX-License-Identifier: GPL-2.0-only
/* The vCPUs of the tiny guest and what they execute, see page_track.h. */
#include <string.h>

#include "page_track.h"

/* In page_track_ops.S. */
#define PT_PORT		0x70
#define PT_OP_SIZE	32

static const uint64_t cr4[NR_PT_MODES] = {
	[PT_32]     = X86_CR4_PSE,
	[PT_PAE]    = X86_CR4_PAE,
	[PT_4LEVEL] = X86_CR4_PAE,
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

void pt_reset_vcpu(struct pt_guest *g)
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

	if (g->mode == PT_4LEVEL) {
		sregs.cs.l = 1;
		sregs.cs.db = 0;
	}

	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	sregs.cr3 = g->root;
	sregs.cr4 = cr4[g->mode] | X86_CR4_OSFXSR;
	sregs.efer = g->mode == PT_4LEVEL ? EFER_LME | EFER_LMA : 0;
	vcpu_sregs_set(g->vcpu, &sregs);

	/* After a shutdown, the last exception may wait to be injected again. */
	vcpu_events_set(g->vcpu, &events);
}

void pt_add_vcpu(const struct pt_guest *g, struct pt_guest *new, uint32_t id)
{
	*new = *g;
	new->vcpu = __vm_vcpu_add(g->vm, id);
	vcpu_init_cpuid(new->vcpu, kvm_get_supported_cpuid());
	pt_reset_vcpu(new);
}

void pt_guest_init(struct pt_guest *g, enum pt_mode mode)
{
	int i;

	TEST_ASSERT(pt_ops_end - pt_ops == NR_PT_OPS * PT_OP_SIZE,
		    "Have one instruction of the guest for each operation");

	memset(g, 0, sizeof(*g));
	g->mode = mode;
	g->next = PT_ARENA_GPA;
	g->vm = vm_create_barebones();

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, PT_CODE_GPA,
				    PT_CODE_SLOT, PT_CODE_PAGES, 0);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, PT_ARENA_GPA,
				    PT_ARENA_SLOT, PT_ARENA_PAGES, 0);
	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, PT_DATA_GPA,
				    PT_DATA_SLOT, PT_DATA_PAGES, 0);

	memcpy(addr_gpa2hva(g->vm, PT_OP_GPA), pt_ops, pt_ops_end - pt_ops);
	for (i = 0; i < PT_DATA_PAGES; i++)
		*(uint64_t *)addr_gpa2hva(g->vm, pt_data(i)) = pt_data(i);

	pt_new_root(g);
	pt_add_vcpu(g, g, 0);
}

void pt_guest_free(struct pt_guest *g)
{
	kvm_vm_free(g->vm);
}

uint64_t pt_op_rip(enum pt_op op)
{
	return PT_OP_GPA + op * PT_OP_SIZE;
}

void pt_start(struct pt_guest *g, enum pt_op op, const struct kvm_regs *regs)
{
	struct kvm_regs start = *regs;

	start.rip = pt_op_rip(op);
	start.rflags = X86_EFLAGS_FIXED;
	vcpu_regs_set(g->vcpu, &start);
}

bool pt_has_ended(struct pt_guest *g)
{
	struct kvm_run *run = g->vcpu->run;

	return run->exit_reason == KVM_EXIT_IO && run->io.port == PT_PORT;
}

void pt_assert_ended(struct pt_guest *g)
{
	TEST_ASSERT(pt_has_ended(g), "exit reason %u (%s)", g->vcpu->run->exit_reason,
		    exit_reason_str(g->vcpu->run->exit_reason));
}

bool pt_run(struct pt_guest *g, enum pt_op op, struct kvm_regs *regs)
{
	struct kvm_run *run = g->vcpu->run;

	pt_start(g, op, regs);
	vcpu_run(g->vcpu);

	if (run->exit_reason == KVM_EXIT_SHUTDOWN) {
		pt_reset_vcpu(g);
		return false;
	}

	TEST_ASSERT(pt_has_ended(g), "Operation %d at 0x%llx: exit reason %u (%s)", op, regs->rdi,
		    run->exit_reason, exit_reason_str(run->exit_reason));
	vcpu_regs_get(g->vcpu, regs);
	return true;
}

uint64_t pt_load(struct pt_guest *g, uint64_t va)
{
	struct kvm_regs regs = { .rdi = va };

	return pt_run(g, PT_LOAD, &regs) ? regs.rax & 0xffffffff : PT_FAULT;
}

/* An operation that has to succeed. */
static void run_op(struct pt_guest *g, enum pt_op op, uint64_t va, uint64_t val)
{
	struct kvm_regs regs = { .rdi = va, .rax = val };

	TEST_ASSERT(pt_run(g, op, &regs), "Operation %d at 0x%lx faulted", op, va);
}

/*
 * Without 64-bit registers.  Not by movq: instructions that rarely write page
 * tables have KVM give up tracking the page rather than emulate them.
 */
static void store_cmpxchg8b(struct pt_guest *g, uint64_t va, uint64_t val)
{
	uint64_t old = 0;
	struct kvm_regs regs = {
		.rdi = va,
		.rbx = val & 0xffffffff,
		.rcx = val >> 32,
	};

	memcpy(&old, addr_gpa2hva(g->vm, pt_translate(g, va)), sizeof(old));
	regs.rax = old & 0xffffffff;
	regs.rdx = old >> 32;
	TEST_ASSERT(pt_run(g, PT_CMPXCHG8B, &regs), "Store to 0x%lx faulted", va);
	TEST_ASSERT(regs.rax == (old & 0xffffffff) && regs.rdx == old >> 32,
		    "At 0x%lx was not 0x%lx", va, old);
}

void pt_store(struct pt_guest *g, uint64_t va, uint64_t val, int size)
{
	enum pt_op op;

	switch (size) {
	case 1:
		op = PT_STORE1;
		break;
	case 2:
		op = PT_STORE2;
		break;
	case 4:
		op = PT_STORE4;
		break;
	case 8:
		if (g->mode != PT_4LEVEL)
			return store_cmpxchg8b(g, va, val);
		op = PT_STORE8;
		break;
	default:
		TEST_FAIL("No store of %d bytes", size);
	}

	run_op(g, op, va, val);
}

void pt_edit(struct pt_guest *g, uint64_t gpa, uint64_t entry)
{
	pt_store(g, pt_edit_va(gpa), entry, pt_entry_size(g));
}

void pt_invlpg(struct pt_guest *g, uint64_t va)
{
	run_op(g, PT_INVLPG, va, 0);
}

void pt_set_cr3(struct pt_guest *g, uint64_t root)
{
	g->root = root;
	run_op(g, PT_WRITE_CR3, 0, root);
}

void pt_flush(struct pt_guest *g)
{
	pt_set_cr3(g, g->root);
}

void pt_settle(struct pt_guest *g, uint64_t va)
{
	if (!pt_shadowed())
		pt_invlpg(g, va);
}

void pt_redirect(struct pt_guest *g, uint64_t va, int level, uint64_t gpa)
{
	uint64_t entry = pt_new_path(g, va, level, gpa);

	pt_edit(g, pt_entry_gpa(g, va, level), entry);

	if (g->mode == PT_PAE && level == 3)
		pt_flush(g);
	else
		pt_settle(g, va);
}
