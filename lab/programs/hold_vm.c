// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hold an idle VM open in the background until the machine powers off.  KVM patches
 * the kernel's code when the first VM comes and when the last one goes, and QEMU may
 * run the half-patched code ("int3" in __schedule): with a VM held it happens once.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
		perror("hold_vm");
		return 1;
	}

	switch (fork()) {
	case -1:
		perror("hold_vm");
		return 1;
	case 0:
		for (;;)
			pause();
	}
	return 0;
}
