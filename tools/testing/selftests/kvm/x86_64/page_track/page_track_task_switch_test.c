// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task switches of a 32-bit guest, which KVM does in the CPU's stead, with tracked TSSs and
 * GDT: memory and registers are what the CPU's manual says, and each write is told.
 */
#include <stddef.h>
#include <string.h>

#include "cases.h"
#include "tracker.h"

#define CODE_GPA	0x4000ul
#define GDT_VA		0x40000000ul
#define OLD_VA		(GDT_VA + PAGE_SIZE)
#define NEW_VA		(OLD_VA + PAGE_SIZE)
#define ROM_GPA		0x10000000ul

/* As guest.c has them; a descriptor's selector is its offset. */
#define CODE_SEL	0x08
#define DATA_SEL	0x10
#define OLD_SEL		0x18
#define NEW_SEL		0x20
#define GDT_SIZE	0x28

#define TYPE_TSS16	0x1
#define TYPE_TSS32	0x9
#define TYPE_BUSY	0x2

#define EFLAGS_CARRY	0x1

struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2;
	uint16_t ip, flags, regs[8], es, cs, ss, ds, ldt;
};

struct tss32 {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3;
	uint32_t eip, eflags, regs[8], es, cs, ss, ds, fs, gs, ldt, io_map;
};

/* What the CPU writes as it leaves a task: of 32 bits, neither CR3 nor LDT. */
#define SAVED32_FROM	offsetof(struct tss32, eip)
#define SAVED32_SIZE	(offsetof(struct tss32, ldt) - SAVED32_FROM)

struct tasks {
	struct tiny_guest *g;
	struct tracker t;
	bool tracked, is_32;
	bool rom;		/* nobody can write to the GDT */
	uint64_t gdt[GDT_SIZE / 8];
	uint8_t *old, *new;	/* their TSSs */
};

static uint64_t descriptor(uint32_t base, uint32_t limit, int access, int flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16) << 48 | (uint64_t)flags << 52 |
	       (uint64_t)(base >> 24) << 56;
}

static uint64_t tss_descriptor(const struct tasks *s, uint64_t va, bool busy)
{
	int type = (s->is_32 ? TYPE_TSS32 : TYPE_TSS16) | (busy ? TYPE_BUSY : 0);

	return descriptor(va, s->is_32 ? 0x67 : 0x2b, 0x80 | type, 0);
}

/* The general registers of a task whose first one is @first, but for its stack. */
static void set_tss(const struct tasks *s, void *tss, uint16_t ip, uint16_t flags, int first)
{
	struct tss32 *tss32 = tss;
	struct tss16 *tss16 = tss;
	int i;

	if (s->is_32) {
		*tss32 = (struct tss32) {
			.cr3 = s->g->root, .eip = ip, .eflags = flags, .cs = CODE_SEL,
			.es = DATA_SEL, .ss = DATA_SEL, .ds = DATA_SEL,
			.fs = DATA_SEL, .gs = DATA_SEL,
		};
		for (i = 0; i < 8; i++)
			tss32->regs[i] = first + i;
	} else {
		*tss16 = (struct tss16) {
			.ip = ip, .flags = flags, .cs = CODE_SEL,
			.es = DATA_SEL, .ss = DATA_SEL, .ds = DATA_SEL,
		};
		for (i = 0; i < 8; i++)
			tss16->regs[i] = first + i;
	}
}

