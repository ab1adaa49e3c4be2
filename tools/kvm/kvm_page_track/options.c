// SPDX-License-Identifier: GPL-2.0-only
#include <asm/kvm_page_track.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "options.h"
#include "virtual.h"

enum {
	KEY_VM = 256,
	KEY_VA,
	KEY_LEVELS,
	KEY_RIP,
	KEY_CR3,
	KEY_VCPU,
	KEY_CHANGED,
	KEY_EVENTS,
	KEY_NO_LOSS,
	KEY_ONCE,
	KEY_AGAIN,
	KEY_FOR,
};

static const struct argp_option vm_options[] = {
	{ "pid", 'p', "PID", 0, "The process that has the VM", 1 },
	{ "vm", KEY_VM, "FD", 0, "Which of its VMs, as \"list\" shows it", 1 },
	{ "va", KEY_VA, "CR3", 0, "The ranges are virtual addresses of this page table", 1 },
	{ "levels", KEY_LEVELS, "4|5", 0, "So many levels it has (4)", 1 },
	{ "rip", KEY_RIP, "ADDRESS|RANGE", 0, "Only writes by instructions there", 2 },
	{ "cr3", KEY_CR3, "ADDRESS", 0, "Only those with this page table", 2 },
	{ "vcpu", KEY_VCPU, "ID", 0, "Only those of this vCPU", 2 },
	{ "events", KEY_EVENTS, "NUMBER", 0, "The size of the ring (16384)", 3 },
	{ "quiet", 'q', NULL, 0, "Do not say what is tracked", 4 },
	{ }
};

static const struct argp_option follow_options[] = {
	{ "input", 'i', "FILE", 0, "Take the events of a file of watch --raw instead", 1 },
	{ "value-changed", KEY_CHANGED, NULL, 0,
	  "Only writes of other bytes than the last ones there", 2 },
	{ "no-loss", KEY_NO_LOSS, NULL, 0,
	  "Let the guest wait instead of losing events when it writes too fast", 3 },
	{ "once", KEY_ONCE, NULL, 0, "Only the first write to each page, without its bytes", 3 },
	{ "again", KEY_AGAIN, "SECONDS", 0, "With --once, and again after so long each time", 3 },
	{ "for", KEY_FOR, "SECONDS", 0, "End after so long", 3 },
	{ }
};

uint64_t number_argument(struct argp_state *state, const char *name, const char *text)
{
	uint64_t number = 0;

	if (!parse_number(text, &number))
		argp_error(state, "%s: %s is not a number", name, text);
	return number;
}

double seconds_argument(struct argp_state *state, const char *name, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.001 && seconds <= 1e6))
		argp_error(state, "%s: %s is not a time from 0.001 to 1000000 seconds", name,
			   text);
	return seconds;
}

static int int_argument(struct argp_state *state, const char *name, const char *text)
{
	uint64_t number = number_argument(state, name, text);

	if (number > INT_MAX)
		argp_error(state, "%s: %s is too large", name, text);
	return number;
}

static unsigned int ring_size(struct argp_state *state, const char *text)
{
	uint64_t wanted = number_argument(state, "--events", text);
	unsigned int size = KVM_PAGE_TRACK_MIN_EVENTS;

	if (wanted < 1 || wanted > KVM_PAGE_TRACK_MAX_EVENTS)
		argp_error(state, "--events: not a number from 1 to %d", KVM_PAGE_TRACK_MAX_EVENTS);
	while (size < wanted)
		size *= 2;
	return size;
}

/* Code may be at the top of 64 bits. */
static void parse_rip(struct argp_state *state, const char *text, struct range *rip)
{
	const char *wrong = parse_virtual(text, rip);

	if (wrong)
		argp_error(state, "--rip: %s %s", text, wrong);
}

static void parse_virtual_argument(struct argp_state *state, struct options *o,
				   const char *text)
{
	struct range range = {};
	const char *wrong = parse_virtual(text, &range);

	if (wrong)
		argp_error(state, "%s %s", text, wrong);
	if (!is_canonical(range, o->levels ? o->levels : 4))
		argp_error(state, "%s is not what %d levels of page tables translate%s", text,
			   o->levels ? o->levels : 4, o->levels ? "" : ", see --levels");
	add_range(&o->virtual, range);
}

