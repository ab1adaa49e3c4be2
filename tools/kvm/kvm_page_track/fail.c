// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "stop.h"

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

static noreturn void fail_output(const char *name)
{
	fail(STATUS_OTHER, "cannot write %s: %s", name, strerror(errno));
}

FILE *open_output(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file) {
		end_if_stopped();
		fail_output(path);
	}
	return file;
}

void empty_output(FILE *file, const char *path)
{
	/* EINVAL is of what has no size, as a FIFO. */
	if (ftruncate(fileno(file), 0) && errno != EINVAL)
		fail_output(path);
}

bool flush_output(FILE *file, const char *name)
{
	if (!ferror(file) && !fflush(file))
		return true;

	if (errno == EPIPE)
		exit(STATUS_DONE);
	if (errno != EINTR)
		fail_output(name);

	clearerr(file);
	__fpurge(file);
	return false;
}

bool flush_stdout(void)
{
	return flush_output(stdout, "stdout");
}
