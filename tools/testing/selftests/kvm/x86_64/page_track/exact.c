// SPDX-License-Identifier: GPL-2.0-only
/* A guest that runs one instruction, and what is seen of it: see exact.h. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "exact.h"

#define NR_VECTORS	0x82
#define CODE_SELECTOR	0x8
#define DATA_SELECTOR	0x10

/* For an instruction that never ends. */
#define WATCHDOG_SECONDS 5

static struct kvm_run *watched;

static void stop_run(int signal)
{
	WRITE_ONCE(watched->immediate_exit, 1);
}

/* An OUT for each vector, in 4 bytes each, and one for the target of a call. */
static void init_handlers(struct exact *x)
{
	static const uint8_t fault[] = { 0xe6, EXACT_FAULT_PORT, 0xf4, 0xf4 };
	static const uint8_t end[] = { 0xe6, EXACT_END_PORT, 0xf4 };
	uint8_t *hva = addr_gpa2hva(x->g->vm, EXACT_HANDLER_GPA);
	int i;

	for (i = 0; i < NR_VECTORS; i++)
		memcpy(hva + i * sizeof(fault), fault, sizeof(fault));
	memcpy(hva + EXACT_LANDING - EXACT_HANDLER_GPA, end, sizeof(end));
}

/* In 64-bit mode, exceptions have a stack of their own, other than software's. */
static void init_idt(struct exact *x)
{
	uint64_t *idt = addr_gpa2hva(x->g->vm, x->bits == 16 ? 0 : EXACT_IDT_GPA);
	uint64_t handler, gate;
	int i;

	for (i = 0; i < NR_VECTORS; i++) {
		handler = EXACT_HANDLER_GPA + 4 * i;
		if (x->bits == 16) {
			((uint32_t *)idt)[i] = handler;
			continue;
		}

		gate = handler | CODE_SELECTOR << 16 | 0x8eull << 40;
		if (x->bits == 32) {
			idt[i] = gate;
			continue;
		}

		idt[2 * i] = gate | (i < 32 ? 1ull << 32 : 0);
		idt[2 * i + 1] = 0;
	}
}

static void init_gdt(struct exact *x)
{
	uint64_t *gdt = addr_gpa2hva(x->g->vm, EXACT_GDT_GPA);
	uint64_t ist = EXACT_STACK_GPA + PAGE_SIZE;

	gdt[1] = x->bits == 64 ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull;
	gdt[2] = 0x00cf93000000ffffull;
	memcpy(addr_gpa2hva(x->g->vm, EXACT_TSS_GPA + 0x24), &ist, sizeof(ist));
}

/* What calls go through: near ones, far ones of 32, 64 and 16 bits. */
static void init_source(struct exact *x)
{
	uint8_t *src = addr_gpa2hva(x->g->vm, EXACT_SRC_GPA);
	uint64_t landing = EXACT_LANDING;
	uint16_t selector = CODE_SELECTOR;
	int i;

	for (i = 0; i < PAGE_SIZE; i++)
		src[i] = 0x80 + 3 * i;

	memcpy(src, &landing, 8);
	memcpy(src + 8, &landing, 4);
	memcpy(src + 12, &selector, 2);
	memcpy(src + 16, &landing, 8);
	memcpy(src + 24, &selector, 2);
	memcpy(src + 32, &landing, 4);
}

static void set_real_mode(struct kvm_sregs *sregs)
{
	sregs->ds = (struct kvm_segment) {
		.limit = 0xffff,
		.type = 0x3,
		.s = 1,
		.present = 1,
	};
	sregs->es = sregs->ds;
	sregs->fs = sregs->ds;
	sregs->gs = sregs->ds;
	sregs->ss = sregs->ds;
	sregs->cs = sregs->ds;
	sregs->cs.type = 0xb;
	sregs->cr0 = X86_CR0_ET | X86_CR0_NE;
	sregs->cr3 = 0;
	sregs->cr4 = X86_CR4_OSFXSR;
	sregs->efer = 0;
	sregs->idt.base = 0;
	sregs->idt.limit = 0x3ff;
}

static void init_sregs(struct exact *x)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(x->g->vcpu, &sregs);
	sregs.gdt.base = EXACT_GDT_GPA;
	sregs.gdt.limit = 3 * 8 - 1;
	sregs.idt.base = EXACT_IDT_GPA;
	sregs.idt.limit = NR_VECTORS * (x->bits / 4) - 1;
	sregs.tr.base = EXACT_TSS_GPA;
	if (x->bits == 16)
		set_real_mode(&sregs);
	vcpu_sregs_set(x->g->vcpu, &sregs);
}

