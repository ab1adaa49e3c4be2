// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hand a page tracker of QEMU's VM to another process, when preloaded into QEMU.
 *
 * Only the process that created a VM may create a tracker of it; any may use one.  So
 * create a tracker as soon as there is a VM, and send it to the socket that the
 * variable HANDOVER names.  To read the guest's memory, the other process has to know
 * where QEMU has it: memory slots follow, see handover.h.
 *
 * QEMU must not notice: what fails is said on stderr, and not tried again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "handover.h"

static int (*next_ioctl)(int fd, unsigned long request, ...);

/* Of the first VM.  QEMU's lock of its memory slots protects them. */
static int vm = -1, sock = -1;

static void give_up(const char *what)
{
	fprintf(stderr, "handover: %s: %s\n", what, strerror(errno));
	if (sock >= 0)
		close(sock);
	sock = -1;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);

	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return sock < 0 ? -1 : connect(sock, (void *)&address, sizeof(address));
}

/* Send @region, and @fd if it is one, unless that would have to wait. */
static int send_region(struct kvm_userspace_memory_region *region, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(fd))];
	} control = {
		.header.cmsg_len = CMSG_LEN(sizeof(fd)),
		.header.cmsg_level = SOL_SOCKET,
		.header.cmsg_type = SCM_RIGHTS,
	};
	struct iovec data = { .iov_base = region, .iov_len = sizeof(*region) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	return sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static void hand_over(const char *path)
{
	/* A full ring must not stop vCPUs: QEMU does not know that exit. */
	struct kvm_create_page_tracker create = {
		.flags = KVM_PAGE_TRACKER_LOSSY,
		.nr_events = HANDOVER_EVENTS,
	};
	struct kvm_userspace_memory_region none = {};
	int tracker = next_ioctl(vm, KVM_CREATE_PAGE_TRACKER, &create);

	if (tracker < 0) {
		give_up("no page tracker");
		return;
	}

	if (connect_to(path) || send_region(&none, tracker))
		give_up(path);

	/* It lives as long as the one who has it. */
	close(tracker);
}

int ioctl(int fd, unsigned long request, ...)
{
	const char *path;
	va_list list;
	void *arg;
	int r, error;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);

	if (!next_ioctl)
		next_ioctl = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");

	r = next_ioctl(fd, request, arg);
	error = errno;

	switch (request) {
	case KVM_CREATE_VM:
		path = getenv("HANDOVER");
		if (r >= 0 && vm < 0 && path) {
			vm = r;
			hand_over(path);
		}
		break;
#ifdef KVM_SET_USER_MEMORY_REGION2
	case KVM_SET_USER_MEMORY_REGION2: /* begins like the other */
#endif
	case KVM_SET_USER_MEMORY_REGION:
		if (!r && fd == vm && sock >= 0 && send_region(arg, -1))
			give_up("a memory slot");
		break;
	}

	errno = error;
	return r;
}
