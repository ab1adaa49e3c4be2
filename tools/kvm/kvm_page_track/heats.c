// SPDX-License-Identifier: GPL-2.0-only
/* heats: a picture of who writes where. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "fail.h"
#include "follow.h"
#include "heat_draw.h"
#include "heat_map.h"
#include "stop.h"

#define REDRAW_MS	250
#define PICTURE_ROWS	128
#define PICTURE_COLUMNS	256

/* The map starts with so little time a column: it gets more as time goes on. */
#define FIRST_INTERVAL	50000000ull
#define FIRST_REPLAYED	1000000ull

struct heats {
	struct follower follower;
	struct options options;
	struct heat_map map;
	enum writer by;
	const char *picture;
	bool live, colour;
	uint64_t drawn;		/* when, in ns */
};

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0, "Draw a picture, .svg or .png, by gnuplot", 0 },
	{ "by", 'b', "cr3|rip|vcpu", 0, "What makes a writer (cr3)", 0 },
	{ }
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	static const char *const writers[] = {
		[BY_CR3] = "cr3", [BY_RIP] = "rip", [BY_VCPU] = "vcpu" };
	struct heats *h = state->input;
	unsigned int i;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &h->options;
		return 0;
	case 'o':
		h->picture = text;
		return 0;
	case 'b':
		for (i = 0; i < sizeof(writers) / sizeof(*writers); i++) {
			if (!strcmp(text, writers[i])) {
				h->by = i;
				return 0;
			}
		}
		argp_error(state, "--by: %s is not cr3, rip or vcpu", text);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static bool add_event(struct follower *f, const struct kvm_page_track_event *e)
{
	add_heat(&((struct heats *)f)->map, e);
	return true;
}

static void nothing(struct follower *f)
{
	(void)f;
}

static void redraw(struct follower *f)
{
	struct heats *h = (struct heats *)f;
	uint64_t now = now_ns();

	if (now - h->drawn < REDRAW_MS * 1000000ull)
		return;

	h->drawn = now;
	extend_heat_map(&h->map, now);
	/* From the top, without what was there. */
	fputs("\33[H\33[J", stdout);
	draw_text(stdout, &h->map, h->colour);
	flush_stdout();
}

/* The size of the terminal, or what fits on most. */
static void make_map(struct heats *h, uint64_t interval)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	unsigned int rows = PICTURE_ROWS, columns = PICTURE_COLUMNS;

	if (!h->picture || h->live) {
		if (isatty(STDOUT_FILENO))
			ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
		rows = size.ws_row > OTHER_LINES + 4 ? size.ws_row - OTHER_LINES : 4;
		columns = size.ws_col > LABEL_COLUMNS + 16 ? size.ws_col - LABEL_COLUMNS - 1 : 16;
		if (h->colour)
			rows *= 2;
	}
	init_heat_map(&h->map, &h->options.ranges, rows, columns, interval, h->by);
}

/* How many events each writer has, for those with most of them to have the colours. */
struct tally {
	struct follower follower;
	struct heat_map map;	/* only who writes counts */
	struct tallied {
		uint64_t writer, nr;
	} *list;
	size_t nr, room;
};

static bool tally_event(struct follower *f, const struct kvm_page_track_event *e)
{
	struct tally *t = (struct tally *)f;
	uint64_t writer = writer_of(&t->map, e);
	size_t i;

	/* Those who come first are mostly those who come often. */
	for (i = 0; i < t->nr && t->list[i].writer != writer; i++)
		;
	if (i == t->nr) {
		if (t->nr == t->room) {
			t->room = t->room ? 2 * t->room : 64;
			t->list = resize(t->list, t->room, sizeof(*t->list));
		}
		t->list[t->nr++] = (struct tallied) { .writer = writer };
	}
	t->list[i].nr++;
	return true;
}

static int more_first(const void *a, const void *b)
{
	const struct tallied *x = a, *y = b;

	return x->nr > y->nr ? -1 : x->nr < y->nr;
}

static void replay_heats(struct heats *h)
{
	struct tally tally = { .follower = { .event = tally_event, .idle = nothing },
		.map = { .by = h->by } };
	struct options o = h->options;
	struct stat input;
	size_t i;

	if (!strcmp(o.input, "-") || (!stat(o.input, &input) && !S_ISREG(input.st_mode)))
		fail(STATUS_USAGE, "a picture is made of a file that can be read twice");

	replay(&o, &tally.follower);
	/* Of a part of the file, there is nothing to show. */
	end_if_stopped();
	qsort(tally.list, tally.nr, sizeof(*tally.list), more_first);

	h->options.ranges = o.ranges;
	merge_ranges(&h->options.ranges);
	if (!h->options.ranges.nr)
		fail(STATUS_OTHER, "%s has no ranges", o.input);
	make_map(h, FIRST_REPLAYED);
	for (i = 0; i < tally.nr && i < NR_WRITERS - 1; i++)
		add_writer(&h->map, tally.list[i].writer);
	free(tally.list);
	replay(&h->options, &h->follower);
	end_if_stopped();
}

static enum end live_heats(struct heats *h, struct tracker *t)
{
	enum end end;

	start(&h->options, t, h->options.once ? KVM_PAGE_TRACK_ACTION_ONCE :
	      KVM_PAGE_TRACK_ACTION_NOTIFY,
	      h->options.no_loss ? KVM_PAGE_TRACKER_WAIT : KVM_PAGE_TRACKER_LOSSY);
	make_map(h, FIRST_INTERVAL);
	if (h->live) {
		h->follower.idle = redraw;
		h->follower.tick = REDRAW_MS;
	}
	end = follow(&h->options, t, &h->follower);
	detach(t);
	extend_heat_map(&h->map, now_ns());
	return end;
}

static void show(struct heats *h)
{
	if (h->picture)
		draw_picture(h->picture, &h->map);
	if (h->live)
		fputs("\33[H\33[J", stdout);
	if (!h->picture || h->live)
		draw_text(stdout, &h->map, h->colour);
	flush_stdout();
	if (h->picture && !h->options.quiet)
		note("%s is made", h->picture);
}

static int run(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &follow_argp }, { } };
	static const struct argp argp = { .options = options, .parser = parse,
		.children = children, .args_doc = "RANGE...\n-i FILE [RANGE...]", .doc =
		"Draw who writes where, address by time, in the terminal while it happens, or\n"
		"as a picture.\n"
		"\vA colour is a writer: the first six or, of a file, the six with most writes.\n"
		"The brighter, the more.  With --once --again 1, pages count instead of writes,\n"
		"and the guest hardly slows down." };
	struct heats h = { .follower = { .event = add_event, .idle = nothing } };
	enum end end = END_ASKED;
	struct tracker t;

	init_options(&h.options);
	parse_command(&argp, argc, argv, &h);
	if (h.picture)
		check_picture(h.picture);
	h.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	h.live = isatty(STDOUT_FILENO) && !h.options.input;
	heed_signals();

	if (h.options.input)
		replay_heats(&h);
	else
		end = live_heats(&h, &t);

	show(&h);
	if (end == END_VM_GONE)
		fail_gone(&t);
	return STATUS_DONE;
}

static struct command command = {
	.name = "heats",
	.help = "a picture of who writes where, address by time",
	.run = run,
};

COMMAND(command)