/* KVM_SET_FPU sets what is in use, see XSTATE_BV: have that be all. */
static void use_fpu(struct exact *x)
{
	struct kvm_xsave xsave;

	vcpu_ioctl(x->g->vcpu, KVM_GET_XSAVE, &xsave);
	xsave.region[512 / 4] |= XFEATURE_MASK_FP | XFEATURE_MASK_SSE;
	vcpu_ioctl(x->g->vcpu, KVM_SET_XSAVE, &xsave);
}

/* The tables of SSE and FPU are of any CPU, those of AVX tell which it does not have. */
static void try_avx(struct exact *x)
{
	if (!tg_enable_avx(x->g))
		x->g->skip = NULL;
}

bool exact_is_vm86(struct exact *x)
{
	return x->bits == 16 && host_cpu_is_intel && !vm_is_unrestricted_guest(x->g->vm);
}

void exact_init(struct exact *x, struct tiny_guest *g, int bits)
{
	uint64_t gpa;

	memset(x, 0, sizeof(*x));
	x->g = g;
	x->bits = bits;
	x->mem[0] = addr_gpa2hva(g->vm, EXACT_GPA);

	init_handlers(x);
	init_idt(x);
	init_gdt(x);
	init_source(x);
	if (bits != 16) {
		for (gpa = EXACT_IDT_GPA; gpa < TG_CODE_PAGES * PAGE_SIZE; gpa += PAGE_SIZE)
			tg_map(g, gpa, gpa);
	}
	init_sregs(x);
	if (bits != 16)
		try_avx(x);
	use_fpu(x);

	/* QEMU's shadowed 32-bit guests get stuck in the delivery of an exception else. */
	for (gpa = EXACT_IDT_GPA; bits == 32 && gpa < EXACT_CODE_GPA; gpa += PAGE_SIZE)
		tg_load(g, gpa);

	watched = g->vcpu->run;
	signal(SIGALRM, stop_run);
}

const uint8_t *exact_filled(int i)
{
	static uint8_t bytes[EXACT_MAX_PAGES][PAGE_SIZE];
	int j;

	for (j = 0; !bytes[i][PAGE_SIZE - 1] && j < PAGE_SIZE; j++)
		bytes[i][j] = 0x40 * i + 7 * j + (j >> 8);
	return bytes[i];
}

void exact_fill(struct exact *x, int i)
{
	if (x->mem[i])
		tg_copy_page(x->mem[i], exact_filled(i));
}

struct kvm_regs exact_regs(struct exact *x)
{
	struct kvm_regs regs = {
		.rax = 0x1122334455667788ul,
		.rbx = 200,
		.rcx = 3,
		.rdx = 0x99aabbcc11223344ul,
		.rsi = EXACT_SRC_GPA,
		.rdi = EXACT_DST,
		.rbp = x->bits == 64 ? -77ul : (uint32_t)-77,
		.rsp = EXACT_TOP,
		.rip = EXACT_CODE_GPA,
		.rflags = X86_EFLAGS_FIXED | EXACT_IF,
	};

	if (x->bits != 64) {
		regs.rax = (uint32_t)regs.rax;
		regs.rdx = (uint32_t)regs.rdx;
		return regs;
	}

	regs.r8 = 0x8888888800000008ul;
	regs.r9 = 0x9999999900000009ul;
	regs.r10 = 0xaaaaaaaa0000000aul;
	regs.r11 = 0xbbbbbbbb0000000bul;
	regs.r12 = 0xcccccccc0000000cul;
	regs.r13 = 0xdddddddd0000000dul;
	regs.r14 = 0xeeeeeeee0000000eul;
	regs.r15 = 0xffffffff0000000ful;
	return regs;
}

void exact_reset(struct exact *x, const struct kvm_regs *regs)
{
	static struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };
	static struct kvm_debugregs debugregs = { .dr6 = EXACT_DR6, .dr7 = 0x400 };
	static struct kvm_vcpu_events events;
	struct kvm_regs start = *regs;
	uint8_t *bytes = (void *)fpu.xmm;
	int i;

	for (i = 0; i < sizeof(fpu.xmm); i++)
		bytes[i] = 0x11 + 5 * i;
	for (i = 0; i < 8; i++)
		memset(fpu.fpr[i], 0x31 + i, 8);

	vcpu_events_set(x->g->vcpu, &events);
	vcpu_ioctl(x->g->vcpu, KVM_SET_DEBUGREGS, &debugregs);
	vcpu_fpu_set(x->g->vcpu, &fpu);
	vcpu_regs_set(x->g->vcpu, &start);
}

