// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM writes to a page that it shares with the guest, and that a tracker has: clocks,
 * steal time and code, of KVM's own paravirtualization, of Hyper-V's and of Xen's.
 */
#include "by_kvm.h"
#include "cases.h"
#include "hyperv.h"
#include "stats.h"

#define VA	0x40000000ul
#define GPA	tg_data(1)
/* Beside what KVM writes anyway: nobody tracks it. */
#define OTHER	tg_data(2)

#define XEN_MSR	0x40000200

static void track(struct tiny_guest *g, struct tracker *t)
{
	tg_map(g, VA, tg_data(3));
	tracker_create(g->vm, t, 64, 0, 0);
	tracker_add(t, GPA, PAGE_SIZE, TRACKER_NOTIFY);
}

/* A write that is done when userspace sets the MSR. */
static void assert_set(struct tiny_guest *g, uint32_t msr, uint64_t flags)
{
	struct tracker t;

	track(g, &t);
	vcpu_set_msr(g->vcpu, msr, OTHER | flags);
	TEST_ASSERT(!tracker_poll(&t, 0), "An event of a page that is not tracked");
	vcpu_set_msr(g->vcpu, msr, GPA | flags);
	BY_KVM_ASSERT_WRITTEN(&t, GPA, 0);
	tracker_close(&t);
}

/* One that is done before the vCPU enters the guest. */
static void assert_run(struct tiny_guest *g, uint32_t msr, uint64_t flags)
{
	struct tracker t;

	track(g, &t);
	vcpu_set_msr(g->vcpu, msr, GPA | flags);
	TG_ASSERT_LOAD(g, VA, tg_data(3));
	BY_KVM_ASSERT_WRITTEN(&t, GPA, 0);
	tracker_close(&t);
}

static void test_wall_clock(struct tiny_guest *g)
{
	assert_set(g, MSR_KVM_WALL_CLOCK_NEW, 0);
}

static void test_system_time(struct tiny_guest *g)
{
	assert_run(g, MSR_KVM_SYSTEM_TIME_NEW, 1);
}

static void test_steal_time(struct tiny_guest *g)
{
	assert_run(g, MSR_KVM_STEAL_TIME, KVM_MSR_ENABLED);
}

static void init_hyperv(struct tiny_guest *g)
{
	if (kvm_has_cap(KVM_CAP_HYPERV_CPUID))
		vcpu_set_hv_cpuid(g->vcpu);
	else
		g->skip = "KVM has no Hyper-V enlightenments";
}

static void test_hyperv_hypercall(struct tiny_guest *g)
{
	vcpu_set_msr(g->vcpu, HV_X64_MSR_GUEST_OS_ID, HYPERV_LINUX_OS_ID);
	assert_set(g, HV_X64_MSR_HYPERCALL, 1);
}

static void test_hyperv_vp_assist(struct tiny_guest *g)
{
	assert_set(g, HV_X64_MSR_VP_ASSIST_PAGE, HV_X64_MSR_VP_ASSIST_PAGE_ENABLE);
}

static void test_hyperv_tsc(struct tiny_guest *g)
{
	assert_run(g, HV_X64_MSR_REFERENCE_TSC, 1);
}

static void init_xen(struct tiny_guest *g)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.msr = XEN_MSR,
	};

	if (kvm_check_cap(KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_RUNSTATE)
		vm_ioctl(g->vm, KVM_XEN_HVM_CONFIG, &config);
	else
		g->skip = "KVM has no Xen";
}

static void test_xen(struct tiny_guest *g, int type)
{
	struct kvm_xen_vcpu_attr attr = { .type = type, .u.gpa = GPA };
	struct tracker t;

	track(g, &t);
	vcpu_ioctl(g->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
	TG_ASSERT_LOAD(g, VA, tg_data(3));
	BY_KVM_ASSERT_WRITTEN(&t, GPA, 0);
	tracker_close(&t);
}

static void test_xen_vcpu_info(struct tiny_guest *g)
{
	test_xen(g, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO);
}

static void test_xen_time(struct tiny_guest *g)
{
	test_xen(g, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO);
}

static void test_xen_runstate(struct tiny_guest *g)
{
	test_xen(g, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR);
}

int main(void)
{
	static const struct tg_case cases[] = {
		{ "wall clock", test_wall_clock, TG_4LEVEL_BIT },
		{ "kvmclock", test_system_time, TG_4LEVEL_BIT },
		{ "steal time", test_steal_time, TG_4LEVEL_BIT },
		{ "Hyper-V's hypercall page", test_hyperv_hypercall, TG_4LEVEL_BIT,
		  .init = init_hyperv },
		{ "Hyper-V's VP assist page", test_hyperv_vp_assist, TG_4LEVEL_BIT,
		  .init = init_hyperv },
		{ "Hyper-V's reference TSC", test_hyperv_tsc, TG_4LEVEL_BIT,
		  .init = init_hyperv },
		{ "Xen's vCPU information", test_xen_vcpu_info, TG_4LEVEL_BIT,
		  .init = init_xen },
		{ "Xen's time of a vCPU", test_xen_time, TG_4LEVEL_BIT, .init = init_xen },
		{ "Xen's run state", test_xen_runstate, TG_4LEVEL_BIT, .init = init_xen },
	};

	tracker_require();
	tg_run_cases(cases, ARRAY_SIZE(cases));
}
