// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 3: trackers of a VM that another process runs.
 *
 * Who has the VM's file descriptor, by pidfd_getfd() or from the VMM, may still not
 * have a say in its guest: KVM's ioctls are for the process that made the VM.  A
 * tracker sees what the guest writes and can hold it up, which is what a debugger
 * may do to the VMM.  So it takes what ptrace() asks for to attach to any process.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/uaccess.h>

#include "page_track_fd.h"
#include "page_track_user.h"

int kvm_dev_ioctl_attach_page_tracker(const void __user *argp)
{
	struct kvm_create_page_tracker create;
	struct kvm *kvm;

	if (copy_from_user(&create, argp, sizeof(create)))
		return -EFAULT;

	/* Holds the VM until the tracker does. */
	CLASS(fd, f)(create.vm_fd);
	if (fd_empty(f))
		return -EBADF;

	if (!file_is_kvm(fd_file(f)))
		return -EINVAL;

	/*
	 * Not the file's opener, nor the namespace of current: whoever has all
	 * capabilities in a namespace of its own has none over the VMM.
	 */
	kvm = fd_file(f)->private_data;
	if (!ns_capable(kvm->mm->user_ns, CAP_SYS_PTRACE))
		return -EPERM;

	if (kvm->vm_dead)
		return -EIO;

	return page_track_create_fd(kvm, &create, true);
}
