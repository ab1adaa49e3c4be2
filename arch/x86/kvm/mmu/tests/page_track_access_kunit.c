// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of page tracking, layer 2: whom to tell of a write is decided before it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "page_track_kunit.h"

static const u8 written[8];

struct counter {
	struct kvm_page_track_notifier_node node;
	int writes;
};

static void count_write(struct kvm_vcpu *vcpu, gpa_t gpa, gva_t gva, const u8 *new,
			int bytes, u8 action, struct kvm_page_track_notifier_node *node)
{
	container_of(node, struct counter, node)->writes++;
}

/* A tracker that counts what it is told of the first @nr_pages gfns. */
static struct counter *create_counter(struct kunit *test, gfn_t nr_pages)
{
	struct counter *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, c);
	c->node.track_write = count_write;
	KUNIT_ASSERT_EQ(test, ptk_register(test, &c->node), 0);
	if (nr_pages)
		KUNIT_ASSERT_EQ(test, ptk_add_range(test, &c->node, PTK_BASE, nr_pages), 0);
	return c;
}

/* The vCPU's emulator has the bytes for the gfns [@gfn, @gfn + @nr_pages). */
static struct kvm_vcpu *begin_write(struct kunit *test, gfn_t gfn, gfn_t nr_pages)
{
	struct kvm_vcpu *vcpu = ptk_create_vcpu(test);
	const void *val;
	gfn_t i;

	kvm_page_track_begin_insn(vcpu, false, true);
	for (i = 0; i < nr_pages; i++) {
		val = written;
		KUNIT_EXPECT_EQ(test, ptk_before_write(vcpu, gfn_to_gpa(gfn + i), &val,
						       sizeof(written)), 0);
	}
	return vcpu;
}

static void write_page(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	ptk_after_write(vcpu, gfn_to_gpa(gfn), written, sizeof(written));
}

static void removed_range_is_told_of_the_write_before(struct kunit *test)
{
	struct counter *c = create_counter(test, 1);
	struct kvm_vcpu *vcpu = begin_write(test, PTK_BASE, 1);

	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, &c->node, PTK_BASE, 1), 0);
	write_page(vcpu, PTK_BASE);
	kvm_page_track_end_insn(vcpu);
	KUNIT_EXPECT_EQ(test, c->writes, 1);

	vcpu = begin_write(test, PTK_BASE, 1);
	write_page(vcpu, PTK_BASE);
	kvm_page_track_end_insn(vcpu);
	KUNIT_EXPECT_EQ(test, c->writes, 1);
	ptk_unregister(test, &c->node);
}

/* As the emulator does it: all parts are asked for, then each is decided and written. */
static void removed_range_is_told_of_each_part(struct kunit *test)
{
	struct counter *c = create_counter(test, 2);
	struct kvm_vcpu *vcpu = begin_write(test, PTK_BASE, 2);
	int i;

	for (i = 0; i < 2; i++) {
		ptk_decide_write(vcpu, gfn_to_gpa(PTK_BASE + i));
		KUNIT_EXPECT_EQ(test, ptk_remove_range(test, &c->node, PTK_BASE + i, 1), 0);
		write_page(vcpu, PTK_BASE + i);
		KUNIT_EXPECT_EQ(test, c->writes, i + 1);
	}

	kvm_page_track_end_insn(vcpu);
	ptk_unregister(test, &c->node);
}

/* Both pages of a write are one gfn: the second part is decided anew. */
static void removed_range_is_told_of_both_parts_of_a_gfn(struct kunit *test)
{
	struct counter *c = create_counter(test, 1);
	struct kvm_vcpu *vcpu = begin_write(test, PTK_BASE, 1);

	ptk_decide_write(vcpu, gfn_to_gpa(PTK_BASE));
	write_page(vcpu, PTK_BASE);

	ptk_decide_write(vcpu, gfn_to_gpa(PTK_BASE));
	KUNIT_EXPECT_EQ(test, ptk_remove_range(test, &c->node, PTK_BASE, 1), 0);
	write_page(vcpu, PTK_BASE);
	KUNIT_EXPECT_EQ(test, c->writes, 2);

	kvm_page_track_end_insn(vcpu);
	ptk_unregister(test, &c->node);
}

/* Who waits for a vCPU that sleeps before its write, which is not for a removed gfn. */
static void kept_range_is_told_though_taken_back(struct kunit *test)
{
	struct counter *c = create_counter(test, 1);
	struct kvm_vcpu *vcpu = begin_write(test, PTK_BASE, 1);
	struct kvm *kvm = ptk_kvm(test);

	/* No thread runs it: it sleeps. */
	KUNIT_ASSERT_EQ(test, xa_err(xa_store(&kvm->vcpu_array, 0, vcpu, GFP_KERNEL)), 0);
	atomic_set(&kvm->online_vcpus, 1);
	kvm_page_track_wait(kvm, &c->node);
	atomic_set(&kvm->online_vcpus, 0);
	xa_destroy(&kvm->vcpu_array);

	write_page(vcpu, PTK_BASE);
	kvm_page_track_end_insn(vcpu);
	KUNIT_EXPECT_EQ(test, c->writes, 1);
	ptk_unregister(test, &c->node);
}

static void added_range_is_told_of_the_write_after(struct kunit *test)
{
	struct counter *old = create_counter(test, 1), *new = create_counter(test, 0);
	struct kvm_vcpu *vcpu = begin_write(test, PTK_BASE, 1);

	KUNIT_EXPECT_EQ(test, ptk_add_range(test, &new->node, PTK_BASE, 1), 0);
	write_page(vcpu, PTK_BASE);
	kvm_page_track_end_insn(vcpu);
	KUNIT_EXPECT_EQ(test, old->writes, 1);
	KUNIT_EXPECT_EQ(test, new->writes, 1);
	ptk_unregister(test, &old->node);
	ptk_unregister(test, &new->node);
}

static struct kunit_case access_cases[] = {
	KUNIT_CASE(removed_range_is_told_of_the_write_before),
	KUNIT_CASE(removed_range_is_told_of_each_part),
	KUNIT_CASE(removed_range_is_told_of_both_parts_of_a_gfn),
	KUNIT_CASE(kept_range_is_told_though_taken_back),
	KUNIT_CASE(added_range_is_told_of_the_write_after),
	{}
};

static struct kunit_suite access_suite = {
	.name = "kvm_page_track_access",
	.init = ptk_init,
	.exit = ptk_exit,
	.suite_exit = ptk_forget_skips,
	.test_cases = access_cases,
};

kunit_test_suite(access_suite);
