/* SPDX-License-Identifier: GPL-2.0-only */
/* Statistics of KVM, and assertions about them and about what the tiny guest loads. */
#ifndef SELFTEST_KVM_PAGE_TRACK_STATS_H
#define SELFTEST_KVM_PAGE_TRACK_STATS_H

#include "guest.h"

/* Statistics.  Of the VM, or of the vCPU for those that vCPUs have. */
bool tg_has_page_track_stats(struct kvm_vm *vm);
uint64_t tg_stat(struct tiny_guest *g, const char *name);
uint64_t tg_vcpu_stat(struct tiny_guest *g, const char *name);

#define TG_ASSERT_STAT(g, name, want) \
	tg_assert_stat(g, name, want, __FILE__, __LINE__)

/* A statistic that counts what only shadow paging does. */
#define TG_ASSERT_SHADOW_STAT(g, name, want) \
	tg_assert_stat(g, name, tg_shadowed() ? (want) : 0, __FILE__, __LINE__)

#define TG_ASSERT_LOAD(g, va, want) \
	tg_assert_load(g, va, want, __FILE__, __LINE__)

void tg_assert_stat(struct tiny_guest *g, const char *name, uint64_t want,
		    const char *file, unsigned int line);
void tg_assert_load(struct tiny_guest *g, uint64_t va, uint64_t want,
		    const char *file, unsigned int line);

/*
 * Add a slot at @gpa of @nr huge pages of the host, mapped as such at @va, and have the
 * guest use each.  Returns how many huge pages KVM has mapped now, or 0, with g->skip
 * set, if there is one too few.
 */
uint64_t tg_add_huge(struct tiny_guest *g, uint64_t va, uint64_t gpa, uint32_t slot, int nr);

#endif /* SELFTEST_KVM_PAGE_TRACK_STATS_H */
