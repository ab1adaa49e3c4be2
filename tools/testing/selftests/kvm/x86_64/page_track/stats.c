// SPDX-License-Identifier: GPL-2.0-only
/* Statistics of KVM. */
#include <string.h>

#include "stats.h"

bool tg_has_page_track_stats(struct kvm_vm *vm)
{
	uint64_t val = TG_FAULT;

	__vm_get_stat(vm, "page_track_pages", &val, 1);
	return val != TG_FAULT;
}

uint64_t tg_stat(struct tiny_guest *g, const char *name)
{
	uint64_t val = TG_FAULT;

	__vm_get_stat(g->vm, name, &val, 1);
	TEST_ASSERT(val != TG_FAULT, "KVM has no statistic %s for a VM", name);
	return val;
}

uint64_t tg_vcpu_stat(struct tiny_guest *g, const char *name)
{
	struct kvm_stats_desc *descs, *desc;
	struct kvm_stats_header header;
	uint64_t val = TG_FAULT;
	int fd, i;

	fd = __vcpu_ioctl(g->vcpu, KVM_GET_STATS_FD, NULL);
	TEST_ASSERT(fd >= 0, KVM_IOCTL_ERROR(KVM_GET_STATS_FD, fd));
	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);

	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, name))
			read_stat_data(fd, &header, desc, &val, 1);
	}

	free(descs);
	close(fd);
	TEST_ASSERT(val != TG_FAULT, "KVM has no statistic %s for a vCPU", name);
	return val;
}

void tg_assert_stat(struct tiny_guest *g, const char *name, uint64_t want,
		    const char *file, unsigned int line)
{
	uint64_t got = tg_stat(g, name);

	test_assert(got == want, name, file, line,
		    "%s of the %s guest: wanted %lu, got %lu", name,
		    tg_mode_name(g->mode), want, got);
}

void tg_assert_load(struct tiny_guest *g, uint64_t va, uint64_t want,
		    const char *file, unsigned int line)
{
	uint64_t got = tg_load(g, va);

	test_assert(got == want, "load", file, line,
		    "load from 0x%lx by the %s guest: wanted 0x%lx, got 0x%lx",
		    va, tg_mode_name(g->mode), want, got);
}

uint64_t tg_add_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa, uint32_t slot, int nr)
{
	uint64_t huge;
	int i;

	vm_userspace_mem_region_add(g->vm, VM_MEM_SRC_ANONYMOUS_THP, gpa, slot,
				    nr * TG_HUGE_SIZE / PAGE_SIZE, 0);
	for (i = 0; i < nr; i++) {
		tg_map_huge(g, va + i * TG_HUGE_SIZE, gpa + i * TG_HUGE_SIZE);
		tg_store(g, va + i * TG_HUGE_SIZE, 0x77, 4);
	}

	/* The tiny guest's own slots may have some, too. */
	huge = tg_stat(g, "pages_2m");
	if (huge >= nr)
		return huge;

	g->skip = "the host has no huge pages";
	return 0;
}
