// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM writes to a page that it shares with the guest, and that a tracker has, because
 * of the local APIC: whether an interrupt needs an EOI, that a page has come, a message of
 * Hyper-V's SynIC.
 */
#include "apic.h"
#include "by_kvm.h"
#include "hyperv.h"
#include "kselftest.h"
#include "ucall_common.h"

#define VECTOR		0x40
#define SINT		1

/* From the Hyper-V specification. */
#define STIMER_ENABLE	BIT(0)
#define STIMER_SINT(n)	((uint64_t)(n) << 16)

static void guest_handler(struct ex_regs *regs)
{
	x2apic_write_reg(APIC_EOI, 0);
}

static void guest_code(void)
{
	x2apic_enable();
	GUEST_SYNC(0);
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | APIC_DM_FIXED | VECTOR);
	asm volatile("sti; nop; cli" : : : "memory");
	GUEST_DONE();
}

static void enable_eoi(struct kvm_vcpu *vcpu, uint64_t gpa)
{
	vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, gpa | KVM_MSR_ENABLED);
}

/* KVM begins with a token that wakes all that waits for a page. */
static void enable_async_pf(struct kvm_vcpu *vcpu, uint64_t gpa)
{
	vcpu_set_msr(vcpu, MSR_KVM_ASYNC_PF_INT, VECTOR);
	vcpu_set_msr(vcpu, MSR_KVM_ASYNC_PF_EN,
		     gpa | KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT);
}

/* The message of a timer that has expired long since. */
static void enable_synic(struct kvm_vcpu *vcpu, uint64_t gpa)
{
	vcpu_set_msr(vcpu, HV_X64_MSR_SCONTROL, 1);
	vcpu_set_msr(vcpu, HV_X64_MSR_SIMP, gpa | 1);
	vcpu_set_msr(vcpu, HV_X64_MSR_SINT0 + SINT, VECTOR);
	vcpu_set_msr(vcpu, HV_X64_MSR_STIMER0_COUNT, 1);
	vcpu_set_msr(vcpu, HV_X64_MSR_STIMER0_CONFIG, STIMER_ENABLE | STIMER_SINT(SINT));
}

static void test(const char *name, bool hyperv,
		 void (*enable)(struct kvm_vcpu *vcpu, uint64_t gpa))
{
	struct kvm_vcpu *vcpu;
	struct tracker t;
	struct kvm_vm *vm;
	uint64_t gpa;

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	vm_install_exception_handler(vm, VECTOR, guest_handler);
	gpa = addr_gva2gpa(vm, vm_vaddr_alloc_page(vm));
	if (hyperv) {
		vcpu_set_hv_cpuid(vcpu);
		vcpu_enable_cap(vcpu, KVM_CAP_HYPERV_SYNIC2, 0);
	}
	by_kvm_run_to(vcpu, UCALL_SYNC);

	tracker_create(vm, &t, 64, 0, 0);
	tracker_add(&t, gpa, PAGE_SIZE, TRACKER_NOTIFY);
	enable(vcpu, gpa);
	by_kvm_run_to(vcpu, UCALL_DONE);
	BY_KVM_ASSERT_WRITTEN(&t, gpa, 0);

	ksft_test_result_pass("%s\n", name);
	tracker_close(&t);
	kvm_vm_free(vm);
}

/* Does the CPU do without an exit what KVM has a guest do in memory? */
static bool cpu_has_eoi(void)
{
	return host_cpu_is_intel ? get_kvm_intel_param_bool("enable_apicv") :
				   get_kvm_amd_param_bool("avic");
}

int main(void)
{
	tracker_require();
	ksft_print_header();
	ksft_set_plan(3);

	if (cpu_has_eoi())
		ksft_test_result_skip("EOI: the CPU does it\n");
	else
		test("EOI", false, enable_eoi);

	test("asynchronous page fault", false, enable_async_pf);

	if (kvm_has_cap(KVM_CAP_HYPERV_SYNIC2))
		test("SynIC message", true, enable_synic);
	else
		ksft_test_result_skip("SynIC message: KVM has no SynIC\n");
	ksft_finished();
}
