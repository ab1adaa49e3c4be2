// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: load ROUNDS
 *
 * Each round forks, and the child executes this program again, which maps, touches
 * and unmaps memory.  All of that is page-table work for the guest's kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAPS	4
#define SIZE	(256ul << 10)

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Map, fill, make read-only, check and unmap MAPS pieces of memory. */
static int map_memory(void)
{
	unsigned long i;
	int map;

	for (map = 1; map <= MAPS; map++) {
		char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return fail("mmap");

		for (i = 0; i < SIZE; i += 4096)
			p[i] = map;

		if (mprotect(p, SIZE, PROT_READ))
			return fail("mprotect");

		for (i = 0; i < SIZE; i += 4096) {
			if (p[i] != map || p[i + 1]) {
				fprintf(stderr, "load: memory is not what was written\n");
				return 1;
			}
		}

		if (munmap(p, SIZE))
			return fail("munmap");
	}

	return 0;
}

int main(int argc, char **argv)
{
	int round, rounds, status;
	pid_t pid;

	if (argc != 2)
		return 2;
	if (!strcmp(argv[1], "map"))
		return map_memory();

	rounds = atoi(argv[1]);
	for (round = 0; round < rounds; round++) {
		pid = fork();
		if (pid < 0)
			return fail("fork");
		if (!pid) {
			execl("/proc/self/exe", argv[0], "map", NULL);
			_exit(fail("exec"));
		}
		if (waitpid(pid, &status, 0) != pid)
			return fail("waitpid");
		if (status) {
			fprintf(stderr, "load: round %d failed, status %d\n", round, status);
			return 1;
		}
	}

	printf("load: %d forks, %d maps\n", round, round * MAPS);
	return 0;
}
