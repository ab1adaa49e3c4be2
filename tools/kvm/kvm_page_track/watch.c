// SPDX-License-Identifier: GPL-2.0-only
/* watch: print or save each write as it happens. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "fail.h"
#include "follow.h"
#include "print.h"
#include "raw.h"
#include "stop.h"

struct watch {
	struct follower follower;
	struct options options;
	bool json;
	const char *raw_path;
	FILE *out;
	const char *out_name;
	bool cut;			/* a signal ended the output before its end */
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

static void print_text_line(FILE *file, const struct kvm_page_track_event *e)
{
	print_text(file, e);
	fputc('\n', file);
}

static bool watch_event(struct follower *f, const struct kvm_page_track_event *e)
{
	struct watch *w = (struct watch *)f;

	if (w->raw_path)
		write_raw(w->out, e);
	else if (w->json)
		print_json(w->out, e);
	else
		print_text_line(w->out, e);
	return ++w->nr_events != w->most && !ferror(w->out);
}

static void flush_events(struct follower *f)
{
	struct watch *w = (struct watch *)f;

	if (!flush_output(w->out, w->out_name))
		w->cut = true;
}

/* To be emptied, it would be lost before it is read. */
static bool is_input(FILE *file, const char *input)
{
	struct stat in, out;

	if (!input || fstat(fileno(file), &out) || !S_ISREG(out.st_mode))
		return false;
	if (strcmp(input, "-") ? stat(input, &in) : fstat(STDIN_FILENO, &in))
		return false;
	return in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

static void open_raw_output(struct watch *w)
{
	w->out = stdout;
	w->out_name = "stdout";
	if (w->raw_path && strcmp(w->raw_path, "-")) {
		w->out = open_output(w->raw_path);
		w->out_name = w->raw_path;
		if (is_input(w->out, w->options.input))
			fail(STATUS_USAGE, "-i and --raw are the same file");
	}
}

static void start_output(struct follower *f)
{
	struct watch *w = (struct watch *)f;

	if (w->out != stdout)
		empty_output(w->out, w->out_name);
	if (w->raw_path)
		write_raw_header(w->out, &w->options.ranges, f->recorded);
	else if (!w->json)
		print_head(w->out);
	flush_events(f);
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
	heed_signals();
	open_raw_output(&w);

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

	if (w.raw_path && !w.cut)
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
