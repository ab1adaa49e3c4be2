// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever has a reference on a VM, be it by a tracker, a file of statistics or one in
 * debugfs, keeps the module that has to destroy the VM.
 *
 * The test reads how many references the module has, which is what delete_module()
 * looks at.  To call that would take the module away from everybody if it succeeds.
 */
#include <errno.h>
#include <unistd.h>

#include "kselftest.h"
#include "tracker.h"

static const char *module_refcnt;

/* How often the module is in use, by others too: they must not come or go meanwhile. */
static int refs(void)
{
	FILE *file = fopen(module_refcnt, "r");
	int n;

	TEST_ASSERT(file && fscanf(file, "%d", &n) == 1, "Cannot read %s", module_refcnt);
	fclose(file);
	return n;
}

static int open_debugfs(struct kvm_vm *vm, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%s", getpid(), vm->fd, name);
	return open(path, O_RDONLY);
}

static int open_tracker(struct kvm_vcpu *vcpu)
{
	struct kvm_create_page_tracker create = { .nr_events = 64 };

	return __vm_ioctl(vcpu->vm, KVM_CREATE_PAGE_TRACKER, &create);
}

static int open_vm_stats(struct kvm_vcpu *vcpu)
{
	return __vm_ioctl(vcpu->vm, KVM_GET_STATS_FD, NULL);
}

static int open_vcpu_stats(struct kvm_vcpu *vcpu)
{
	return __vcpu_ioctl(vcpu, KVM_GET_STATS_FD, NULL);
}

static int open_debugfs_stat(struct kvm_vcpu *vcpu)
{
	return open_debugfs(vcpu->vm, "remote_tlb_flush");
}

static int open_debugfs_rmaps(struct kvm_vcpu *vcpu)
{
	return open_debugfs(vcpu->vm, "mmu_rmaps_stat");
}

static int open_debugfs_ranges(struct kvm_vcpu *vcpu)
{
	return open_debugfs(vcpu->vm, "page_track");
}

static const struct holder {
	const char *name;
	int (*open)(struct kvm_vcpu *vcpu);
	bool tracker;		/* there only with trackers */
} holders[] = {
	{ "the VM's statistics", open_vm_stats },
	{ "the vCPU's statistics", open_vcpu_stats },
	{ "a statistic in debugfs", open_debugfs_stat },
	{ "mmu_rmaps_stat in debugfs", open_debugfs_rmaps },
	{ "a tracker", open_tracker, true },
	{ "page_track in debugfs", open_debugfs_ranges, true },
};

static void test_holder(const struct holder *h)
{
	int before = refs(), held, fd;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = vm_create_barebones();
	vcpu = __vm_vcpu_add(vm, 0);
	fd = h->open(vcpu);
	if (fd < 0 && errno == ENOENT) {
		kvm_vm_free(vm);
		ksft_test_result_skip("%s: not there\n", h->name);
		return;
	}
	TEST_ASSERT(fd >= 0, "No %s, errno %d", h->name, errno);

	/* What is left of the VM is @fd.  Close it also if the module may go: it has not. */
	kvm_vm_free(vm);
	held = refs();
	close(fd);
	TEST_ASSERT(held > before, "Finding 2: %s keeps a VM and not its module, %d references",
		    h->name, held);
	TEST_ASSERT(refs() == before, "%s: %d references were %d before the VM", h->name, refs(),
		    before);
	ksft_test_result_pass("%s\n", h->name);
}

int main(void)
{
	bool trackers = kvm_check_cap(KVM_CAP_X86_PAGE_TRACK);
	int i;

	module_refcnt = host_cpu_is_intel ? "/sys/module/kvm_intel/refcnt" :
					    "/sys/module/kvm_amd/refcnt";
	__TEST_REQUIRE(!access(module_refcnt, R_OK), "No %s: KVM is built in", module_refcnt);

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(holders));
	for (i = 0; i < ARRAY_SIZE(holders); i++) {
		if (holders[i].tracker && !trackers)
			ksft_test_result_skip("%s: KVM has none\n", holders[i].name);
		else
			test_holder(&holders[i]);
	}
	ksft_finished();
}
