// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: limited user|memlock COMMAND [ARGUMENT...]
 *
 * Run COMMAND as a user who may nothing; or as root, but without CAP_IPC_LOCK, and with 64
 * KiB of RLIMIT_MEMLOCK.
 */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY	65534

static int limit_memlock(void)
{
	struct rlimit limit = { 64 << 10, 64 << 10 };

	/* The new program gets what is in this set. */
	return prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) || setrlimit(RLIMIT_MEMLOCK, &limit);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;

	if (strcmp(argv[1], "user") ? limit_memlock() : setgid(NOBODY) || setuid(NOBODY)) {
		perror("limited");
		return 1;
	}

	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
