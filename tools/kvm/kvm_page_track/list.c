// SPDX-License-Identifier: GPL-2.0-only
/* list: the VMs of this computer. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <unistd.h>

#include "attach.h"
#include "commands.h"
#include "fail.h"
#include "options.h"
#include "vm.h"

static const char *const actions[] = {
	[KVM_PAGE_TRACK_ACTION_NOTIFY] = "notify",
	[KVM_PAGE_TRACK_ACTION_ONCE] = "once",
	[KVM_PAGE_TRACK_ACTION_EXIT] = "exit",
};

static void print_slots(struct tracker *t)
{
	struct kvm_page_track_slot slot = {};
	char text[RANGE_TEXT];

	while (next_slot(t, &slot)) {
		struct range range = { slot.gpa, slot.gpa + slot.size };

		printf("  memory %s%s%s\n", range_text(range, text),
		       slot.flags & KVM_MEM_READONLY ? " read-only" : "",
		       slot.flags & KVM_MEM_LOG_DIRTY_PAGES ? " dirty log" : "");
	}
}

static uint64_t memory_size(struct tracker *t, size_t *nr_slots)
{
	struct kvm_page_track_slot slot = {};
	uint64_t size = 0;

	for (*nr_slots = 0; next_slot(t, &slot); ++*nr_slots)
		size += slot.size;
	return size;
}

/* Each line of KVM's list: tracker, mode, action, first gfn, number of gfns. */
static void print_trackers(const struct vm *vm)
{
	char path[sizeof(vm->debugfs) + 16], text[RANGE_TEXT];
	unsigned long long id, gfn, nr;
	unsigned int mode, action;
	FILE *file;

	snprintf(path, sizeof(path), "%s/page_track", vm->debugfs);
	file = *vm->debugfs ? fopen(path, "r") : NULL;
	if (!file) {
		printf("  tracked -\n");
		return;
	}

	fscanf(file, "%*[^\n]");
	while (fscanf(file, "%llu %u %u %llx %llu", &id, &mode, &action, &gfn, &nr) == 5) {
		struct range range = { gfn * PAGE_SIZE, (gfn + nr) * PAGE_SIZE };

		printf("  tracked %s %s by tracker %llu\n", range_text(range, text),
		       action < sizeof(actions) / sizeof(*actions) ? actions[action] : "?", id);
	}
	fclose(file);
}

static void print_vm(const struct vm *vm)
{
	char name[PROCESS_NAME], size[SIZE_TEXT], vcpus[16] = "-";
	struct tracker t;
	size_t nr_slots;

	if (vm->nr_vcpus >= 0)
		snprintf(vcpus, sizeof(vcpus), "%d", vm->nr_vcpus);
	printf("%d %s vm %d vcpus %s memory ", vm->pid, process_name(vm->pid, name), vm->fd,
	       vcpus);

	/* It tracks nothing. */
	if (try_attach(&t, vm->pid, vm->fd, KVM_PAGE_TRACKER_LOSSY,
		       KVM_PAGE_TRACK_MIN_EVENTS) == ATTACHED) {
		uint64_t all = memory_size(&t, &nr_slots);

		printf("%s in %zu slots\n", size_text(all, size), nr_slots);
		print_slots(&t);
		detach(&t);
	} else {
		printf("-\n");
	}
	print_trackers(vm);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	(void)text;
	if (key == ARGP_KEY_ARG)
		argp_usage(state);
	return ARGP_ERR_UNKNOWN;
}

static int run(int argc, char **argv)
{
	static const struct argp argp = { .parser = parse, .doc =
		"List the VMs of this computer: process, name, file descriptor, number of vCPUs,\n"
		"memory, and what page trackers track.\n"
		"\vA dash stands for what there is no permission to see, or what the KVM that is\n"
		"loaded does not tell." };
	struct vms vms = {};
	size_t i, hidden;

	parse_command(&argp, argc, argv, NULL);
	hidden = find_vms(&vms);
	for (i = 0; i < vms.nr; i++) {
		print_vm(&vms.list[i]);
		flush_stdout();
	}

	if (hidden && geteuid())
		note("%zu processes of other users may have VMs, too", hidden);
	if (vms.nr)
		return STATUS_DONE;
	if (access("/dev/kvm", F_OK))
		fail(STATUS_NO_KVM, "no /dev/kvm: are the modules of KVM loaded?");
	note("there is no VM");
	return STATUS_DONE;
}

static struct command command = {
	.name = "list",
	.help = "the VMs of this computer, their memory, and who tracks what",
	.run = run,
};

COMMAND(command)
