// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: watch SOCKET
 *
 * Watch a table of pointers in the guest of another process, which hands a page
 * tracker over to SOCKET, see handover.h.  Returns when it can do so, and goes on in
 * the background until that process is gone.
 *
 * "GPA SIZE" on stdin, hexadecimal, says where the table is.  On stdout:
 *   tracker of PID
 *   armed                             no write goes unseen from here on
 *   seen ENTRY OLD NEW RIP CR3 VCPU   an entry was written
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "handover.h"

#define PAGE		4096ull
#define MAX_SLOTS	512

enum { STDIN, SOCKET, TRACKER, NR_FDS };

static struct pollfd fds[NR_FDS] = {
	[STDIN] = { .fd = STDIN_FILENO, .events = POLLIN },
	[SOCKET] = { .events = POLLIN },
	[TRACKER] = { .fd = -1, .events = POLLIN },
};

static struct kvm_page_track_ring *ring;
static pid_t vmm;
static struct kvm_userspace_memory_region slots[MAX_SLOTS];

/* The table, and what it has as far as the events tell. */
static uint64_t table, table_size, *entries;

static void die(const char *format, ...)
{
	int error = errno;
	va_list list;

	fprintf(stderr, "watch: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	exit(1);
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The guest's memory */

static void read_guest(uint64_t gpa, void *to, uint64_t size)
{
	struct kvm_userspace_memory_region *s = slots;
	struct iovec local = { .iov_base = to, .iov_len = size }, remote;

	while (s < slots + MAX_SLOTS && (gpa < s->guest_phys_addr ||
					 gpa + size > s->guest_phys_addr + s->memory_size))
		s++;
	errno = 0;
	if (s == slots + MAX_SLOTS)
		die("no memory slot has 0x%lx to 0x%lx", gpa, gpa + size);

	remote.iov_base = (void *)(s->userspace_addr + gpa - s->guest_phys_addr);
	remote.iov_len = size;
	if (process_vm_readv(vmm, &local, 1, &remote, 1, 0) != (ssize_t)size)
		die("cannot read the memory of process %d", vmm);
}

/* The tracker and its events */

static void map_ring(int fd)
{
	ring = mmap(NULL, PAGE + HANDOVER_EVENTS * sizeof(struct kvm_page_track_event),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		die("cannot map the ring");

	fds[TRACKER].fd = fd;
	printf("tracker of %d\n", vmm);
}

static void arm(uint64_t gpa, uint64_t size)
{
	struct kvm_page_track_range range = {
		.gpa = gpa & -PAGE,
		.size = ((gpa + size + PAGE - 1) & -PAGE) - (gpa & -PAGE),
		.mode = KVM_PAGE_TRACK_MODE_WRITE,
		.action = KVM_PAGE_TRACK_ACTION_NOTIFY,
	};

	entries = malloc(size);
	if (!entries || ioctl(fds[TRACKER].fd, KVM_PAGE_TRACK_ADD_RANGE, &range))
		die("cannot track 0x%lx to 0x%lx", gpa, gpa + size);

	/* Not before: what is written in between would be missing in both. */
	read_guest(gpa, entries, size);
	table = gpa;
	table_size = size;
	printf("armed\n");
}

static void show_event(const struct kvm_page_track_event *e)
{
	uint64_t from = max(e->gpa, table), to = min(e->gpa + e->len, table + table_size);
	static uint8_t data[UINT16_MAX];
	uint64_t i, begin, end, old;

	errno = 0;
	if (!e->len)
		die("rip 0x%llx writes to 0x%llx what KVM cannot tell", e->rip, e->gpa);

	if (e->flags & KVM_PAGE_TRACK_EVENT_TRUNCATED)
		read_guest(e->gpa, data, e->len);
	else
		memcpy(data, e->data, e->len);

	/* Of the write, entry i gets the bytes from begin on, up to end. */
	for (begin = from; begin < to; begin = end) {
		i = (begin - table) / sizeof(*entries);
		end = min(to, table + (i + 1) * sizeof(*entries));
		old = entries[i];
		memcpy((char *)entries + begin - table, data + begin - e->gpa, end - begin);
		printf("seen %lu 0x%016lx 0x%016lx 0x%016llx 0x%llx %u\n", i, old,
		       entries[i], e->rip, e->cr3, e->vcpu_id);
	}
}

static void show_events(void)
{
	struct kvm_page_track_event *events = (void *)((char *)ring + PAGE);
	uint32_t tail = ring->tail;

	while (tail != __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE)) {
		show_event(&events[tail % HANDOVER_EVENTS]);
		__atomic_store_n(&ring->tail, ++tail, __ATOMIC_RELEASE);
	}

	errno = 0;
	if (ring->dropped)
		die("%llu events are lost", ring->dropped);
}

/* The other process, and whoever knows the table */

static void listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		die("too long a path: %s", path);
	strcpy(address.sun_path, path);

	fds[SOCKET].fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (fds[SOCKET].fd < 0 || bind(fds[SOCKET].fd, (void *)&address, sizeof(address)) ||
	    listen(fds[SOCKET].fd, 1))
		die("%s", path);
}

static void accept_vmm(void)
{
	int fd = accept(fds[SOCKET].fd, NULL, NULL);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		die("no connection");

	vmm = peer.pid;
	close(fds[SOCKET].fd);
	fds[SOCKET].fd = fd;
}

/* Returns false when the other end is gone. */
static bool receive(void)
{
	struct kvm_userspace_memory_region region;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = { .iov_base = &region, .iov_len = sizeof(region) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t size = recvmsg(fds[SOCKET].fd, &message, 0);
	int fd;

	if (!size || (size < 0 && errno == ECONNRESET))
		return false;
	if (size != sizeof(region))
		die("not a message of handover.so");

	if (CMSG_FIRSTHDR(&message)) {
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		map_ring(fd);
	}

	/* Slots of the address space of SMM have numbers above. */
	if (region.slot < MAX_SLOTS)
		slots[region.slot] = region;
	return true;
}

static void read_table(void)
{
	char line[80] = "";
	uint64_t gpa, size;
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	errno = 0;
	if (!ring)
		die("no VM has handed its tracker over");
	if (n <= 0 || sscanf(line, "%lx %lx", &gpa, &size) != 2 || !size || entries)
		die("not a table: %s", line);
	arm(gpa, size);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;

	setlinebuf(stdout);
	listen_at(argv[1]);
	if (daemon(1, 1))
		die("no background");

	for (;;) {
		if (poll(fds, NR_FDS, -1) < 0)
			die("poll");

		if (fds[SOCKET].revents) {
			if (!vmm)
				accept_vmm();
			else if (!receive())
				break;
		} else if (fds[STDIN].revents) {
			read_table();
		}
		if (fds[TRACKER].revents)
			show_events();
	}

	if (ring)
		show_events();
	return 0;
}
