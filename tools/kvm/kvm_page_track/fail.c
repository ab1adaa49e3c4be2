// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"

static bool in_progress;

static void say(const char *format, va_list list)
{
	fprintf(stderr, "%skvm-page-track: ", in_progress ? "\r\33[K" : "");
	vfprintf(stderr, format, list);
}

static void say_line(const char *format, va_list list)
{
	say(format, list);
	fputc('\n', stderr);
	in_progress = false;
}

void fail(enum exit_status status, const char *format, ...)
{
	va_list list;

	fflush(stdout);
	va_start(list, format);
	say_line(format, list);
	va_end(list);
	exit(status);
}

void note(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_line(format, list);
	va_end(list);
}

void progress(const char *format, ...)
{
	va_list list;

	if (!isatty(STDERR_FILENO))
		return;

	va_start(list, format);
	say(format, list);
	va_end(list);
	in_progress = true;
}

void *resize(void *old, unsigned long number, unsigned long size)
{
	void *new = number && size > SIZE_MAX / number ? NULL : realloc(old, number * size);

	if (!new && number)
		fail(STATUS_OTHER, "no memory");
	return new;
}

void flush_stdout(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return;

	if (errno == EINTR) {
		clearerr(stdout);
		return;
	}
	if (errno == EPIPE)
		exit(STATUS_DONE);
	fail(STATUS_OTHER, "cannot write: %s", strerror(errno));
}
