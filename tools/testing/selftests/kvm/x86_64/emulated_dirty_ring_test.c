// SPDX-License-Identifier: GPL-2.0-only
/*
 * A string instruction that KVM emulates pushes an entry to the vCPU's dirty ring for each
 * element.  It leaves the guest when the ring is almost full, and no entry is lost.
 *
 * The guest has its one page of data written by REP STOSB with the forced emulation prefix,
 * and by REP INSB, which KVM emulates anyway, downwards: KVM reads ahead from the port then.
 * Last, by REP STOSB in real mode with a segment as large as memory, which KVM emulates
 * on VMX without unrestricted guest.
 */
#include "kvm_util.h"
#include "processor.h"

#define DATA_SLOT	1
#define DATA_GPA	0x10000000ul
#define DATA_VA		0x40000000ul
#define PORT		0x60

#define REAL_GPA	0x2000ul
#define REAL_PORT	0x70

/* The first instruction does not fill the ring, both overrun it. */
#define NR_FIRST	100ul
#define NR_SECOND	1000ul
#define NR_INS		1000ul

/* As few entries as KVM allows, which has more in reserve with PML. */
static const unsigned int ring_entries[] = { 256, 1024 };

static struct kvm_dirty_gfn *ring;
static unsigned int nr_entries, next;

static void store_up(unsigned long nr)
{
	unsigned long va = DATA_VA;

	asm volatile(KVM_FEP "rep stosb" : "+D"(va), "+c"(nr) : "a"('x') : "memory");
}

static void input_down(unsigned long nr)
{
	unsigned long va = DATA_VA + NR_INS - 1;

	asm volatile("std; rep insb; cld" : "+D"(va), "+c"(nr) : "d"(PORT) : "memory");
}

static void guest_code(void)
{
	store_up(NR_FIRST);
	store_up(NR_SECOND);
	GUEST_SYNC(0);
	input_down(NR_INS);
	GUEST_SYNC(1);
}

/* Take all entries.  Returns how many there were. */
static unsigned int collect(struct kvm_vm *vm)
{
	unsigned int nr = 0;

	while (ring[next].flags & KVM_DIRTY_GFN_F_DIRTY) {
		TEST_ASSERT(ring[next].slot == DATA_SLOT && !ring[next].offset,
			    "Entry %u is of slot %u, page %llu", next, ring[next].slot,
			    ring[next].offset);
		ring[next].flags = KVM_DIRTY_GFN_F_RESET;
		next = (next + 1) % nr_entries;
		nr++;
	}

	TEST_ASSERT_EQ(kvm_vm_reset_dirty_ring(vm), nr);
	return nr;
}

/* The CPU does what KVM has left: without the prefix, it writes by itself. */
static void test_store(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;
	unsigned int nr;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_DIRTY_RING_FULL);
	vcpu_regs_get(vcpu, &regs);
	nr = collect(vcpu->vm);
	TEST_ASSERT(nr < nr_entries && nr == NR_FIRST + NR_SECOND - regs.rcx,
		    "%u entries of %u, and RCX %llu", nr, nr_entries, regs.rcx);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_SYNC);
	TEST_ASSERT(collect(vcpu->vm) <= 1, "The CPU has written one page only");
}

static void test_input(struct kvm_vcpu *vcpu, const uint8_t *data)
{
	unsigned int nr = 0, nr_full = 0, i;
	struct kvm_run *run = vcpu->run;
	uint8_t val = 0;

	for (;;) {
		vcpu_run(vcpu);
		if (run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
			nr += collect(vcpu->vm);
			nr_full++;
			continue;
		}
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT)
			break;

		for (i = 0; i < run->io.count; i++)
			((uint8_t *)run)[run->io.data_offset + i] = val++;
	}

	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_SYNC);
	nr += collect(vcpu->vm);
	TEST_ASSERT(nr == NR_INS && nr_full, "%u entries for %lu writes, %u times full", nr,
		    NR_INS, nr_full);
	for (i = 0; i < NR_INS; i++)
		TEST_ASSERT_EQ(data[NR_INS - 1 - i], (uint8_t)i);
}

static struct kvm_segment real_segment(unsigned int type, unsigned long base, uint32_t limit)
{
	return (struct kvm_segment) {
		.base = base, .limit = limit, .selector = base >> 4, .type = type,
		.present = 1, .s = 1, .g = limit > 0xffff,
	};
}

static void start_real_mode(struct kvm_vcpu *vcpu)
{
	static const uint8_t code[] = { 0xf3, 0xaa, 0xe6, REAL_PORT }; /* rep stosb; out */
	struct kvm_regs regs = {
		.rip = REAL_GPA, .rcx = NR_SECOND, .rax = 'y', .rflags = X86_EFLAGS_FIXED,
	};
	struct kvm_sregs sregs;

	memcpy(addr_gpa2hva(vcpu->vm, REAL_GPA), code, sizeof(code));
	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr0 &= ~(X86_CR0_PE | X86_CR0_PG);
	sregs.cr4 = 0;
	sregs.efer = 0;
	sregs.cs = real_segment(0xb, 0, 0xffff);
	sregs.ds = real_segment(0x3, 0, 0xffff);
	sregs.es = real_segment(0x3, DATA_GPA, ~0u);
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	sregs.ss = sregs.ds;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
}

/* One instruction after the other, or element, without a look at requests in between. */
static void test_real_mode(struct kvm_vcpu *vcpu, const uint8_t *data)
{
	unsigned int nr = 0, nr_full = 0, i;

	start_real_mode(vcpu);
	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			break;
		nr += collect(vcpu->vm);
		nr_full++;
	}

	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(vcpu->run->io.port, REAL_PORT);
	nr += collect(vcpu->vm);
	TEST_ASSERT(nr == NR_SECOND && nr_full, "%u entries for %lu writes, %u times full", nr,
		    NR_SECOND, nr_full);
	for (i = 0; i < NR_SECOND; i++)
		TEST_ASSERT_EQ(data[i], 'y');
}

/* The vCPU comes behind its ring. */
static struct kvm_vm *create_vm(struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm = vm_create(1);
	int i, r = -1;

	for (i = 0; r && i < ARRAY_SIZE(ring_entries); i++) {
		nr_entries = ring_entries[i];
		r = __vm_enable_cap(vm, KVM_CAP_DIRTY_LOG_RING,
				    nr_entries * sizeof(struct kvm_dirty_gfn));
	}
	TEST_ASSERT(!r, "No dirty ring of %u entries", nr_entries);
	vm->dirty_ring_size = nr_entries * sizeof(struct kvm_dirty_gfn);

	*vcpu = vm_vcpu_add(vm, 0, guest_code);
	ring = vcpu_map_dirty_ring(*vcpu);
	return vm;
}

int main(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	uint8_t *data;

	TEST_REQUIRE(is_forced_emulation_enabled);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_DIRTY_LOG_RING));

	vm = create_vm(&vcpu);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA, DATA_SLOT, 1,
				    KVM_MEM_LOG_DIRTY_PAGES);
	virt_map(vm, DATA_VA, DATA_GPA, 1);
	data = addr_gpa2hva(vm, DATA_GPA);

	test_store(vcpu);
	TEST_ASSERT(data[NR_SECOND - 1] == 'x' && !data[NR_SECOND], "The guest's data differ");
	test_input(vcpu, data);
	if (host_cpu_is_intel && !vm_is_unrestricted_guest(vm))
		test_real_mode(vcpu, data);
	else
		pr_info("The CPU does real mode itself: that part is left out\n");

	kvm_vm_free(vm);
	return 0;
}
