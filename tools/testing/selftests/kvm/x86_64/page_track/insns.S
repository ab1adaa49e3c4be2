/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every instruction that KVM's emulator can execute and that writes memory, as
 * tables for 64-bit, 32-bit and 16-bit code: a piece of code of 32 bytes that
 * ends with an OUT, and a struct exact_insn.
 *
 *	insn NR, LEN, TEXT
 *
 * It writes NR pieces of LEN bytes each, or, without any, has KVM give up tracking
 * the page.  The symbol "undefined" has the flags whose value is not defined.
 */
#include "exact.h"

#define CF	0x001
#define PF	0x004
#define AF	0x010
#define ZF	0x040
#define SF	0x080
#define OF	0x800

/* Pieces of code and their descriptions, in two sections. */
.macro table name
.section .rodata.exact_\name\()_code, "a"
.balign 32
.global exact_\name\()_code
exact_\name\()_code:
.section .rodata.exact_\name, "a"
.balign 64
.global exact_\name
exact_\name:
.macro insn nr, len, text:vararg
	.section .rodata.exact_\name\()_code, "a"
	\text
	out %al, $EXACT_END_PORT
	.balign EXACT_CODE_SIZE, 0xf4
	.section .rodata.exact_\name, "a"
	.word \nr, \len, undefined
	.asciz "\text"
	.balign 64
.endm
.endm

.macro end_table name
.section .rodata.exact_\name, "a"
.global exact_\name\()_end
exact_\name\()_end:
.purgem insn
.endm

.code64
table 64
#define BITS	64
#define MEM	(%rdi)
#define SRC	(%rsi)
#include "insns_common.S"
#define MEM	(%rdi)
#define SRC	(%rsi)
	.set undefined, AF | OF
	insn 1, 4, .byte 0xc1, 0x37, 3	/* the other shll $3, MEM */
	.set undefined, 0
	insn 1, 8, mov %rax, MEM
	insn 1, 8, movq $-2, MEM
	insn 1, 8, mov %r9, 8(%rdi, %rcx, 8)
	insn 1, 4, movl $0x12345678, EXACT_GPA + 0x348
	insn 1, 1, movabs %al, EXACT_GPA + 0x348
	insn 1, 4, movabs %eax, EXACT_GPA + 0x348
	insn 1, 8, movabs %rax, EXACT_GPA + 0x348
	insn 1, 8, movnti %rax, MEM
	insn 1, 2, movbe %ax, MEM
	insn 1, 4, movbe %eax, MEM
	insn 1, 8, movbe %rax, MEM
	insn 1, 16, movdqa %xmm9, MEM
	insn 1, 2, data16 mov %ss, MEM
	insn 1, 2, rex.W mov %ds, MEM
	insn 1, 2, sldt MEM
	insn 1, 2, rex.W sldt MEM
	insn 1, 2, str MEM
	insn 1, 2, rex.W str MEM
	insn 1, 2, rex.W smsw MEM
	insn 1, 2, rex.W fnstcw MEM
	insn 1, 10, sgdt MEM
	insn 1, 10, data16 sidt MEM

	insn 1, 8, push %rax
	insn 1, 8, push %rsp
	insn 1, 8, push $-2
	insn 1, 8, push $0x12345678
	insn 1, 8, push SRC
	insn 1, 8, push 8(%rsp)
	insn 1, 8, push %fs
	insn 1, 2, pushw %gs
	insn 1, 8, pushf
	insn 1, 8, pop MEM
	insn 1, 8, pop 8(%rsp)
	insn 1, 8, enter $16, $0
	insn 1, 8, call . + 5
	insn 1, 8, call *SRC
	insn 2, 4, lcall *8(%rsi)
	insn 2, 8, rex.W lcall *16(%rsi)

	insn 1, 8, stosq
	insn 3, 8, rep stosq
	insn 1, 8, movsq
	insn 3, 8, rep movsq
	insn 1, 4, addr32 stosl
	insn 3, 4, addr32 rep movsl

	insn 0, 0, enter $16, $1
	insn 0, 0, int $0x21
	insn 0, 0, cmpxchg16b MEM
	insn 0, 0, lock cmpxchg16b MEM
	insn 0, 0, fxsave MEM
	insn 0, 0, fxsave64 MEM
	insn 0, 0, maskmovdqu %xmm1, %xmm2
	insn 0, 0, pextrd $1, %xmm1, MEM
end_table 64

