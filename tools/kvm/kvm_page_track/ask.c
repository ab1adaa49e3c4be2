// SPDX-License-Identifier: GPL-2.0-only
/* ask: each write waits for what a key or a rule says. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "commands.h"
#include "fail.h"
#include "follow.h"
#include "print.h"
#include "stop.h"

enum { KEY_ALLOW = 512, KEY_DENY, KEY_REPLACE };

struct bytes {
	__u8 data[sizeof(((struct kvm_page_track_event *)0)->data)];
	size_t nr;
};

struct ask {
	struct follower follower;
	struct options options;
	struct tracker tracker;
	bool by_rule;
	__u32 rule;		/* KVM_PAGE_TRACK_REPLY_* */
	struct bytes replacement;
	uint64_t nr_questions, most;	/* most 0: no limit */
	bool gone;
};

static const struct argp_option options[] = {
	{ "allow", KEY_ALLOW, NULL, 0, "Allow all writes that are shown", 0 },
	{ "deny", KEY_DENY, NULL, 0, "Skip them: the guest goes on as if they had been done", 0 },
	{ "replace", KEY_REPLACE, "HEX", 0, "Write these bytes instead of the first ones", 0 },
	{ "count", 'n', "NUMBER", 0, "End after so many questions", 0 },
	{ }
};

static bool parse_hex(const char *text, struct bytes *bytes)
{
	unsigned int byte;

	bytes->nr = 0;
	for (; isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1]); text += 2) {
		if (bytes->nr == sizeof(bytes->data) || sscanf(text, "%2x", &byte) != 1)
			return false;
		bytes->data[bytes->nr++] = byte;
	}
	return bytes->nr && !*text;
}

static void set_rule(struct argp_state *state, struct ask *a, __u32 rule)
{
	if (a->by_rule)
		argp_error(state, "--allow, --deny and --replace exclude each other");
	a->by_rule = true;
	a->rule = rule;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct ask *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->options;
		return 0;
	case KEY_ALLOW:
		set_rule(state, a, KVM_PAGE_TRACK_REPLY_ALLOW);
		return 0;
	case KEY_DENY:
		set_rule(state, a, KVM_PAGE_TRACK_REPLY_SKIP);
		return 0;
	case KEY_REPLACE:
		set_rule(state, a, KVM_PAGE_TRACK_REPLY_REPLACE);
		if (!parse_hex(text, &a->replacement))
			argp_error(state, "--replace: %s is not 1 to %zu bytes, two digits each",
				   text, sizeof(a->replacement.data));
		return 0;
	case 'n':
		a->most = number_argument(state, "-n", text);
		if (!a->most)
			argp_error(state, "-n: at least one");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Returns 0, or why KVM does not take it: EINVAL if it is not possible. */
static int send_reply(struct ask *a, const struct kvm_page_track_event *e, __u32 what,
		      const struct bytes *replacement)
{
	struct kvm_page_track_reply r = { .seq = e->seq, .vcpu_id = e->vcpu_id, .reply = what };

	if (what == KVM_PAGE_TRACK_REPLY_REPLACE) {
		memcpy(r.data, e->data, sizeof(r.data));
		memcpy(r.data, replacement->data,
		       replacement->nr < e->len ? replacement->nr : e->len);
	}
	if (!ioctl(a->tracker.fd, KVM_PAGE_TRACK_REPLY, &r))
		return 0;
	if (errno == EIO)
		fail_gone(&a->tracker);
	if (errno != EINVAL && errno != ENOENT)
		fail(STATUS_OTHER, "cannot reply: %s", strerror(errno));
	return errno;
}

static const char *verdict(__u32 what, int error)
{
	static const char *const done[] = {
		[KVM_PAGE_TRACK_REPLY_ALLOW] = "allowed",
		[KVM_PAGE_TRACK_REPLY_SKIP] = "skipped",
		[KVM_PAGE_TRACK_REPLY_REPLACE] = "replaced",
	};

	/* The vCPU does something else, and asks again if it comes back. */
	return error == ENOENT ? "forgotten" : done[what];
}

/* What cannot be replaced is skipped; what cannot be skipped either, KVM must allow. */
static void reply_by_rule(struct ask *a, const struct kvm_page_track_event *e)
{
	__u32 what = a->rule;
	int error = send_reply(a, e, what, &a->replacement);

	if (error == EINVAL && what == KVM_PAGE_TRACK_REPLY_REPLACE) {
		what = KVM_PAGE_TRACK_REPLY_SKIP;
		error = send_reply(a, e, what, NULL);
	}
	if (error == EINVAL && what == KVM_PAGE_TRACK_REPLY_SKIP) {
		what = KVM_PAGE_TRACK_REPLY_ALLOW;
		error = send_reply(a, e, what, NULL);
	}
	printf(" %s%s\n", verdict(what, error), what == a->rule ? "" : ", as it cannot be else");
}

/* A character of stdin, or EOF, also when the VM is gone or a signal came. */
static int next_key(struct ask *a)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = a->tracker.fd },
	};
	unsigned char key;

	while (!stopped()) {
		poll_until_stopped(fds, 2, ms_until(a->follower.renewal.due));
		if (fds[1].revents & (POLLHUP | POLLERR)) {
			a->gone = true;
			return EOF;
		}
		if (fds[0].revents)
			return read(STDIN_FILENO, &key, 1) == 1 ? key : EOF;
		renew(&a->follower.renewal);
	}
	return EOF;
}

