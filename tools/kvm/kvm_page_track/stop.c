// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "stop.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
static int signalled;

static void on_signal(int signal)
{
	(void)signal;
	__atomic_store_n(&signalled, 1, __ATOMIC_RELAXED);
}

void heed_signals(void)
{
	/* Without SA_RESTART: what waits is to come back.  The second signal is deadly. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
}

bool stopped(void)
{
	return __atomic_load_n(&signalled, __ATOMIC_RELAXED);
}

int poll_until_stopped(struct pollfd *fds, int nr, int milliseconds)
{
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000l };
	sigset_t set, before;
	int ready = -1;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &before);
	errno = EINTR;
	if (!stopped())
		ready = ppoll(fds, nr, milliseconds < 0 ? NULL : &time, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ready;
}