.code32
table 32
#undef MEM
#undef SRC
#define BITS	32
#define MEM	(%edi)
#define SRC	(%esi)
#include "insns_common.S"
#define MEM	(%edi)
#define SRC	(%esi)
	.set undefined, 0
	insn 1, 1, .byte 0x82, 0x07, 3	/* the other addb $3, MEM */
	insn 1, 4, mov %eax, 8(%edi, %ecx, 8)
	insn 1, 1, mov %al, EXACT_GPA + 0x348
	insn 1, 4, mov %eax, EXACT_GPA + 0x348
	insn 1, 2, movbe %ax, MEM
	insn 1, 4, movbe %eax, MEM
	insn 1, 2, data16 mov %ss, MEM
	insn 1, 2, sldt MEM
	insn 1, 2, str MEM
	insn 1, 6, sgdt MEM
	insn 1, 6, data16 sidt MEM
	insn 1, 160 + 128, fxsave MEM

	insn 1, 4, push %eax
	insn 1, 4, push %esp
	insn 1, 4, push $-2
	insn 1, 4, push $0x12345678
	insn 1, 4, push SRC
	insn 1, 4, push 8(%esp)
.irp sreg, es, cs, ss, ds, fs, gs
	insn 1, 2, push %\sreg	/* the upper half may stay as it is */
	insn 1, 2, pushw %\sreg
.endr
	insn 1, 4, pushf
	insn 8, 4, pusha
	insn 8, 2, pushaw
	insn 1, 4, pop MEM
	insn 1, 4, pop 8(%esp)
	insn 1, 4, enter $16, $0
	insn 1, 4, call . + 5
	insn 1, 4, call *SRC
	insn 2, 4, lcall *8(%esi)
	insn 2, 4, lcall $8, $EXACT_LANDING
	insn 1, 4, addr16 stosl
	insn 3, 4, addr16 rep movsl

	insn 0, 0, enter $16, $1
	insn 0, 0, arpl %ax, MEM
	insn 0, 0, int $0x21
end_table 32

.code16
table 16
#undef MEM
#undef SRC
#define BITS	16
#define MEM	(%di)
#define SRC	(%si)
#include "insns_common.S"
#define MEM	(%di)
#define SRC	(%si)
	.set undefined, 0
	insn 1, 4, mov %eax, 8(%bx, %di)
	insn 1, 4, mov %eax, 8(%edi, %ecx, 8)
	insn 1, 1, mov %al, EXACT_GPA + 0x348
	insn 1, 2, mov %ax, EXACT_GPA + 0x348
	insn 1, 4, mov %eax, EXACT_GPA + 0x348
	insn 1, 6, sgdtl MEM
	insn 1, 6, sidtw MEM
	insn 1, 160 + 128, fxsave MEM

	insn 1, 4, push %eax
	insn 1, 2, push %sp
	insn 1, 4, pushl $0x12345678
	insn 1, 4, pushl SRC
.irp sreg, es, cs, ss, ds, fs, gs
	insn 1, 2, push %\sreg
.endr
	insn 1, 4, pushfl
	insn 8, 2, pusha
	insn 8, 4, pushal
	insn 1, 4, popl MEM
	insn 1, 2, enter $16, $0
	insn 1, 2, call . + 3
	insn 1, 2, call *SRC
	insn 2, 2, lcall *32(%si)
	insn 2, 2, lcall $0, $EXACT_LANDING
	insn EXACT_ANY, 2, int $0x21
	insn EXACT_ANY, 2, int3

	insn 0, 0, enter $16, $1
end_table 16

/* For page_track_exact_crossing_test. */
#define SOURCE	EXACT_SOURCE
	.set undefined, 0
.code64
table cross_64
#undef MEM
#undef SRC
#define BITS	64
#define MEM	(%rdi)
#define SRC	(%rsi)
#include "insns_cross.S"
end_table cross_64

.code32
table cross_32
#define BITS	32
#define MEM	(%edi)
#define SRC	(%esi)
#include "insns_cross.S"
end_table cross_32

.code16
table cross_16
#define BITS	16
#define MEM	(%di)
#define SRC	(%si)
#include "insns_cross.S"
end_table cross_16

/* For page_track_exact_step_test. */
.code64
#define MEM	(%rdi)
table step
	insn 1, 8, mov %rax, MEM
	insn 1, 8, lock add %rax, MEM
	insn 1, 8, push %rax
	insn 1, 1, movsb
	insn 1, 1, rep movsb
	insn 1, 8, rep movsq
	insn 1, 4, stosl
	insn 1, 4, rep stosl
	insn 1, 8, rep stosq
	insn 1, 4, movss %xmm1, MEM
	insn 1, 512, fxsave MEM
end_table step

.section .note.GNU-stack, "", @progbits
