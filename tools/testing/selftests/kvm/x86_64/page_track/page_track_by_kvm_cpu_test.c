// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM writes in place of the CPU to a page that a tracker has: Accessed and Dirty bits
 * of a guest page table, and the state that SMM saves.
 */
#include <string.h>

#include "by_kvm.h"
#include "cases.h"
#include "smm.h"
#include "stats.h"

#define VA		0x40c01000ul
#define PTE_ACCESSED	BIT(5)
#define PTE_DIRTY	BIT(6)

/* SMRAM is the code slot.  The handler is where it is by default, and the state saved. */
#define SMBASE		TG_CODE_GPA
#define SMI_HANDLER	(SMBASE + 0x8000)
#define SMI_STATE	(SMBASE + 0xf000)
#define HANDLER_PORT	0x71

static const uint8_t handler[] = {
	0xe6, HANDLER_PORT,	/* out %al, $HANDLER_PORT */
};

/*
 * KVM walks the guest's tables, which it shadows, at a fault.  In two dimensions the CPU
 * does, faults when it is about to set a bit, and KVM's emulator walks.
 */
static void test_accessed_dirty(struct tiny_guest *g)
{
	uint64_t pos, table, entry;
	struct tracker t;

	tg_map(g, VA, tg_data(1));
	pos = tg_entry_gpa(g, VA, 1);
	table = pos & PAGE_MASK;
	entry = tg_read_entry(g, pos) & ~(PTE_ACCESSED | PTE_DIRTY);
	tg_write_entry(g, pos, entry);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, table, PAGE_SIZE, TRACKER_NOTIFY);

	TG_ASSERT_LOAD(g, VA, tg_data(1));
	TEST_ASSERT_EQ(tg_read_entry(g, pos) & PTE_ACCESSED, PTE_ACCESSED);
	BY_KVM_ASSERT_WRITTEN(&t, table, 0);

	if (!(tg_read_entry(g, pos) & PTE_DIRTY)) {
		tg_store(g, VA, 1, 4);
		TEST_ASSERT_EQ(tg_read_entry(g, pos) & PTE_DIRTY, PTE_DIRTY);
		BY_KVM_ASSERT_WRITTEN(&t, table, 0);
	}

	/* There is nothing to set any more. */
	tg_store(g, VA, 1, 4);
	tracker_poll(&t, 0);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

static void test_smm(struct tiny_guest *g)
{
	struct kvm_vcpu_events events;
	struct tracker t;

	tg_add_smm_slots(g);
	memcpy(addr_gpa2hva(g->vm, SMI_HANDLER), handler, sizeof(handler));
	vcpu_set_msr(g->vcpu, MSR_IA32_SMBASE, SMBASE);
	tracker_create(g->vm, &t, 64, 0, 0);
	tracker_add(&t, SMI_STATE, PAGE_SIZE, TRACKER_NOTIFY);

	vcpu_events_get(g->vcpu, &events);
	events.smi.pending = 1;
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	vcpu_events_set(g->vcpu, &events);
	vcpu_run(g->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(g->vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(g->vcpu->run->io.port, HANDLER_PORT);

	BY_KVM_ASSERT_WRITTEN(&t, SMI_STATE, KVM_PAGE_TRACK_EVENT_SMM);
	tracker_close(&t);
}

static void init_smm(struct tiny_guest *g)
{
	if (!kvm_has_cap(KVM_CAP_X86_SMM))
		g->skip = "KVM has no SMM";
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "Accessed and Dirty bits", test_accessed_dirty, TG_ALL_MODES },
		{ "state saved by SMM", test_smm, TG_4LEVEL_BIT, .init = init_smm },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
