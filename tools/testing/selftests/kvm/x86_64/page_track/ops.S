/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tiny guest of guest.h executes: one piece of 32 bytes for each
 * enum tg_op, in its order.  Without a REX prefix, 64-bit code that uses the
 * lower eight registers is 32-bit code, too.
 */
.macro tg_end
	out %al, $0x70
	.balign 32, 0xf4
.endm

.macro tg_op insn:vararg
	\insn
	tg_end
.endm

.section .rodata
.balign 32
.global tg_ops
tg_ops:
	tg_op mov (%rdi), %eax
	tg_op mov %al, (%rdi)
	tg_op mov %ax, (%rdi)
	tg_op mov %eax, (%rdi)
	tg_op mov %rax, (%rdi)
	movd %eax, %mm0
	movd %edx, %mm1
	punpckldq %mm1, %mm0
	movq %mm0, (%rdi)
	emms
	tg_end
	movd %eax, %xmm0
	movd %edx, %xmm1
	punpckldq %xmm1, %xmm0
	punpcklqdq %xmm0, %xmm0
	movdqu %xmm0, (%rdi)
	tg_end
	tg_op xchg %al, (%rdi)
	tg_op xchg %ax, (%rdi)
	tg_op xchg %eax, (%rdi)
	tg_op xchg %rax, (%rdi)
	tg_op lock or %eax, (%rdi)
	tg_op lock and %eax, (%rdi)
	tg_op lock xadd %eax, (%rdi)
	tg_op lock cmpxchg %ecx, (%rdi)
	tg_op lock cmpxchg %rcx, (%rdi)
	tg_op lock cmpxchg8b (%rdi)
	tg_op lock cmpxchg16b (%rdi)
	tg_op rep stosl
	tg_op rep movsb
	mov %edi, %esp
	push %rax
	tg_end
	tg_op fxsave (%rdi)
	tg_op xsave (%rdi)
	tg_op vmovups %ymm0, (%rdi)
	tg_op movss %xmm0, (%rdi)
	movd %eax, %xmm0
	movd %xmm0, (%rdi)
	tg_end
1:	fxsave (%rdi)
	jmp 1b
	tg_end
	tg_op invlpg (%rdi)
	tg_op mov %rax, %cr3
	mov %cr4, %rcx
	xor $0x80, %cl
	mov %rcx, %cr4
	xor $0x80, %cl
	mov %rcx, %cr4
	tg_end
1:	mov %eax, (%rdi)
	cmpl $0, (%rsi)
	je 1b
	mov %edx, (%rdi)
	tg_end
	mov %edi, %esp
	lea 1f(%rip), %rax
	mov %rax, (%rsi)
	call *(%rsi)
1:	tg_end
	tg_op insb
	mov %edi, %esp
	.byte 0x60	/* pusha */
	tg_end
.global tg_ops_end
tg_ops_end:

.section .note.GNU-stack, "", @progbits
