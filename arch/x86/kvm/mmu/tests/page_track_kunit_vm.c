// SPDX-License-Identifier: GPL-2.0-only
/* The made-up VM of the KUnit suites, and what they do to it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/rbtree.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "page_track_kunit.h"
#include "mmu/page_track_by_kvm.h"

static unsigned long page_track_seed;
module_param(page_track_seed, ulong, 0444);
MODULE_PARM_DESC(page_track_seed, "Seed of the random page tracking tests, 0 = any");

static void init_memslots(struct kvm *kvm)
{
	struct kvm_memslots *slots;
	int i, j;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		for (j = 0; j < ARRAY_SIZE(kvm->__memslots[i]); j++) {
			slots = &kvm->__memslots[i][j];
			slots->hva_tree = RB_ROOT_CACHED;
			slots->gfn_tree = RB_ROOT;
			slots->node_idx = j;
			slots->generation = i;
			hash_init(slots->id_hash);
		}
		rcu_assign_pointer(kvm->memslots[i], &kvm->__memslots[i][0]);
	}
}

static struct kvm *create_kvm(void)
{
	struct kvm *kvm = __vmalloc(sizeof(*kvm), GFP_KERNEL | __GFP_ZERO);

	if (!kvm)
		return NULL;

	rwlock_init(&kvm->mmu_lock);
	mutex_init(&kvm->slots_lock);
	mutex_init(&kvm->slots_arch_lock);
	spin_lock_init(&kvm->mn_invalidate_lock);
	rcuwait_init(&kvm->mn_memslots_update_rcuwait);
	xa_init(&kvm->vcpu_array);
#ifdef CONFIG_KVM_GENERIC_MEMORY_ATTRIBUTES
	xa_init(&kvm->mem_attr_array);
#endif
	refcount_set(&kvm->users_count, 1);
	kvm_page_track_init(kvm);
	kvm_page_track_init_by_kvm(kvm);

	/* A kernel thread has no mm, and this VM is its own. */
	kvm->mm = current->mm;

	init_memslots(kvm);

	if (init_srcu_struct(&kvm->srcu))
		goto err_free;
	if (kvm_mmu_init_vm(kvm))
		goto err_cleanup_srcu;

	return kvm;

err_cleanup_srcu:
	cleanup_srcu_struct(&kvm->srcu);
err_free:
	vfree(kvm);
	return NULL;
}

static int set_slot(struct kvm *kvm, u32 id, gfn_t base, u64 npages, u32 flags)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gfn_to_gpa(base),
		.memory_size = npages << PAGE_SHIFT,
		/* Anywhere, if only each slot can have large pages. */
		.userspace_addr = SZ_1T + gfn_to_gpa(PTK_BASE),
	};

	return __kvm_set_memory_region(kvm, &region);
}

static void delete_memslots(struct kvm *kvm, int as_id)
{
	struct kvm_memslots *slots = __kvm_memslots(kvm, as_id);
	struct kvm_memory_slot *slot;

	while (!kvm_memslots_empty(slots)) {
		slot = rb_entry(rb_first(&slots->gfn_tree), struct kvm_memory_slot,
				gfn_node[slots->node_idx]);
		if (WARN_ON(set_slot(kvm, as_id << 16 | slot->id, 0, 0, 0)))
			return;
		slots = __kvm_memslots(kvm, as_id);
	}
}

static void delete_all_memslots(struct kvm *kvm)
{
	int i;

	mutex_lock(&kvm->slots_lock);
	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++)
		delete_memslots(kvm, i);
	mutex_unlock(&kvm->slots_lock);
}

static void destroy_kvm(struct kvm *kvm)
{
	kvm_mmu_uninit_vm(kvm);
	kvm_page_track_stop_by_kvm(kvm);
	cleanup_srcu_struct(&kvm->srcu);
	vfree(kvm);
}

int ptk_init(struct kunit *test)
{
	struct ptk_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);

	if (!vm)
		return -ENOMEM;

	vm->kvm = create_kvm();
	test->priv = vm;

	return vm->kvm ? 0 : -ENOMEM;
}

/* Only a failed assertion keeps a test from doing so itself. */
static void unregister_all_trackers(struct kunit *test)
{
	struct kvm_page_track_notifier_head *head = &ptk_kvm(test)->arch.track_notifier_head;
	struct kvm_page_track_notifier_node *n;
	struct hlist_node *next;

	if (test->status == KUNIT_SUCCESS)
		KUNIT_EXPECT_FALSE(test, ptk_any_tracker(test));

	hlist_for_each_entry_safe(n, next, &head->track_notifier_list, node)
		ptk_unregister(test, n);
}

