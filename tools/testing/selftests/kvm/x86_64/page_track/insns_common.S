/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What KVM's emulator can execute in any mode and writes memory.  Included by
 * insns.S for each BITS, with the operands that these have:
 *
 *	MEM	where to, SRC where from, by EDI and ESI
 *	TOP	of the stack
 *
 * ECX is a count and the bits of an address, as are EBX, which is a bit behind
 * the operand, and EBP, which is one before it.  See exact.c.
 */

/* With LOCK and without. */
.macro both nr, len, text:vararg
	insn \nr, \len, \text
	insn \nr, \len, lock \text
.endm

.macro alu op
	both 1, 1, \op %al, MEM
	both 1, 2, \op %ax, MEM
	both 1, 4, \op %eax, MEM
	both 1, 1, \op\()b $0x5a, MEM
	both 1, 2, \op\()w $-2, MEM
	both 1, 2, \op\()w $0x1234, MEM
	both 1, 4, \op\()l $-2, MEM
	both 1, 4, \op\()l $0x12345678, MEM
#if BITS == 64
	both 1, 8, \op %rax, MEM
	both 1, 8, \op\()q $-2, MEM
	both 1, 8, \op\()q $0x12345678, MEM
#endif
.endm

.macro unary op
	both 1, 1, \op\()b MEM
	both 1, 2, \op\()w MEM
	both 1, 4, \op\()l MEM
#if BITS == 64
	both 1, 8, \op\()q MEM
#endif
.endm

.macro shift op, count
	insn 1, 1, \op\()b \count, MEM
	insn 1, 2, \op\()w \count, MEM
	insn 1, 4, \op\()l \count, MEM
#if BITS == 64
	insn 1, 8, \op\()q \count, MEM
#endif
.endm

.macro shift_by count
.irp op, rol, ror, rcl, rcr, shl, shr, sar
	shift \op, \count
.endr
.endm

.macro double_shift op
	insn 1, 2, \op $3, %ax, MEM
	insn 1, 4, \op $3, %eax, MEM
	insn 1, 2, \op %cl, %ax, MEM
	insn 1, 4, \op %cl, %eax, MEM
#if BITS == 64
	insn 1, 8, \op $3, %rax, MEM
	insn 1, 8, \op %cl, %rax, MEM
#endif
.endm

.macro bit op
	both 1, 2, \op\()w $3, MEM
	both 1, 4, \op\()l $35, MEM
.irp reg, cx, bx, bp
	both 1, 2, \op %\reg, MEM
	both 1, 4, \op %e\reg, MEM
#if BITS == 64
	both 1, 8, \op %r\reg, MEM
#endif
.endr
#if BITS == 64
	both 1, 8, \op\()q $35, MEM
#endif
.endm

.macro exchange op
	both 1, 1, \op %cl, MEM
	both 1, 2, \op %cx, MEM
	both 1, 4, \op %ecx, MEM
#if BITS == 64
	both 1, 8, \op %rcx, MEM
#endif
.endm

.macro string op
	insn 1, 1, \op\()b
	insn 1, 2, \op\()w
	insn 1, 4, \op\()l
	insn 3, 1, rep \op\()b
	insn 3, 2, rep \op\()w
	insn 3, 4, rep \op\()l
.endm

	.set undefined, 0
	alu add
	alu adc
	alu sbb
	alu sub
	.set undefined, AF
	alu or
	alu and
	alu xor

	.set undefined, 0
	unary inc
	unary dec
	unary not
	unary neg

	.set undefined, AF
	shift_by $1
	.set undefined, AF | OF
	shift_by $3
	shift_by %cl
	double_shift shld
	double_shift shrd

	.set undefined, OF | SF | AF | PF
	bit bts
	bit btr
	bit btc

	.set undefined, 0
	exchange xchg
	exchange xadd
	exchange cmpxchg
	both 1, 8, cmpxchg8b MEM

	insn 1, 1, mov %al, MEM
	insn 1, 1, mov %ah, MEM
	insn 1, 2, mov %ax, MEM
	insn 1, 4, mov %eax, MEM
	insn 1, 1, movb $0x5a, MEM
	insn 1, 2, movw $0x1234, MEM
	insn 1, 4, movl $0x12345678, MEM
	insn 1, 4, movnti %eax, MEM
	insn 1, 2, mov %ds, MEM

.irp cc, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
	insn 1, 1, set\cc MEM
.endr

	insn 1, 8, movq %mm1, MEM
.irp op, movups, movupd, movaps, movapd, movdqu, movdqa, movntps, movntpd, movntdq
	insn 1, 16, \op %xmm1, MEM
.endr

	insn 1, 2, smsw MEM
	insn 1, 2, fnstcw MEM
	insn 1, 2, fnstsw MEM

	insn 1, 2, push %ax
	insn 1, 2, pushw $-2
	insn 1, 2, pushw $0x1234
	insn 1, 2, pushw SRC
	insn 1, 2, pushfw
	insn 1, 2, popw MEM

	string stos
	string movs
	string ins

	/* The emulator does not know these. */
	insn 0, 0, movss %xmm1, MEM
	insn 0, 0, movsd %xmm1, MEM
	insn 0, 0, movd %mm1, MEM
	insn 0, 0, movd %xmm1, MEM
	insn 0, 0, movq %xmm1, MEM
	insn 0, 0, movlps %xmm1, MEM
	insn 0, 0, movhps %xmm1, MEM
	insn 0, 0, movlpd %xmm1, MEM
	insn 0, 0, movhpd %xmm1, MEM
	insn 0, 0, pextrb $3, %xmm1, MEM
	insn 0, 0, pextrw $3, %xmm1, MEM
	insn 0, 0, extractps $3, %xmm1, MEM
	insn 0, 0, movntq %mm1, MEM
	insn 0, 0, stmxcsr MEM
.irp op, fsts, fstps, fstl, fstpl, fstpt, fbstp, fists, fistps, fistl, fistpl, fistpll
	insn 0, 0, \op MEM
.endr
.irp op, fisttps, fisttpl, fisttpll
	insn 0, 0, \op MEM
.endr
	insn 0, 0, fnstenv MEM
	insn 0, 0, fnsave MEM

#if BITS != 16
.irp op, vmovss, vmovsd, vmovd, vmovq, vmovlps, vmovhps, vmovups, vmovdqa, vmovntdq
	insn 0, 0, \op %xmm1, MEM
.endr
.irp op, vmovups, vmovapd, vmovdqu, vmovdqa, vmovntps
	insn 0, 0, \op %ymm1, MEM
.endr
	insn 0, 0, vextractf128 $1, %ymm1, MEM
	insn 0, 0, vpextrw $3, %xmm1, MEM
	insn 0, 0, vmaskmovps %ymm1, %ymm1, MEM
	insn 0, 0, vstmxcsr MEM
#endif

.purgem both
.purgem alu
.purgem unary
.purgem shift
.purgem shift_by
.purgem double_shift
.purgem bit
.purgem exchange
.purgem string
#undef BITS
#undef MEM
#undef SRC
