/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the vCPUs of page_track_exact_torn_test execute: a piece of 64 bytes for each
 * enum cell there, in its order.
 *
 * RAX is 0, RDX is all ones.  RCX is how often, R8 and R9 are where from and where to.
 */
.macro end_cell
	out %al, $0x70
	.balign 64, 0xf4
.endm

/* The one value, then the other. */
.macro toggle a, d
1:	mov %\a, (%r9)
	mov %\d, (%r9)
	dec %ecx
	jnz 1b
	end_cell
.endm

/* Stop when what was read is neither of both. */
.macro check a, b, d
	cmp %\a, %\b
	je 2f
	cmp %\d, %\b
	jne 3f
2:	dec %ecx
	jnz 1b
3:	end_cell
.endm

.macro watch a, b, d
1:	mov (%r8), %\b
	check \a, \b, \d
.endm

.macro copy a, b, d, insn:vararg
1:	mov %r8, %rsi
	mov %r9, %rdi
	\insn
	mov (%r9), %\b
	check \a, \b, \d
.endm

.section .rodata
.balign 64
.global exact_torn_code
exact_torn_code:
	toggle ax, dx
	toggle eax, edx
	toggle rax, rdx
	watch ax, bx, dx
	watch eax, ebx, edx
	watch rax, rbx, rdx
	copy ax, bx, dx, movsw
	copy eax, ebx, edx, movsl
	copy rax, rbx, rdx, movsq
1:	lea 8(%r9), %rsp
	push (%r8)
	mov (%r9), %rbx
	check rax, rbx, rdx
1:	mov %r8, %rsp
	pop (%r9)
	mov (%r9), %rbx
	check rax, rbx, rdx
1:	lock incq (%r9)
	dec %ecx
	jnz 1b
	end_cell
.global exact_torn_code_end
exact_torn_code_end:

.section .note.GNU-stack, "", @progbits