/* KUnit calls it after a failed assertion, too. */
void ptk_exit(struct kunit *test)
{
	struct ptk_vm *vm = ptk_vm(test);

	if (!vm || !vm->kvm)
		return;

	unregister_all_trackers(test);
	delete_all_memslots(vm->kvm);
	KUNIT_EXPECT_EQ(test, ptk_pages(test), 0);
	KUNIT_EXPECT_EQ(test, ptk_bytes(test), 0);
	KUNIT_EXPECT_FALSE(test, vm->kvm->vm_bugged);

	kvm_mmu_free_memory_cache(&vm->blocks);
	destroy_kvm(vm->kvm);
	vm->kvm = NULL;
}

int ptk_set_slot(struct kunit *test, u32 id, gfn_t base, u64 npages, u32 flags)
{
	struct kvm *kvm = ptk_kvm(test);
	int r;

	mutex_lock(&kvm->slots_lock);
	r = set_slot(kvm, id, base, npages, flags);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

struct kvm_memory_slot *ptk_get_slot(struct kunit *test, u32 id)
{
	struct kvm *kvm = ptk_kvm(test);
	struct kvm_memory_slot *slot;

	mutex_lock(&kvm->slots_lock);
	slot = id_to_memslot(__kvm_memslots(kvm, id >> 16), (u16)id);
	mutex_unlock(&kvm->slots_lock);
	return slot;
}

struct kvm_memory_slot *ptk_create_slot_at(struct kunit *test, u32 id, gfn_t base,
					   u64 npages)
{
	KUNIT_ASSERT_EQ(test, ptk_set_slot(test, id, base, npages, 0), 0);
	return ptk_get_slot(test, id);
}

struct kvm_memory_slot *ptk_create_slot(struct kunit *test)
{
	return ptk_create_slot_at(test, PTK_SLOT, PTK_BASE, PTK_NPAGES);
}

int ptk_enable(struct kunit *test)
{
	struct kvm *kvm = ptk_kvm(test);
	int r;

	mutex_lock(&kvm->slots_lock);
	mutex_lock(&kvm->slots_arch_lock);
	r = kvm_page_track_enable(kvm, KVM_PAGE_TRACK_WRITE);
	mutex_unlock(&kvm->slots_arch_lock);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

struct kvm_memory_slot *ptk_create_tracked_slot(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, ptk_enable(test), 0);
	return ptk_create_slot(test);
}

int ptk_add(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn)
{
	struct ptk_vm *vm = ptk_vm(test);
	struct kvm *kvm = vm->kvm;
	int idx, r;

	KUNIT_ASSERT_EQ(test, __kvm_mmu_topup_memory_cache(&vm->blocks, 1, 1), 0);

	idx = srcu_read_lock(&kvm->srcu);
	write_lock(&kvm->mmu_lock);
	r = kvm_slot_page_track_add_page(kvm, &vm->blocks, slot, gfn,
					 KVM_PAGE_TRACK_WRITE);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return r;
}

int ptk_remove(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn)
{
	struct kvm *kvm = ptk_kvm(test);
	int idx, r;

	idx = srcu_read_lock(&kvm->srcu);
	write_lock(&kvm->mmu_lock);
	r = kvm_slot_page_track_remove_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return r;
}

bool ptk_is_active(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn)
{
	struct kvm *kvm = ptk_kvm(test);
	bool active;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	active = kvm_slot_page_track_is_active(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
	srcu_read_unlock(&kvm->srcu, idx);
	return active;
}

int ptk_add_many(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn, int n)
{
	int refused = 0;

	while (n--)
		refused += ptk_add(test, slot, gfn) != 0;
	return refused;
}

int ptk_drain(struct kunit *test, struct kvm_memory_slot *slot, gfn_t gfn)
{
	int n = 0;

	while (n <= USHRT_MAX && ptk_remove(test, slot, gfn) >= 0)
		n++;
	return n;
}

bool ptk_any_tracker(struct kunit *test)
{
	return !hlist_empty(&ptk_kvm(test)->arch.track_notifier_head.track_notifier_list);
}

int ptk_register(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	return kvm_page_track_register_notifier(ptk_kvm(test), n);
}

void ptk_unregister(struct kunit *test, struct kvm_page_track_notifier_node *n)
{
	kvm_page_track_unregister_notifier(ptk_kvm(test), n);
}

struct kvm_page_track_notifier_node *ptk_create_tracker(struct kunit *test)
{
	struct kvm_page_track_notifier_node *n;

	n = kunit_kzalloc(test, sizeof(*n), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, n);
	KUNIT_ASSERT_EQ(test, ptk_register(test, n), 0);
	return n;
}

void ptk_count_in_pieces(struct kunit *test)
{
	ptk_kvm(test)->arch.track_notifier_head.nr_external += KVM_PAGE_TRACK_MAX_TRACKERS / 2;
}

int ptk_add_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		  gfn_t gfn, gfn_t nr_pages)
{
	return kvm_page_track_add_range(ptk_kvm(test), n, gfn, nr_pages,
					KVM_PAGE_TRACK_WRITE, 0);
}

int ptk_remove_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		     gfn_t gfn, gfn_t nr_pages)
{
	return kvm_page_track_remove_range(ptk_kvm(test), n, gfn, nr_pages,
					   KVM_PAGE_TRACK_WRITE);
}

