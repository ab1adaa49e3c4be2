// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

#include "fail.h"
#include "stop.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
static int signalled;
static void (*undo)(void);

/* Without SA_RESTART: what waits is to come back. */
static void handle_once(int signal, void (*handler)(int signal))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESETHAND };

	sigaction(signal, &action, NULL);
}

/* It is deadly when this returns. */
static void on_deadly(int signal)
{
	undo();
	raise(signal);
}

static void on_signal(int signal)
{
	__atomic_store_n(&signalled, 1, __ATOMIC_RELAXED);
	if (undo)
		handle_once(signal, on_deadly);
}

void heed_signals(void)
{
	struct sigaction before;
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		/* A shell has SIGINT ignored in the background: there, kill is meant. */
		sigaction(signals[i], NULL, &before);
		if (signals[i] != SIGHUP || before.sa_handler != SIG_IGN)
			handle_once(signals[i], on_signal);
	}
}

void undo_if_killed(void (*fn)(void))
{
	undo = fn;
	handle_once(SIGQUIT, on_deadly);
}

bool stopped(void)
{
	return __atomic_load_n(&signalled, __ATOMIC_RELAXED);
}

void end_if_stopped(void)
{
	if (stopped())
		exit(STATUS_DONE);
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
