// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: the pages that a step has open, and who is told of them, see
 * page_track_step.c.
 *
 * Who has opened a page is told, and who tracks it when the step ends.  Trackers are known
 * by their id, as they may be gone then.  Whose turn it is, and who waits, is not known here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>

#include "mmu_internal.h"
#include "page_track_found.h"
#include "page_track_range.h"
#include "page_track_step_open.h"
#include "page_track_stepped.h"

/* No tracker has it. */
#define NO_ID		0

/* How often a page can be opened again, since it has come to be a page table. */
#define MAX_AGAIN	2

static gfn_t page_gfn(const struct page_track_open_page *page)
{
	return gpa_to_gfn(page->access.gpa);
}

static struct page_track_open_page *find_page(struct page_track_open_pages *open, gfn_t gfn)
{
	int i;

	for (i = 0; i < open->nr; i++) {
		if (page_gfn(&open->page[i]) == gfn)
			return &open->page[i];
	}

	return NULL;
}

/* Does nobody track @page who has to know all that is written, which a step does not? */
static bool may_be_open(struct kvm *kvm, struct page_track_open_page *page)
{
	u64 generation = kvm_page_track_generation(kvm);
	struct kvm_page_track_notifier_node *n = NULL;
	u8 action;

	if (page->generation == generation)
		return true;

	while ((n = page_track_find_next(kvm, n, page_gfn(page), &action))) {
		if (n->track_write && !n->track_access)
			return false;
	}

	page->generation = generation;
	return true;
}

/* Which tracker of @page has the @id, or -1. */
static int find_id(const struct page_track_open_page *page, u64 id)
{
	int i;

	for (i = 0; i < page->nr_ids; i++) {
		if (page->ids[i] == id)
			return i;
	}

	return -1;
}

int page_track_add_open(struct kvm_vcpu *vcpu, struct page_track_open_pages *open,
			const struct kvm_page_track_access *access, u8 action,
			struct kvm_page_track_notifier_node *n)
{
	gfn_t gfn = gpa_to_gfn(access->gpa);
	struct page_track_open_page *page = find_page(open, gfn);
	int i;

	/* It has changed what it tracks, and may not have waited for this step. */
	if (kvm_page_track_get_action(n, gfn, access->mode) != action)
		return 1;

	if (!page) {
		if (open->nr == PAGE_TRACK_MAX_OPEN)
			return 0;
		page = &open->page[open->nr];
		*page = (struct page_track_open_page) { .access = *access };
		page->access.data = NULL;
		if (!may_be_open(vcpu->kvm, page))
			return 0;
		open->nr++;
	}

	/* What the vCPU needs in order to write to the page may be shadowed again each time. */
	i = find_id(page, n->id);
	if (i >= 0)
		return page->nr_again[i]++ < MAX_AGAIN;

	if (page->nr_ids == PAGE_TRACK_MAX_OPENERS)
		return 0;
	page->ids[page->nr_ids] = n->id;
	page->nr_again[page->nr_ids] = 0;
	page->actions[page->nr_ids++] = action;
	return 1;
}

/* The vCPU maps it, or its copy, when it faults next. */
static void unmap_page(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);

	if (slot)
		kvm_mmu_view_zap_gfn(vcpu->kvm, slot, gfn);
}

int page_track_alloc_copies(struct page_track_open_pages *open)
{
	int i;

	for (i = 0; i < PAGE_TRACK_MAX_COPIES; i++) {
		if (!open->copies[i])
			open->copies[i] = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!open->copies[i])
			return -ENOMEM;
	}

	return 0;
}

/* Read nothing that is no memory, which may have side effects. */
static int copy_page_of(struct kvm_vcpu *vcpu, gfn_t gfn, struct page *copy)
{
	unsigned long hva = kvm_vcpu_gfn_to_hva(vcpu, gfn);
	struct page *page;

	if (kvm_is_error_hva(hva) || !get_user_page_fast_only(hva, 0, &page))
		return -EAGAIN;

	copy_highpage(copy, page);
	put_page(page);
	return 0;
}

int page_track_copy_open(struct kvm_vcpu *vcpu, struct page_track_open_pages *open, gfn_t gfn)
{
	struct page_track_open_page *page = find_page(open, gfn);

	/* Its tracker does not track it any more, or another one has it copied. */
	if (!page || page->copy)
		return 1;

	if (open->nr_copies == PAGE_TRACK_MAX_COPIES)
		return 0;

	if (copy_page_of(vcpu, gfn, open->copies[open->nr_copies]))
		return -EAGAIN;

	page->copy = open->copies[open->nr_copies++];

	write_lock(&vcpu->kvm->mmu_lock);
	unmap_page(vcpu, gfn);
	write_unlock(&vcpu->kvm->mmu_lock);
	kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);
	return 1;
}