int ptk_next_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		   gfn_t *gfn, gfn_t *nr_pages)
{
	u8 action;

	return kvm_page_track_next_range(ptk_kvm(test), n, KVM_PAGE_TRACK_WRITE, gfn,
					 nr_pages, &action);
}

int ptk_untrack_page(struct kunit *test, struct kvm_page_track_notifier_node *n, gfn_t gfn,
		     u8 action)
{
	struct kvm *kvm = ptk_kvm(test);
	int idx, r;

	idx = srcu_read_lock(&kvm->srcu);
	mutex_lock(&kvm->slots_arch_lock);
	r = kvm_page_track_untrack_page(kvm, n, gfn, KVM_PAGE_TRACK_WRITE, action);
	mutex_unlock(&kvm->slots_arch_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return r;
}

void ptk_expect_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
		      gfn_t from, gfn_t gfn, gfn_t nr)
{
	gfn_t got_nr = 0, got = from;

	KUNIT_EXPECT_EQ(test, ptk_next_range(test, n, &got, &got_nr), 0);
	KUNIT_EXPECT_EQ(test, got, gfn);
	KUNIT_EXPECT_EQ(test, got_nr, nr);
}

void ptk_expect_no_range(struct kunit *test, struct kvm_page_track_notifier_node *n,
			 gfn_t from)
{
	gfn_t nr = 123, gfn = from;

	KUNIT_EXPECT_EQ(test, ptk_next_range(test, n, &gfn, &nr), -ENOENT);
	KUNIT_EXPECT_EQ(test, gfn, from);
	KUNIT_EXPECT_EQ(test, nr, 123);
}

static void free_vcpu(void *vcpu)
{
	kvm_page_track_free_vcpu(vcpu);
}

struct kvm_vcpu *ptk_create_vcpu(struct kunit *test)
{
	struct kvm_vcpu *vcpu = kunit_kzalloc(test, sizeof(*vcpu), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vcpu);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_vcpu, vcpu), 0);
	vcpu->kvm = ptk_kvm(test);
	return vcpu;
}

int ptk_before_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void **val, int bytes)
{
	int idx, r;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	r = kvm_page_track_before_write(vcpu, gpa, gpa, val, bytes);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	return r;
}

void ptk_decide_write(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	int idx;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	kvm_page_track_decide_write(vcpu, gpa);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
}

void ptk_after_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes)
{
	int idx;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	kvm_page_track_write(vcpu, gpa, gpa, new, bytes);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
}

/* Of a vCPU of its own, as several threads may do this at once. */
void ptk_tell_write(struct kunit *test, gpa_t gpa, const u8 *new, int bytes)
{
	struct kvm_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL | __GFP_NOFAIL);

	vcpu->kvm = ptk_kvm(test);
	ptk_after_write(vcpu, gpa, new, bytes);
	kvm_page_track_free_vcpu(vcpu);
	kfree(vcpu);
}

s64 ptk_pages(struct kunit *test)
{
	return atomic64_read(&ptk_kvm(test)->stat.page_track_pages);
}

s64 ptk_bytes(struct kunit *test)
{
	return atomic64_read(&ptk_kvm(test)->stat.page_track_bytes);
}

int ptk_disallow_lpage(const struct kvm_memory_slot *slot, gfn_t gfn, int level)
{
	gfn_t index = gfn_to_index(gfn, slot->base_gfn, level);

	return slot->arch.lpage_info[level - PG_LEVEL_2M][index].disallow_lpage;
}

int ptk_disallow_lpages(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	int level, n = 0;

	for (level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++)
		n += ptk_disallow_lpage(slot, gfn, level);
	return n;
}

void ptk_seed(struct kunit *test, struct rnd_state *rnd)
{
	u64 seed = page_track_seed ?: get_random_long();

	kunit_info(test, "repeat with kvm.page_track_seed=%llu", seed);
	prandom_seed_state(rnd, seed);
}

void ptk_forget_skips(struct kunit_suite *suite)
{
	struct kunit_case *c;

	kunit_suite_for_each_test_case(suite, c)
		if (c->status == KUNIT_SKIPPED)
			c->status = KUNIT_SUCCESS;
}

void ptk_require_smm(struct kunit *test)
{
	if (kvm_arch_nr_memslot_as_ids(ptk_kvm(test)) == 1)
		kunit_skip(test, "no second address space, see CONFIG_KVM_SMM");
}
