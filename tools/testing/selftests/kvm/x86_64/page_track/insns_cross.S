/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A choice of instructions whose operand crosses pages, for the crossing test.  Included
 * by insns.S as insns_common.S is.  NR is 0 for a load.
 */
	insn 1, 2, mov %ax, MEM
	insn 1, 4, mov %eax, MEM
	insn 1, 4, movnti %eax, MEM
	insn 0, 4, mov MEM, %eax
	insn 1, 2, add %ax, MEM
	insn 1, 4, notl MEM
	insn 1, 4, lock incl MEM
	insn 1, 4, xchg %ecx, MEM
	insn 1, 4, lock cmpxchg %ecx, MEM
	insn 1, 8, cmpxchg8b MEM
	insn 1, 8, movq %mm1, MEM
	insn 1, 16, movdqu %xmm1, MEM
	insn 1, 2, fnstcw MEM
	insn 1, 2, push %ax
	insn 1, 2, popw MEM
	insn 1, 4, stosl
	insn 1, 4, movsl
	insn 3, 2, rep movsw
	insn 3, 4, rep stosl
	insn 0, 0, movss %xmm1, MEM
	insn 0, 0, movlps %xmm1, MEM
#if BITS == 64
	insn 1, 8, mov %rax, MEM
	insn 1, 8, movnti %rax, MEM
	insn 0, 8, mov MEM, %rax
	insn 1, 8, add %rax, MEM
	insn 1, 8, lock add %rax, MEM
	insn 1, 8, xadd %rcx, MEM
	insn 1, 8, lock cmpxchg %rcx, MEM
	insn 1, 10, sgdt MEM
	insn 1, 8, push %rax
	insn 1, 8, push SRC
	insn 1, 8, pushf
	insn 1, 8, call . + 5
	insn 1, 8, pop MEM
	insn 1, 8, movsq
	insn 3, 8, rep stosq
	insn 0, 0, fxsave MEM
#else
	insn 1, 6, sgdt MEM
	insn 1, 4, push %eax
#endif

/* The same for the operand at ESI; what is written does not cross. */
	insn SOURCE | 1, 2, movsw
	insn SOURCE | 1, 4, movsl
	insn SOURCE | 1, 2, pushw SRC
	insn SOURCE | 3, 2, rep movsw
	insn SOURCE | 3, 4, rep movsl
#if BITS == 64
	insn SOURCE | 1, 8, push SRC
	insn SOURCE | 3, 8, rep movsq
#endif
#undef BITS
#undef MEM
#undef SRC
