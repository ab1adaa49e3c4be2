/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tiny guest of page_track.h executes: one piece of 32 bytes for each
 * enum pt_op, in its order.  Without a REX prefix, 64-bit code that uses the
 * lower eight registers is 32-bit code, too.
 */
.macro pt_end
	out %al, $0x70
	.balign 32, 0xf4
.endm

.macro pt_op insn:vararg
	\insn
	pt_end
.endm

.section .rodata
.balign 32
.global pt_ops
pt_ops:
	pt_op mov (%rdi), %eax
	pt_op mov %al, (%rdi)
	pt_op mov %ax, (%rdi)
	pt_op mov %eax, (%rdi)
	pt_op mov %rax, (%rdi)
	movd %eax, %mm0
	movd %edx, %mm1
	punpckldq %mm1, %mm0
	movq %mm0, (%rdi)
	emms
	pt_end
	movd %eax, %xmm0
	movd %edx, %xmm1
	punpckldq %xmm1, %xmm0
	punpcklqdq %xmm0, %xmm0
	movdqu %xmm0, (%rdi)
	pt_end
	pt_op xchg %al, (%rdi)
	pt_op xchg %ax, (%rdi)
	pt_op xchg %eax, (%rdi)
	pt_op xchg %rax, (%rdi)
	pt_op lock or %eax, (%rdi)
	pt_op lock and %eax, (%rdi)
	pt_op lock xadd %eax, (%rdi)
	pt_op lock cmpxchg %ecx, (%rdi)
	pt_op lock cmpxchg %rcx, (%rdi)
	pt_op lock cmpxchg8b (%rdi)
	pt_op lock cmpxchg16b (%rdi)
	pt_op rep stosl
	pt_op rep movsb
	mov %edi, %esp
	push %rax
	pt_end
	pt_op fxsave (%rdi)
	pt_op xsave (%rdi)
	pt_op vmovups %ymm0, (%rdi)
	pt_op invlpg (%rdi)
	pt_op mov %rax, %cr3
	mov %cr4, %rcx
	xor $0x80, %cl
	mov %rcx, %cr4
	xor $0x80, %cl
	mov %rcx, %cr4
	pt_end
1:	mov %eax, (%rdi)
	cmpl $0, (%rsi)
	je 1b
	mov %edx, (%rdi)
	pt_end
	mov %edi, %esp
	lea 1f(%rip), %rax
	mov %rax, (%rsi)
	call *(%rsi)
1:	pt_end
	pt_op insb
	mov %edi, %esp
	.byte 0x60	/* pusha */
	pt_end
.global pt_ops_end
pt_ops_end:

.section .note.GNU-stack, "", @progbits