static uint64_t pop(struct exact *x, struct exact_outcome *o, void **frame)
{
	uint64_t val = x->bits == 64 ? *(uint64_t *)*frame : *(uint32_t *)*frame;

	*frame += x->bits / 8;
	o->regs.rsp += x->bits / 8;
	return val;
}

/* What the interrupted code's registers were. */
static void get_exception(struct exact *x, struct exact_outcome *o)
{
	struct kvm_sregs sregs;
	void *frame;

	o->vector = (o->regs.rip - EXACT_HANDLER_GPA) / 4;
	if (o->vector == PF_VECTOR) {
		vcpu_sregs_get(x->g->vcpu, &sregs);
		o->cr2 = sregs.cr2;
	}

	if (x->bits == 16 || o->vector >= 32)
		return;

	frame = addr_gpa2hva(x->g->vm, o->regs.rsp);
	if (o->vector == DF_VECTOR || o->vector == AC_VECTOR ||
	    (o->vector >= TS_VECTOR && o->vector <= PF_VECTOR))
		o->error_code = pop(x, o, &frame);
	o->regs.rip = pop(x, o, &frame);
	pop(x, o, &frame);
	o->regs.rflags = pop(x, o, &frame);
	if (x->bits == 64)
		o->regs.rsp = pop(x, o, &frame);
}

static bool is_out(struct kvm_run *run, uint16_t port)
{
	return run->exit_reason == KVM_EXIT_IO && run->io.port == port &&
	       run->io.direction == KVM_EXIT_IO_OUT;
}

/* A device that has something for whoever reads. */
static bool serve(struct kvm_run *run, struct exact_outcome *o)
{
	uint32_t i, n = 0;

	if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN) {
		for (i = 0; i < run->io.size * run->io.count; i++)
			((uint8_t *)run + run->io.data_offset)[i] = 0xd1 + i;
		return true;
	}

	if (run->exit_reason != KVM_EXIT_MMIO || o->nr_mmio == EXACT_MAX_MMIO)
		return false;

	n = o->nr_mmio++;
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xe5, sizeof(run->mmio.data));
	o->mmio[n].gpa = run->mmio.phys_addr;
	o->mmio[n].len = run->mmio.len;
	o->mmio[n].is_write = run->mmio.is_write;
	memcpy(&o->mmio[n].data, run->mmio.data, run->mmio.len);
	return true;
}

static void get_events(struct exact *x, struct exact_outcome *o)
{
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;

	vcpu_events_get(x->g->vcpu, &events);
	o->shadow = events.interrupt.shadow;
	o->nmi_masked = events.nmi.masked;
	vcpu_ioctl(x->g->vcpu, KVM_GET_DEBUGREGS, &debugregs);
	o->dr6 = debugregs.dr6;
}

void exact_run(struct exact *x, struct exact_outcome *o)
{
	struct kvm_run *run = x->g->vcpu->run;
	int i;

	memset(o, 0, offsetof(struct exact_outcome, mem));
	o->vector = -1;
	run->immediate_exit = 0;
	alarm(WATCHDOG_SECONDS);
	do {
		o->err = __vcpu_run(x->g->vcpu) ? errno : 0;
	} while (!o->err && serve(run, o));
	alarm(0);
	run->immediate_exit = 0;

	o->exit = o->err ? 0 : run->exit_reason;
	vcpu_regs_get(x->g->vcpu, &o->regs);
	vcpu_fpu_get(x->g->vcpu, &o->fpu);
	get_events(x, o);
	if (!o->err && is_out(run, EXACT_FAULT_PORT))
		get_exception(x, o);

	for (i = 0; i < EXACT_MAX_PAGES; i++) {
		if (!x->mem[i])
			continue;
		tg_copy_page(o->mem[i], x->mem[i]);
		o->pages |= 1 << i;
	}
}

bool exact_has_ended(const struct exact_outcome *o)
{
	return !o->err && o->exit == KVM_EXIT_IO && o->vector < 0;
}

void exact_untrack(struct tracker *t, uint64_t gpa)
{
	int r = tracker_ioctl(t, KVM_PAGE_TRACK_REMOVE_RANGE, gpa, PAGE_SIZE, 0);

	TEST_ASSERT(!r, "Removing 0x%lx: errno %d", gpa, r);
}