static void parse_argument(struct argp_state *state, struct options *o, const char *text)
{
	struct range range;
	const char *wrong;

	if (!strcmp(text, "all")) {
		o->all = true;
		return;
	}

	/* Options come first, wherever they are. */
	if (o->by_va) {
		parse_virtual_argument(state, o, text);
		return;
	}

	wrong = parse_range(text, &range);
	if (wrong)
		argp_error(state, "%s %s", text, wrong);
	else
		add_range(&o->ranges, range);
}

static void check_vm_options(struct argp_state *state, const struct options *o)
{
	if (!o->pid == !o->input)
		argp_error(state, o->pid ? "-p and -i exclude each other" :
			   "which process? Say it by -p PID");
	if (o->input && o->by_va)
		argp_error(state, "-i and --va exclude each other: there are no page tables");
	if (o->all && o->by_va)
		argp_error(state, "all and --va exclude each other");
	if (o->levels && !o->by_va)
		argp_error(state, "--levels is for --va");
	if (!o->input && !o->all && !o->ranges.nr && !o->virtual.nr)
		argp_error(state, "which addresses? Say ADDRESS+SIZE, ADDRESS-END, or all");
	if (o->all && o->ranges.nr)
		argp_error(state, "all, and a part?");
	if (o->again && !o->once)
		argp_error(state, "--again is for --once");
}

static error_t parse_vm_option(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->pid = int_argument(state, "-p", text);
		if (!o->pid)
			argp_error(state, "-p: there is no process 0");
		return 0;
	case KEY_VM:
		o->vm_fd = int_argument(state, "--vm", text);
		return 0;
	case KEY_VA:
		o->by_va = true;
		o->va_cr3 = number_argument(state, "--va", text);
		return 0;
	case KEY_LEVELS:
		o->levels = int_argument(state, "--levels", text);
		if (o->levels != 4 && o->levels != 5)
			argp_error(state, "--levels: 4 or 5");
		return 0;
	case KEY_RIP:
		o->filter.by_rip = true;
		parse_rip(state, text, &o->filter.rip);
		return 0;
	case KEY_CR3:
		o->filter.by_cr3 = true;
		o->filter.cr3 = number_argument(state, "--cr3", text);
		return 0;
	case KEY_VCPU:
		o->filter.by_vcpu = true;
		o->filter.vcpu = number_argument(state, "--vcpu", text);
		return 0;
	case KEY_EVENTS:
		o->nr_events = ring_size(state, text);
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		parse_argument(state, o, text);
		return 0;
	case ARGP_KEY_END:
		check_vm_options(state, o);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t parse_follow_option(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = o;
		return 0;
	case 'i':
		o->input = text;
		return 0;
	case KEY_CHANGED:
		o->filter.shadow = resize(o->filter.shadow, 1, sizeof(struct shadow));
		*o->filter.shadow = (struct shadow) {};
		return 0;
	case KEY_NO_LOSS:
		o->no_loss = true;
		return 0;
	case KEY_ONCE:
		o->once = true;
		return 0;
	case KEY_AGAIN:
		o->again = seconds_argument(state, "--again", text);
		return 0;
	case KEY_FOR:
		o->seconds = seconds_argument(state, "--for", text);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp vm_argp = { .options = vm_options, .parser = parse_vm_option };

static const struct argp_child follow_children[] = { { .argp = &vm_argp }, { } };

const struct argp follow_argp = {
	.options = follow_options,
	.parser = parse_follow_option,
	.children = follow_children,
};

void init_options(struct options *o)
{
	*o = (struct options) { .vm_fd = -1, .nr_events = 16384 };
}

void parse_command(const struct argp *argp, int argc, char **argv, void *input)
{
	static char name[64];

	snprintf(name, sizeof(name), "kvm-page-track %s", argv[0]);
	argv[0] = name;
	argp_err_exit_status = STATUS_USAGE;
	argp_parse(argp, argc, argv, 0, NULL, input);
}
