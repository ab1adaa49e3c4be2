// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fail.h"
#include "vm.h"

#define KVM_DEBUGFS	"/sys/kernel/debug/kvm"

/* All that is looked at in a directory of numbers. */
static bool next_number(DIR *dir, int *number)
{
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		if (isdigit((unsigned char)*entry->d_name)) {
			*number = atoi(entry->d_name);
			return true;
		}
	}
	return false;
}

static bool is_thread_of(pid_t tid, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return !access(path, F_OK);
}

/* KVM names the directory after the thread that made the VM, and the file descriptor. */
static void find_debugfs(struct vm *vm)
{
	DIR *dir = opendir(KVM_DEBUGFS);
	struct dirent *entry;
	int tid, fd;
	char rest;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "%d-%d%c", &tid, &fd, &rest) != 2 || fd != vm->fd ||
		    !is_thread_of(tid, vm->pid))
			continue;
		snprintf(vm->debugfs, sizeof(vm->debugfs), KVM_DEBUGFS "/%d-%d", tid, fd);
		break;
	}
	if (dir)
		closedir(dir);
}

static void count_vcpus(struct vm *vm)
{
	DIR *dir = *vm->debugfs ? opendir(vm->debugfs) : NULL;
	struct dirent *entry;
	int id;

	if (!dir)
		return;

	vm->nr_vcpus = 0;
	while ((entry = readdir(dir)))
		vm->nr_vcpus += sscanf(entry->d_name, "vcpu%d", &id) == 1;
	closedir(dir);
}

/* May be told by a process that may trace the other; else take them for two. */
static bool same_file(pid_t pid, int fd, int other)
{
	return !syscall(SYS_kcmp, pid, pid, KCMP_FILE, fd, other);
}

static void add_vm(struct vms *vms, size_t first, pid_t pid, int fd)
{
	struct vm vm = { .pid = pid, .fd = fd, .nr_vcpus = -1 };
	size_t i;

	for (i = first; i < vms->nr; i++)
		if (same_file(pid, fd, vms->list[i].fd))
			return;

	find_debugfs(&vm);
	count_vcpus(&vm);
	vms->list = resize(vms->list, vms->nr + 1, sizeof(vm));
	vms->list[vms->nr++] = vm;
}

/* What the file descriptor stands for; empty if that may not be seen. */
#define LINK_TEXT	64
static const char *fd_link(pid_t pid, int fd, char link[LINK_TEXT])
{
	char path[64];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	size = readlink(path, link, LINK_TEXT - 1);
	link[size < 0 ? 0 : size] = '\0';
	return link;
}

int find_vms_of(pid_t pid, struct vms *vms)
{
	size_t first = vms->nr;
	int fd, nr_vcpus = 0;
	char path[64], link[LINK_TEXT];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return errno;

	while (next_number(dir, &fd)) {
		fd_link(pid, fd, link);
		if (!strcmp(link, "anon_inode:kvm-vm"))
			add_vm(vms, first, pid, fd);
		nr_vcpus += !strncmp(link, "anon_inode:kvm-vcpu:", 20);
	}
	closedir(dir);

	/* Of several VMs, nothing tells here whose they are. */
	if (vms->nr == first + 1 && vms->list[first].nr_vcpus < 0)
		vms->list[first].nr_vcpus = nr_vcpus;
	return 0;
}

size_t find_vms(struct vms *vms)
{
	DIR *dir = opendir("/proc");
	size_t hidden = 0;
	int pid;

	if (!dir)
		fail(STATUS_OTHER, "cannot read /proc: %s", strerror(errno));

	/* A process may have ended meanwhile. */
	while (next_number(dir, &pid))
		hidden += find_vms_of(pid, vms) == EACCES;
	closedir(dir);
	return hidden;
}

/* Read a file of the process, which has no more than that. */
static size_t read_proc(pid_t pid, const char *name, char *text, size_t room)
{
	char path[64];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "r");
	size = file ? fread(text, 1, room - 1, file) : 0;
	if (file)
		fclose(file);
	text[size] = '\0';
	return size;
}

/* QEMU's "-name NAME", "-name guest=NAME,..." */
static bool guest_name(pid_t pid, char name[PROCESS_NAME])
{
	static char line[65536];
	size_t size = read_proc(pid, "cmdline", line, sizeof(line));
	const char *word = line;

	while (word < line + size && strcmp(word, "-name"))
		word += strlen(word) + 1;
	if (word >= line + size)
		return false;

	word += strlen(word) + 1;
	if (word >= line + size)
		return false;

	if (!strncmp(word, "guest=", 6))
		word += 6;
	snprintf(name, PROCESS_NAME, "%.*s", (int)strcspn(word, ","), word);
	return true;
}

const char *process_name(pid_t pid, char name[PROCESS_NAME])
{
	char *c;

	if (!guest_name(pid, name) && !read_proc(pid, "comm", name, PROCESS_NAME))
		snprintf(name, PROCESS_NAME, "-");

	/* It is shown as one word, and comes from somebody else. */
	name[strcspn(name, "\n")] = '\0';
	for (c = name; *c; c++)
		if (!isgraph((unsigned char)*c))
			*c = '_';
	return name;
}
