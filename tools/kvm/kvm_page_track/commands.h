/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands: a file that has one adds it to the list, by COMMAND() at its end. */
#ifndef KVM_PAGE_TRACK_COMMANDS_H
#define KVM_PAGE_TRACK_COMMANDS_H

struct command {
	const char *name, *help;

	/* With its words, the name first.  Returns an exit status. */
	int (*run)(int argc, char **argv);
	struct command *next;
};

void add_command(struct command *command);

#define COMMAND(command)				\
static __attribute__((constructor)) void add(void)	\
{							\
	add_command(&(command));			\
}

#endif
