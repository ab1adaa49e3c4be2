// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU in SMM asks and sleeps as any other.  Taken out of SMM meanwhile, with the same
 * registers, it is not where it asked.
 */
#include <errno.h>

#include "asleep.h"
#include "cases.h"
#include "smm.h"

static void test_smm(struct tiny_guest *g)
{
	struct kvm_page_track_event event, again;
	struct asleep s;
	struct tracker t;

	tg_add_smm_slots(g);
	asleep_init(g, &t, 0);
	tg_set_smm(g, true);
	asleep_start(&s, g, TG_STORE4, ASK_VAL);
	event = asleep_get_event(&t);
	TEST_ASSERT_EQ(event.flags, KVM_PAGE_TRACK_EVENT_GVA | KVM_PAGE_TRACK_EVENT_SMM |
				    KVM_PAGE_TRACK_EVENT_ASKS);
	ASLEEP_ASSERT_SLEEPS(&s);
	ASLEEP_INTERRUPT(&s);
	asleep_go_on(&s, g);
	ASLEEP_ASSERT_SLEEPS(&s);
	TRACKER_ASSERT_EMPTY(&t);
	ASLEEP_INTERRUPT(&s);

	tg_set_smm(g, false);
	asleep_go_on(&s, g);
	again = ASLEEP_GET_QUESTION(&t, g, ASK_VAL);
	ASLEEP_ASSERT_SLEEPS(&s);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_SKIP, 0), ENOENT);
	TEST_ASSERT_EQ(asleep_reply(&t, &again, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL);

	tg_set_smm(g, true);
	asleep_start(&s, g, TG_STORE4, ASK_VAL + 1);
	event = asleep_get_event(&t);
	TEST_ASSERT_EQ(asleep_reply(&t, &event, KVM_PAGE_TRACK_REPLY_ALLOW, 0), 0);
	ASLEEP_ASSERT_ENDED(&s, ASK_VAL + 1);
	tg_set_smm(g, false);
	TRACKER_ASSERT_EMPTY(&t);
	tracker_close(&t);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "a vCPU in SMM asks", test_smm, TG_4LEVEL_BIT },
	};

	tracker_require();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_SMM));
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
