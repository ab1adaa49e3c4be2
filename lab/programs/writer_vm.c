// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: writer_vm [SECOND]
 *
 * A VMM that knows nothing of page tracking, for the test of kvm-page-track.  Its guest,
 * in real mode, adds one to the 16-bit word at 0x2010 and writes the result to 0x3020
 * as well, 100 times a second at most.  On stdout, every time "0x2010 VALUE 0x3020 VALUE" is
 * asked for by a line on stdin, what is there now.  Any exit but that of HLT ends it with
 * status 3.  With SECOND, the process has a second VM, which does nothing.
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

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int run(int vcpu, struct kvm_run *run, const char *memory)
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
		printf("0x2010 %u 0x3020 %u\n", *(uint16_t *)(memory + 0x2010),
		       *(uint16_t *)(memory + 0x3020));
	}
}

int main(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu;
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *shared;
	char *memory;

	(void)argv;
	if (vm < 0 || (argc > 1 && ioctl(kvm, KVM_CREATE_VM, 0) < 0))
		return fail("no VM");

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return fail("mmap");
	memcpy(memory + regs.rip, code, sizeof(code));
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
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return fail("no registers");

	setlinebuf(stdout);
	puts("runs");
	return run(vcpu, shared, memory);
}