struct page *page_track_find_copy(struct page_track_open_pages *open, gfn_t gfn)
{
	struct page_track_open_page *page = find_page(open, gfn);

	return page ? page->copy : NULL;
}

void page_track_free_copies(struct page_track_open_pages *open)
{
	int i;

	for (i = 0; i < PAGE_TRACK_MAX_COPIES; i++) {
		if (open->copies[i])
			__free_page(open->copies[i]);
	}
}

bool page_track_use_open(struct kvm *kvm, struct page_track_open_pages *open, gfn_t gfn)
{
	struct page_track_open_page *page = find_page(open, gfn);

	if (!page || !may_be_open(kvm, page))
		return false;

	page->written = true;
	return true;
}

void page_track_recheck_opener(struct kvm *kvm, struct page_track_open_pages *open, u64 id)
{
	struct kvm_page_track_notifier_node *n = kvm_page_track_find_notifier(kvm, id);
	struct page_track_open_page *page;
	int i;

	for (page = open->page; page < open->page + open->nr; page++) {
		i = find_id(page, id);
		if (i < 0)
			continue;

		if (!n || kvm_page_track_get_action(n, page_gfn(page), page->access.mode) !=
			  page->actions[i])
			page->ids[i] = NO_ID;
	}
}

void page_track_close_all(struct kvm_vcpu *vcpu, struct page_track_open_pages *open)
{
	int i;

	write_lock(&vcpu->kvm->mmu_lock);
	for (i = 0; i < open->nr; i++)
		unmap_page(vcpu, page_gfn(&open->page[i]));
	write_unlock(&vcpu->kvm->mmu_lock);
}

static void call_track_write(struct kvm_vcpu *vcpu, const struct page_track_open_page *page,
			     const u8 *data, int bytes, u8 action,
			     struct kvm_page_track_notifier_node *n)
{
	const struct kvm_page_track_access *access = &page->access;

	if (n->track_write)
		n->track_write(vcpu, access->gpa, access->gva_valid ? access->gva : 0, data,
			       bytes, action, n);
}

static void tell_openers(struct kvm_vcpu *vcpu, const struct page_track_open_page *page,
			 const u8 *data, int bytes)
{
	struct kvm_page_track_notifier_node *n;
	int i;

	for (i = 0; i < page->nr_ids; i++) {
		n = kvm_page_track_find_notifier(vcpu->kvm, page->ids[i]);
		if (n)
			call_track_write(vcpu, page, data, bytes, page->actions[i], n);
	}
}

static void tell_page(struct kvm_vcpu *vcpu, const struct page_track_open_page *page,
		      struct kvm_page_track_stepped *stepped)
{
	gpa_t gpa = page->access.gpa;
	struct kvm_page_track_notifier_node *n = NULL;
	u8 data[KVM_PAGE_TRACK_STEP_DATA];
	int bytes;
	u8 action;

	bytes = min_t(int, sizeof(data), PAGE_SIZE - offset_in_page(gpa));
	/* Others wait: do not sleep. */
	if (page->copy || kvm_vcpu_read_guest_atomic(vcpu, gpa, data, bytes))
		bytes = 0;

	stepped->access = &page->access;
	stepped->skipped = page->copy;
	stepped->opened = true;
	tell_openers(vcpu, page, data, bytes);
	if (page->copy)
		return;

	/* Those who came meanwhile.  Who is never asked before knows of no steps. */
	stepped->opened = false;
	while ((n = page_track_find_next(vcpu->kvm, n, page_gfn(page), &action))) {
		if (n->track_access && find_id(page, n->id) < 0)
			call_track_write(vcpu, page, data, bytes, action, n);
	}
}

void page_track_tell_open(struct kvm_vcpu *vcpu, const struct page_track_open_pages *open,
			  struct kvm_page_track_stepped *stepped)
{
	int i;

	for (i = 0; i < open->nr; i++) {
		if (stepped->done || (open->page[i].written && !open->page[i].copy))
			tell_page(vcpu, &open->page[i], stepped);
	}
	stepped->access = NULL;
}
