// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-page-track: watch which instruction of a running VM writes where.
 *
 * A command is a file, e.g. list.c or watch.c.  They get at a VM by attach.c, and at its
 * events by follow.c.
 */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fail.h"

const char *argp_program_version = "kvm-page-track 1";

static struct command *commands;

/* Sorted by name. */
void add_command(struct command *command)
{
	struct command **place = &commands;

	while (*place && strcmp((*place)->name, command->name) < 0)
		place = &(*place)->next;
	command->next = *place;
	*place = command;
}

static struct command *find_command(const char *name)
{
	struct command *c = commands;

	while (c && strcmp(c->name, name))
		c = c->next;
	return c;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	int *first = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!find_command(text))
			argp_error(state, "there is no command %s", text);

		/* All behind it is the command's. */
		*first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Returns what argp frees. */
static char *list_commands(int key, const char *text, void *input)
{
	struct command *c;
	size_t size;
	char *list;
	FILE *file;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;

	file = open_memstream(&list, &size);
	if (!file)
		return NULL;
	fprintf(file, "Commands:\n");
	for (c = commands; c; c = c->next)
		fprintf(file, "  %-8s %s\n", c->name, c->help);
	fprintf(file, "\nkvm-page-track COMMAND --help tells more, kvm-page-track(1) all.");
	fclose(file);
	return list;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse, .args_doc = "COMMAND [OPTION...]", .help_filter = list_commands,
		.doc = "Watch which instruction of a running VM writes where in guest memory.\n"
		"\v" };
	int first = 0, status;

	/* Whoever writes sees EPIPE. */
	signal(SIGPIPE, SIG_IGN);

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first);

	status = find_command(argv[first])->run(argc - first, argv + first);
	flush_stdout();
	return status;
}
