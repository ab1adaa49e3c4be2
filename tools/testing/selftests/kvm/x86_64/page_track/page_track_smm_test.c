// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU in SMM uses slots of another address space, here with the same memory.
 * A page table is tracked in both, whichever it is used and written in.
 */
#include "cases.h"
#include "guest.h"
#include "smm.h"
#include "stats.h"

#define VA		0x40c01000ul

/* SMRAM is the code slot: the handler is there, and the state saved, by default. */
#define SMBASE		TG_CODE_GPA
#define SMI_HANDLER	(SMBASE + 0x8000)
#define HANDLER_PORT	0x71

static const uint8_t handler[] = {
	0xe6, HANDLER_PORT,	/* out %al, $HANDLER_PORT */
};

static void add_smm(struct tiny_guest *g)
{
	tg_add_smm_slots(g);
	memcpy(addr_gpa2hva(g->vm, SMI_HANDLER), handler, sizeof(handler));
	vcpu_set_msr(g->vcpu, MSR_IA32_SMBASE, SMBASE);
}

/* Have an SMI, run to the handler, then let it use the guest's page tables. */
static void enter_smm(struct tiny_guest *g)
{
	struct kvm_vcpu_events events;

	vcpu_events_get(g->vcpu, &events);
	TEST_ASSERT_EQ(events.smi.smm, 0);
	events.smi.pending = 1;
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	vcpu_events_set(g->vcpu, &events);

	vcpu_run(g->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(g->vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(g->vcpu->run->io.port, HANDLER_PORT);
	vcpu_events_get(g->vcpu, &events);
	TEST_ASSERT_EQ(events.smi.smm, 1);

	tg_reset_vcpu(g);
}

static void leave_smm(struct tiny_guest *g)
{
	struct kvm_vcpu_events events;

	vcpu_events_get(g->vcpu, &events);
	TEST_ASSERT_EQ(events.smi.smm, 1);
	tg_set_smm(g, false);
	tg_reset_vcpu(g);
}

static void toggle_smm(struct tiny_guest *g, bool *smm)
{
	if (*smm)
		leave_smm(g);
	else
		enter_smm(g);
	*smm = !*smm;
}

/*
 * Map a page writable on one side, make it a page directory on the other, and
 * write it from the first side again.
 */
static void write_from_other_side(struct tiny_guest *g, bool smm)
{
	uint64_t pos, writes;
	bool now = false;

	add_smm(g);
	tg_map(g, VA, tg_data(1));
	pos = tg_entry_gpa(g, VA, 2);

	if (smm != now)
		toggle_smm(g, &now);
	tg_edit(g, pos, tg_read_entry(g, pos));

	toggle_smm(g, &now);
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	writes = tg_stat(g, "mmu_pte_write");

	toggle_smm(g, &now);
	tg_edit(g, pos, tg_new_path(g, VA, 2, tg_data(2)));

	toggle_smm(g, &now);
	tg_flush(g);
	TG_ASSERT_LOAD(g, VA, tg_data(2));
	TG_ASSERT_STAT(g, "mmu_pte_write", writes + tg_shadowed());
}

static void test_written_in_smm(struct tiny_guest *g)
{
	write_from_other_side(g, true);
}

static void test_used_in_smm(struct tiny_guest *g)
{
	write_from_other_side(g, false);
}

/* A table that both sides use: the writes of either are seen by both. */
static void test_both(struct tiny_guest *g)
{
	int i, data = 1, writes = 0;
	bool smm = false;

	add_smm(g);
	tg_map(g, VA, tg_data(data));
	TG_ASSERT_LOAD(g, VA, tg_data(data));

	for (i = 0; i < 4; i++) {
		toggle_smm(g, &smm);
		TG_ASSERT_LOAD(g, VA, tg_data(data));
		tg_redirect(g, VA, 2, tg_data(++data));
		TG_ASSERT_LOAD(g, VA, tg_data(data));
		TG_ASSERT_SHADOW_STAT(g, "mmu_pte_write", ++writes);
	}
}

/* Each address space has counters of its own, for what it shadows itself. */
static void test_counters(struct tiny_guest *g)
{
	uint64_t normal, both, bytes;

	add_smm(g);
	tg_map(g, VA, tg_data(1));
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	tg_load(g, tg_edit_va(g->root));
	normal = tg_count_upper(g);
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", normal);
	bytes = tg_stat(g, "page_track_bytes");

	enter_smm(g);
	TG_ASSERT_LOAD(g, VA, tg_data(1));
	tg_load(g, tg_edit_va(g->root));
	both = normal + tg_count_upper(g);
	TG_ASSERT_SHADOW_STAT(g, "page_track_pages", both);
	TG_ASSERT_SHADOW_STAT(g, "page_track_bytes", bytes + PAGE_SIZE);

	/* SMM's slot of the tables goes, all shadow pages with it. */
	leave_smm(g);
	vm_set_user_memory_region(g->vm, TG_SMM_SLOT(TG_ARENA_SLOT), 0, TG_ARENA_GPA,
				  0, NULL);
	TG_ASSERT_STAT(g, "page_track_pages", 0);
	TG_ASSERT_SHADOW_STAT(g, "page_track_bytes", bytes - sizeof(uint64_t));
	tg_redirect(g, VA, 2, tg_data(2));
	TG_ASSERT_LOAD(g, VA, tg_data(2));
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "table written in SMM", test_written_in_smm, TG_ALL_MODES },
		{ "table used in SMM", test_used_in_smm, TG_ALL_MODES },
		{ "table used in both", test_both, TG_ALL_MODES },
		{ "counters", test_counters, TG_ALL_MODES, true },
	};

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_SMM));
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
