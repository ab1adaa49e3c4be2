// SPDX-License-Identifier: GPL-2.0-only
/* A page that is missing, see userfault.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "processor.h"
#include "test_util.h"
#include "userfault.h"

#define TIMEOUT_MS	20000	/* only a bug takes this long */

static int create(void)
{
	return syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

bool userfault_exists(void)
{
	int fd = create();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void userfault_require(void)
{
	__TEST_REQUIRE(userfault_exists(), "userfaultfd() is not there, errno %d", errno);
}

int userfault_open(void *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (unsigned long)page, PAGE_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = create();

	TEST_ASSERT(fd >= 0, "userfaultfd() failed, errno %d", errno);
	TEST_ASSERT(!ioctl(fd, UFFDIO_API, &api), "errno %d", errno);
	TEST_ASSERT(!madvise(page, PAGE_SIZE, MADV_DONTNEED), "errno %d", errno);
	TEST_ASSERT(!ioctl(fd, UFFDIO_REGISTER, &range), "errno %d", errno);
	return fd;
}

bool userfault_await(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&pfd, 1, TIMEOUT_MS) == 1 && read(fd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

void userfault_give(int fd, void *page, const void *data)
{
	struct uffdio_copy copy = {
		.dst = (unsigned long)page,
		.src = (unsigned long)data,
		.len = PAGE_SIZE,
	};

	TEST_ASSERT(!ioctl(fd, UFFDIO_COPY, &copy), "errno %d", errno);
}
