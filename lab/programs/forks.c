// SPDX-License-Identifier: GPL-2.0-only
/*
 * /init of the guest of linux_vm.c: NR_FORKS children,
 * one after the other, write to memory that is shared until then, each in its own way, and what
 * they find there in the end goes to the serial port.  There is no C library, the start of which
 * would write more than all of that.
 */
#include <asm/unistd.h>
#include <stdint.h>

#define NR_FORKS	20
#define NR_WORDS	1024

static uint64_t words[NR_WORDS];

static long call(long nr, long a, long b, long c)
{
	register long r10 asm("r10") = 0;
	long r;

	asm volatile("syscall"
		     : "=a" (r) : "a" (nr), "D" (a), "S" (b), "d" (c), "r" (r10)
		     : "rcx", "r11", "memory");
	return r;
}

static void say(const char *s)
{
	for (; *s; s++)
		asm volatile("outb %0, %1" : : "a" (*s), "d" ((uint16_t)0x3f8));
}

static void say_number(uint64_t value)
{
	char digits[18];
	int i;

	for (i = 15; i >= 0; i--, value >>= 4)
		digits[i] = "0123456789abcdef"[value & 15];
	digits[16] = '\n';
	digits[17] = 0;
	say(digits);
}

/* Plain stores, REP STOSB, SSE, LOCK, x87 and a stack of its own. */
static uint64_t write_all(int child)
{
	uint64_t sum = 0, *word;
	int i;

	for (i = 0; i < 64; i++) {
		void *to = (char *)words + i * 100, *p = to;
		long count = 77;

		words[i * 16] += i ^ child;
		asm volatile("rep stosb" : "+D" (p), "+c" (count) : "a" (child) : "memory");
		if (child & 1)
			asm volatile("movups (%0), %%xmm0; paddq %%xmm0, %%xmm0; movups %%xmm0, 8(%0)"
				     : : "r" (to) : "memory", "xmm0");
		if (child & 2)
			asm volatile("lock addq %1, (%0)" : : "r" (to), "r" ((long)child) : "memory");
		if (child & 4)
			asm volatile("fildq (%0); fld1; faddp; fistpq (%0)" : : "r" (to) : "memory");
	}
	for (word = words; word < words + NR_WORDS; word++)
		sum = sum * 31 + *word;
	return sum;
}

__attribute__((force_align_arg_pointer)) void _start(void)
{
	int i, status;
	long pid;

	call(__NR_iopl, 3, 0, 0);
	say("guest: init\n");
	for (i = 0; i < NR_FORKS; i++) {
		pid = call(__NR_fork, 0, 0, 0);
		if (!pid) {
			say_number(write_all(i));
			call(__NR_exit, i, 0, 0);
		}
		status = -1;
		if (call(__NR_wait4, pid, (long)&status, 0) != pid || status != i << 8)
			say("guest: a child has failed\n");
	}
	say("guest: done\n");
	for (;;)
		call(__NR_pause, 0, 0, 0);
}
