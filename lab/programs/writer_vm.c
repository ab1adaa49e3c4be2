// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: writer_vm [second | tables | float | push]
 *
 * A VMM that knows nothing of page tracking, for the test of kvm-page-track.  Its guest,
 * in real mode, adds one to the 16-bit word at 0x2010 and writes the result to 0x3020
 * as well, 100 times a second at most.  On stdout, every time "0x2010 VALUE 0x3020 VALUE" is
 * asked for by a line on stdin, what is there now.  Any exit but that of HLT ends it with
 * status 3.  With "second", the process has a second VM, which does nothing.  With "tables",
 * the guest is in 64-bit mode, see TABLES, and the words are at 0x2010 and 0x5020.  With
 * "float", it writes a float to 0x2010, by an instruction that KVM cannot emulate, and with
 * "push" 9 words below 0x2100, 8 of them by one instruction.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY	0x10000

static const char code[] =
	"\x40"			/* 1: inc %ax */
	"\xa3\x10\x20"		/* mov %ax, 0x2010 */
	"\xa3\x20\x30"		/* mov %ax, 0x3020 */
	"\xf4"			/* hlt */
	"\xeb\xf6";		/* jmp 1b */

static const char code_float[] =
	"\x40"			/* 1: inc %ax */
	"\xdb\xe3"		/* fninit */
	"\xd9\xe8"		/* fld1 */
	"\xd9\x16\x10\x20"	/* fsts 0x2010 */
	"\xa3\x20\x30"		/* mov %ax, 0x3020 */
	"\xf4"			/* hlt */
	"\xeb\xf1";		/* jmp 1b */

static const char code_push[] =
	"\xbc\x00\x21"		/* 1: mov $0x2100, %sp */
	"\x60"			/* pusha */
	"\x50"			/* push %ax */
	"\xf4"			/* hlt */
	"\xeb\xf8";		/* jmp 1b */

/*
 * Four levels of page tables at TABLES, TABLES + 0x1000 and so on.  VA is gpa 0x2000,
 * VA + 0x1000 is 0x5000, and VA + 0x10000, the code, 0x1000.  From VA + 2M on, a large page
 * is gpa 0, and from VA + 4M on, the table is where there is no memory.
 */
#define TABLES	0x8000
#define VA	0x7f0000000000ull

static const char code_64[] =
	"\xff\xc0"			/* 1: inc %eax */
	"\x66\x41\x89\x40\x10"	/* mov %ax, 0x10(%r8) */
	"\x66\x41\x89\x80\x20\x10\x00\x00"	/* mov %ax, 0x1020(%r8) */
	"\xf4"			/* hlt */
	"\xeb\xee";		/* jmp 1b */

static void make_tables(char *memory, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	uint64_t *tables[5];
	int i;

	/* Present, writable, accessed, dirty. */
	for (i = 0; i < 5; i++)
		tables[i] = (uint64_t *)(memory + TABLES + i * 0x1000);
	tables[0][0] = (TABLES + 0x1000) | 0x63;
	tables[0][VA >> 39] = (TABLES + 0x1000) | 0x63;
	tables[1][0] = (TABLES + 0x2000) | 0x63;
	tables[2][0] = (TABLES + 0x3000) | 0x63;
	tables[2][1] = 0 | 0xe3;
	tables[2][2] = 0x100000 | 0x63;
	tables[3][0] = 0x2000 | 0x63;
	tables[3][1] = 0x5000 | 0x63;
	tables[3][0x10] = 0x1000 | 0x63;

	memcpy(memory + 0x1000, code_64, sizeof(code_64));
	regs->rip = VA + 0x10000;
	regs->r8 = VA;
	sregs->cr3 = TABLES;
	sregs->cr4 = 0x20;		/* PAE */
	sregs->efer = 0x500;		/* LME, LMA */
	sregs->cr0 |= 0x80000001;	/* PG, PE */
	sregs->cs.l = 1;
	sregs->cs.db = 0;
}

/* 64-bit mode wants a CPU that has it. */
static int set_cpuid(int kvm, int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };

	return ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) || ioctl(vcpu, KVM_SET_CPUID2, &cpuid);
}

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int run(int vcpu, struct kvm_run *run, const char *memory, int second)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[80];

	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) && errno != EINTR)
			return fail("KVM_RUN");
		if (run->exit_reason != KVM_EXIT_HLT && run->exit_reason != KVM_EXIT_INTR) {
			fprintf(stderr, "writer_vm: exit %u\n", run->exit_reason);
			return 3;
		}
		if (poll(&in, 1, 10) <= 0)
			continue;
		if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
			return 0;
		printf("0x2010 %u 0x%x %u\n", *(uint16_t *)(memory + 0x2010), second,
		       *(uint16_t *)(memory + second));
	}
}

int main(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu;
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;
	const char *mode = argc > 1 ? argv[1] : "";
	int tables = !strcmp(mode, "tables");
	struct kvm_run *shared;
	char *memory;

	if (vm < 0 || (!strcmp(mode, "second") && ioctl(kvm, KVM_CREATE_VM, 0) < 0))
		return fail("no VM");

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return fail("mmap");
	memcpy(memory + regs.rip, code, sizeof(code));
	if (!strcmp(mode, "float"))
		memcpy(memory + regs.rip, code_float, sizeof(code_float));
	if (!strcmp(mode, "push"))
		memcpy(memory + regs.rip, code_push, sizeof(code_push));
	slot.userspace_addr = (uintptr_t)memory;

	vcpu = -1;
	if (!ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) &&
	    !ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	shared = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		      MAP_SHARED, vcpu, 0);
	if (shared == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return fail("no vCPU");

	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (tables)
		make_tables(memory, &regs, &sregs);
	if (tables && set_cpuid(kvm, vcpu))
		return fail("no CPUID");
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return fail("no registers");

	setlinebuf(stdout);
	puts("runs");
	return run(vcpu, shared, memory, tables ? 0x5020 : 0x3020);
}