static void init(struct tasks *s, struct tiny_guest *g, bool is_32, bool tracked)
{
	struct kvm_sregs sregs;

	*s = (struct tasks) { .g = g, .is_32 = is_32, .tracked = tracked };
	s->old = addr_gpa2hva(g->vm, tg_data(1));
	s->new = addr_gpa2hva(g->vm, tg_data(2));
	memset(s->old, 0, PAGE_SIZE);
	memset(s->new, 0, PAGE_SIZE);
	if (is_32)	/* is read from there, but not written */
		((struct tss32 *)s->old)->cr3 = g->root;

	s->gdt[CODE_SEL / 8] = descriptor(0, 0xfffff, 0x9b, 0xc);
	s->gdt[DATA_SEL / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
	s->gdt[OLD_SEL / 8] = tss_descriptor(s, OLD_VA, true);
	s->gdt[NEW_SEL / 8] = tss_descriptor(s, NEW_VA, false);
	memcpy(addr_gpa2hva(g->vm, tg_translate(g, GDT_VA)), s->gdt, GDT_SIZE);

	vcpu_sregs_get(g->vcpu, &sregs);
	sregs.gdt.base = GDT_VA;
	sregs.gdt.limit = GDT_SIZE - 1;
	sregs.tr.base = OLD_VA;
	sregs.tr.limit = is_32 ? 0x67 : 0x2b;
	sregs.tr.type = (is_32 ? TYPE_TSS32 : TYPE_TSS16) | TYPE_BUSY;
	vcpu_sregs_set(g->vcpu, &sregs);

	if (tracked) {
		tracker_create(g->vm, &s->t, 64, 0, 0);
		tracker_add(&s->t, tg_data(0), 3 * PAGE_SIZE, TRACKER_NOTIFY);
	}
}

static void expect_write(struct tasks *s, uint64_t va, const void *data, int len)
{
	struct kvm_page_track_event want;

	if (!s->tracked)
		return;

	want = tracker_write_event(s->g, va, tg_translate(s->g, va), data, len);
	TRACKER_ASSERT_EVENT(&s->t, &want);
}

/* The CPU marks the task of @sel busy or not. */
static void expect_busy(struct tasks *s, int sel, bool busy)
{
	if (s->rom)
		return;

	s->gdt[sel / 8] = tss_descriptor(s, sel == OLD_SEL ? OLD_VA : NEW_VA, busy);
	expect_write(s, GDT_VA + sel, &s->gdt[sel / 8], 8);
}

/* The CPU has left the task at @va with the state in @tss; 16 bits are written as a whole. */
static void expect_saved(struct tasks *s, uint64_t va, uint8_t *tss)
{
	if (s->is_32)
		expect_write(s, va + SAVED32_FROM, tss + SAVED32_FROM, SAVED32_SIZE);
	else
		expect_write(s, va, tss, sizeof(struct tss16));
}

/* Execute @insn, which leads to the new task, and @back there, which leads here again. */
static void run(struct tasks *s, const uint8_t *insn, int len, const uint8_t *back, int back_len)
{
	static const uint8_t out[] = { 0xe6, 0x70 };
	uint8_t *code = addr_gpa2hva(s->g->vm, CODE_GPA);
	struct kvm_regs regs = {
		.rax = 1, .rcx = 2, .rdx = 3, .rbx = 4, .rsp = 5, .rbp = 6, .rsi = 7, .rdi = 8,
		.rip = CODE_GPA, .rflags = X86_EFLAGS_FIXED | EFLAGS_CARRY,
	}, after;

	memcpy(code, insn, len);
	memcpy(code + len, out, sizeof(out));
	memcpy(code + 0x100, back, back_len);
	set_tss(s, s->new, CODE_GPA + 0x100, X86_EFLAGS_FIXED, 0x11);

	vcpu_regs_set(s->g->vcpu, &regs);
	vcpu_run(s->g->vcpu);
	tg_assert_ended(s->g);

	vcpu_regs_get(s->g->vcpu, &after);
	regs.rip = CODE_GPA + len;
	after.rip = regs.rip;	/* of the OUT or behind it */
	TEST_ASSERT(!memcmp(&regs, &after, sizeof(regs)), "The old task has other registers");
}

/* All that was written was told, and memory is as it was wanted. */
static void expect_memory(struct tasks *s, const void *old, const void *new)
{
	size_t size = s->is_32 ? sizeof(struct tss32) : sizeof(struct tss16);

	TEST_ASSERT(!memcmp(s->old, old, size), "The old TSS differs");
	TEST_ASSERT(!memcmp(s->new, new, size), "The new TSS differs");
	TEST_ASSERT(!memcmp(addr_gpa2hva(s->g->vm, tg_translate(s->g, GDT_VA)), s->gdt, GDT_SIZE),
		    "The GDT differs");
	if (!s->tracked)
		return;

	TRACKER_ASSERT_EMPTY(&s->t);
	tracker_close(&s->t);
}

/* A CALL links the new task to the old one, to which IRET leads. */
static void call_and_return(struct tasks *s)
{
	static const uint8_t call[] = { 0x9a, 0, 0, 0, 0, NEW_SEL, 0 }, iret[] = { 0xcf };
	static const uint32_t link = OLD_SEL;
	int link_size = s->is_32 ? 4 : 2;
	struct tss32 old = {}, new = {};

	run(s, call, sizeof(call), iret, sizeof(iret));

	set_tss(s, &old, CODE_GPA + sizeof(call), X86_EFLAGS_FIXED | EFLAGS_CARRY, 1);
	/* IRET clears NT before it saves flags. */
	set_tss(s, &new, CODE_GPA + 0x100 + sizeof(iret), X86_EFLAGS_FIXED, 0x11);
	memcpy(&new, &link, link_size);

	expect_saved(s, OLD_VA, (uint8_t *)&old);
	expect_write(s, NEW_VA, &link, link_size);
	expect_busy(s, NEW_SEL, true);
	expect_busy(s, NEW_SEL, false);
	expect_saved(s, NEW_VA, (uint8_t *)&new);
	expect_memory(s, &old, &new);
}

static void jump_and_back(struct tasks *s)
{
	static const uint8_t jump[] = { 0xea, 0, 0, 0, 0, NEW_SEL, 0 };
	static const uint8_t back[] = { 0xea, 0, 0, 0, 0, OLD_SEL, 0 };
	struct tss32 old = {}, new = {};

	run(s, jump, sizeof(jump), back, sizeof(back));

	set_tss(s, &old, CODE_GPA + sizeof(jump), X86_EFLAGS_FIXED | EFLAGS_CARRY, 1);
	set_tss(s, &new, CODE_GPA + 0x100 + sizeof(back), X86_EFLAGS_FIXED, 0x11);

	expect_busy(s, OLD_SEL, false);
	expect_saved(s, OLD_VA, (uint8_t *)&old);
	expect_busy(s, NEW_SEL, true);
	expect_busy(s, NEW_SEL, false);
	expect_saved(s, NEW_VA, (uint8_t *)&new);
	expect_busy(s, OLD_SEL, true);
	expect_memory(s, &old, &new);
}

static void test_all(struct tiny_guest *g, void (*test)(struct tasks *s))
{
	struct tasks s;
	int i;

	tg_map(g, CODE_GPA, CODE_GPA);
	for (i = 0; i < 3; i++)
		tg_map(g, GDT_VA + i * PAGE_SIZE, tg_data(i));

	for (i = 0; i < 4; i++) {
		tg_reset_vcpu(g);
		init(&s, g, i & 1, i & 2);
		test(&s);
	}
}

static void test_call(struct tiny_guest *g)
{
	test_all(g, call_and_return);
}

static void test_jump(struct tiny_guest *g)
{
	test_all(g, jump_and_back);
}

/* A task is not marked busy there, and is switched to all the same. */
static void test_rom(struct tiny_guest *g)
{
	struct tasks s;
	int i;

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS, ROM_GPA, TG_NR_SLOTS, 1,
				    KVM_MEM_READONLY);
	tg_map(g, CODE_GPA, CODE_GPA);
	tg_map(g, GDT_VA, ROM_GPA);
	tg_map(g, OLD_VA, tg_data(1));
	tg_map(g, NEW_VA, tg_data(2));

	for (i = 0; i < 2; i++) {
		tg_reset_vcpu(g);
		init(&s, g, i, false);
		s.rom = true;
		call_and_return(&s);
	}
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "CALL and IRET", test_call, TG_32_BIT },
		{ "JMP and JMP", test_jump, TG_32_BIT },
		{ "CALL and IRET, with the GDT in ROM", test_rom, TG_32_BIT },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
