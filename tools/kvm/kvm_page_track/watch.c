// SPDX-License-Identifier: GPL-2.0-only
/* watch: print or save each write as it happens. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "fail.h"
#include "follow.h"
#include "print.h"
#include "raw.h"

struct watch {
	struct follower follower;
	struct options options;
	bool json;
	const char *raw_path;
	FILE *raw;
	uint64_t nr_events, most;	/* most 0: no limit */
};

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "An object of JSON a line", 0 },
	{ "raw", 'r', "FILE", 0, "Save the events for -i, do not print them; - is stdout", 0 },
	{ "count", 'n', "NUMBER", 0, "End after so many", 0 },
	{ }
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct watch *w = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &w->options;
		return 0;
	case 'j':
		w->json = true;
		return 0;
	case 'r':
		w->raw_path = text;
		return 0;
	case 'n':
		w->most = number_argument(state, "-n", text);
		if (!w->most)
			argp_error(state, "-n: at least one");
		return 0;
	case ARGP_KEY_END:
		if (w->json && w->raw_path)
			argp_error(state, "--json and --raw exclude each other");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void print_text_line(const struct kvm_page_track_event *e)
{
	print_text(stdout, e);
	putchar('\n');
}

static bool watch_event(struct follower *f, const struct kvm_page_track_event *e)
{
	struct watch *w = (struct watch *)f;

	if (w->raw)
		write_raw(w->raw, e);
	else if (w->json)
		print_json(stdout, e);
	else
		print_text_line(e);
	return ++w->nr_events != w->most;
}

static void flush_events(struct follower *f)
{
	struct watch *w = (struct watch *)f;

	if (w->raw && w->raw != stdout && (fflush(w->raw) || ferror(w->raw)))
		fail(STATUS_OTHER, "cannot write %s", w->raw_path);
	flush_stdout();
}

static void start_output(struct follower *f)
{
	struct watch *w = (struct watch *)f;

	if (w->raw_path)
		w->raw = create_raw(w->raw_path, &w->options.ranges);
	else if (!w->json)
		print_head(stdout);
	flush_stdout();
}

static int run(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &follow_argp }, { } };
	static const struct argp argp = { .options = options, .parser = parse,
		.children = children, .args_doc = "RANGE...\n-i FILE [RANGE...]", .doc =
		"Print each write of a VM to ranges of guest physical addresses: ADDRESS+SIZE,\n"
		"ADDRESS-END, or all.\n"
		"\vAddresses and sizes may be hexadecimal, 0x..., and have a suffix K, M, G or T."
	};
	struct watch w = { .follower = {
		.begin = start_output, .event = watch_event, .idle = flush_events } };
	enum end end = END_ASKED;
	struct tracker t;

	init_options(&w.options);
	parse_command(&argp, argc, argv, &w);

	if (w.options.input) {
		replay(&w.options, &w.follower);
		return STATUS_DONE;
	}

	start(&w.options, &t, w.options.once ? KVM_PAGE_TRACK_ACTION_ONCE :
	      KVM_PAGE_TRACK_ACTION_NOTIFY,
	      w.options.no_loss ? KVM_PAGE_TRACKER_WAIT : KVM_PAGE_TRACKER_LOSSY);
	end = follow(&w.options, &t, &w.follower);
	detach(&t);
	flush_events(&w.follower);

	if (w.raw)
		note("%llu events are in %s", (unsigned long long)w.nr_events, w.raw_path);
	if (end == END_VM_GONE)
		fail_gone(&t);
	return STATUS_DONE;
}

static struct command command = {
	.name = "watch",
	.help = "print each write to ranges of guest memory as it happens",
	.run = run,
};

COMMAND(command)
