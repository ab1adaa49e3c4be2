/* SPDX-License-Identifier: GPL-2.0-only */
/* What all commands that watch a VM have in common on the command line. */
#ifndef KVM_PAGE_TRACK_OPTIONS_H
#define KVM_PAGE_TRACK_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <sys/types.h>

#include "filter.h"
#include "range.h"

struct options {
	pid_t pid;
	int vm_fd;		/* -1: the only one */
	struct ranges ranges;
	struct ranges virtual;	/* in the place of ranges, see virtual.h */
	bool by_va;
	uint64_t va_cr3;	/* whose virtual addresses */
	int levels;		/* of its page tables, 0 if that is not said */
	bool all;		/* all memory slots instead */
	const char *input;	/* a file of events instead of a VM */
	unsigned int nr_events;
	bool no_loss;
	bool once;
	double again;		/* seconds until what once gave up is tracked again, or 0 */
	double seconds;		/* how long, or 0 */
	bool quiet;
	struct filter filter;
};

/* To be called from the parser of a command, see argp's children; the input is its options. */
extern const struct argp vm_argp;	/* which VM, which ranges, which events */
extern const struct argp follow_argp;	/* the same and how long, how often, or from a file */

void init_options(struct options *o);

/* parse_number() and the like, or say that it is bad. */
uint64_t number_argument(struct argp_state *state, const char *name, const char *text);
double seconds_argument(struct argp_state *state, const char *name, const char *text);

/* Call argp_parse() with the words of a command, and its name in what argp says. */
void parse_command(const struct argp *argp, int argc, char **argv, void *input);

#endif
