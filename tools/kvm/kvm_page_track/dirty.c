// SPDX-License-Identifier: GPL-2.0-only
/* dirty: the pages that were written, again and again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"
#include "commands.h"
#include "fail.h"
#include "follow.h"
#include "renew.h"
#include "stop.h"

#define NS		1000000000ull

enum {
	KEY_INTERVAL = 512,
};

struct dirty {
	struct options options;
	const char *path;
	FILE *out;
	double interval;		/* in seconds */
	uint64_t rounds, most;		/* most 0: no limit */
};

static const struct argp_option options[] = {
	{ "interval", KEY_INTERVAL, "SECONDS", 0, "Between two looks (1)", 0 },
	{ "count", 'n', "NUMBER", 0, "End after so many", 0 },
	{ "output", 'o', "FILE", 0, "Save what would be printed", 0 },
	{ }
};

static void check(struct argp_state *state, const struct options *o)
{
	const struct filter *f = &o->filter;

	if (f->by_rip || f->by_cr3 || f->by_vcpu)
		argp_error(state, "who has written a page is not known: no --rip, --cr3, --vcpu");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct dirty *d = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &d->options;
		return 0;
	case KEY_INTERVAL:
		d->interval = seconds_argument(state, "--interval", text);
		return 0;
	case 'n':
		d->most = number_argument(state, "-n", text);
		if (!d->most)
			argp_error(state, "-n: at least one");
		return 0;
	case 'o':
		d->path = text;
		return 0;
	case ARGP_KEY_END:
		check(state, &d->options);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Returns false if a signal ended it before its end. */
static bool print_round(struct dirty *d, uint64_t time, const struct ranges *written)
{
	char text[RANGE_TEXT];
	size_t i;

	d->rounds++;
	fprintf(d->out, "%llu %llu.%09llu %llu\n", (unsigned long long)d->rounds,
		(unsigned long long)(time / NS), (unsigned long long)(time % NS),
		(unsigned long long)(total_size(written) / PAGE_SIZE));
	for (i = 0; i < written->nr && !ferror(d->out); i++)
		fprintf(d->out, "  %s\n", range_text(written->list[i], text));

	return flush_output(d->out, d->path ? d->path : "stdout");
}

/* Whatever is in the ring, which nobody reads.  Returns whether the VM is gone. */
static bool wait_until(struct tracker *t, uint64_t next)
{
	struct pollfd fd = { .fd = t->fd };

	while (now_ns() < next && !stopped() && !fd.revents)
		if (poll_until_stopped(&fd, 1, ms_until(next)) < 0 && errno != EINTR)
			fail(STATUS_OTHER, "cannot wait: %s", strerror(errno));
	return fd.revents;
}

/* Returns whether the VM is gone. */
static bool do_rounds(struct dirty *d, struct tracker *t)
{
	struct ranges pages = whole_pages(&d->options.ranges), written = {};
	bool gone, over;
	uint64_t time;
	int error;

	do {
		/* The guest gets the time, however long a look takes. */
		gone = wait_until(t, now_ns() + d->interval * NS);
		/* What is written since the last time is told at the end, too. */
		over = gone || stopped();
		time = now_ns();
		error = collect_pages(t, &pages, true, &written);
		if (error == EIO)
			return true;
		if (error)
			fail(STATUS_OTHER, "cannot ask for pages: %s", strerror(error));
	} while (print_round(d, time, &written) && !over && d->rounds != d->most);

	return gone;
}

static int run(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &vm_argp }, { } };
	static const struct argp argp = { .options = options, .parser = parse,
		.children = children, .args_doc = "RANGE...", .doc =
		"Print the pages of ranges of guest physical addresses that were written, once per\n"
		"interval: the number of the interval, seconds since boot, how many pages; and\n"
		"behind that, indented, where.\n"
		"\vThe guest hardly slows down: of each page, the first write of an interval counts."
	};
	struct dirty d = { .interval = 1 };
	struct tracker t;
	bool gone = false;

	init_options(&d.options);
	d.options.nr_events = KVM_PAGE_TRACK_MIN_EVENTS;
	parse_command(&argp, argc, argv, &d);

	heed_signals();
	d.out = d.path ? open_output(d.path) : stdout;
	start(&d.options, &t, KVM_PAGE_TRACK_ACTION_ONCE, KVM_PAGE_TRACKER_LOSSY);
	if (d.path)
		empty_output(d.out, d.path);
	gone = do_rounds(&d, &t);
	detach(&t);

	if (d.path && fclose(d.out))
		fail(STATUS_OTHER, "cannot write %s", d.path);
	if (gone)
		fail_gone(&t);
	return STATUS_DONE;
}

static struct command command = {
	.name = "dirty",
	.help = "the pages of ranges that were written, again and again",
	.run = run,
};

COMMAND(command)