/* A line of hexadecimal digits, which the terminal does not show by itself. */
static bool read_hex(struct ask *a, struct bytes *bytes)
{
	char line[2 * sizeof(bytes->data) + 1];
	size_t size = 0;
	int key;

	fprintf(stderr, "by (hexadecimal): ");
	while ((key = next_key(a)) != EOF && key != '\n' && key != '\r') {
		if ((key == '\b' || key == 0x7f) && size) {
			size--;
			fputs("\b \b", stderr);
		} else if (isxdigit(key) && size < sizeof(line) - 1) {
			line[size++] = key;
			fputc(key, stderr);
		}
	}
	line[size] = '\0';
	return parse_hex(line, bytes);
}

/* Returns false if there will be no reply. */
static bool reply_by_key(struct ask *a, const struct kvm_page_track_event *e)
{
	struct bytes bytes;
	int error, key;
	__u32 what;

	for (;;) {
		flush_stdout();
		fprintf(stderr, "  a allow, s skip, r replace, q quit? ");
		key = next_key(a);
		if (key == EOF || key == 'q')
			return false;
		if (!key || !strchr("asr", key))
			continue;

		what = key == 'a' ? KVM_PAGE_TRACK_REPLY_ALLOW : key == 's' ?
			KVM_PAGE_TRACK_REPLY_SKIP : KVM_PAGE_TRACK_REPLY_REPLACE;
		error = EINVAL;
		if (key != 'r' || (read_hex(a, &bytes) && bytes.nr <= e->len))
			error = send_reply(a, e, what, &bytes);
		if (error != EINVAL) {
			printf(" %s\n", verdict(what, error));
			return true;
		}
		fprintf(stderr, "  that is not possible\n");
	}
}

static bool on_question(struct follower *f, const struct kvm_page_track_event *e)
{
	struct ask *a = (struct ask *)f;

	print_text(stdout, e);
	if (ferror(stdout))
		return false;
	if (!(e->flags & KVM_PAGE_TRACK_EVENT_ASKS)) {
		printf(" was not asked for\n");
		return !ferror(stdout);
	}

	if (a->by_rule) {
		reply_by_rule(a, e);
	} else if (!reply_by_key(a, e)) {
		printf(" no answer\n");
		return false;
	}
	return ++a->nr_questions != a->most && !ferror(stdout);
}

static void allow(struct follower *f, const struct kvm_page_track_event *e)
{
	if (e->flags & KVM_PAGE_TRACK_EVENT_ASKS)
		send_reply((struct ask *)f, e, KVM_PAGE_TRACK_REPLY_ALLOW, NULL);
}

static void idle(struct follower *f)
{
	(void)f;
	flush_stdout();
}

static struct termios terminal;

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

/* A key counts when it is pressed. */
static void prepare_terminal(void)
{
	struct termios now;

	if (tcgetattr(STDIN_FILENO, &terminal))
		return;
	now = terminal;
	now.c_lflag &= ~(ICANON | ECHO);
	atexit(restore_terminal);
	undo_if_killed(restore_terminal);
	tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

static int run(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &vm_argp }, { } };
	static const struct argp argp = { .options = options, .parser = parse,
		.children = children, .args_doc = "RANGE...", .doc =
		"Stop each write of a VM to ranges of guest physical addresses before it is\n"
		"done, and ask what is to become of it.\n"
		"\vKeys are read from stdin.  Writes that --rip, --cr3 and --vcpu do not select\n"
		"are allowed.  What the CPU has to do alone, \"unemulated\", can be allowed only."
	};
	struct ask a = { .follower = {
		.event = on_question, .ignored = allow, .idle = idle } };
	enum end end;

	init_options(&a.options);
	parse_command(&argp, argc, argv, &a);
	heed_signals();
	start(&a.options, &a.tracker, KVM_PAGE_TRACK_ACTION_EXIT, KVM_PAGE_TRACKER_WAIT);
	if (!a.by_rule)
		prepare_terminal();
	print_head(stdout);

	end = follow(&a.options, &a.tracker, &a.follower);
	detach(&a.tracker);
	flush_stdout();
	if (end == END_VM_GONE || a.gone)
		fail_gone(&a.tracker);
	return STATUS_DONE;
}

static struct command command = {
	.name = "ask",
	.help = "stop each such write until a key or a rule allows or denies it",
	.run = run,
};

COMMAND(command)
