// SPDX-License-Identifier: GPL-2.0-only
/* Compare what was seen of two instructions, see exact.h. */
#include <string.h>

#include "exact.h"

static bool is_same(const char *name, const char *what, uint64_t want, uint64_t got)
{
	if (want == got)
		return true;

	pr_info("%s: %s is 0x%lx, without tracking 0x%lx\n", name, what, got, want);
	return false;
}

static bool is_same_regs(const char *name, const struct kvm_regs *want,
			 const struct kvm_regs *got, uint64_t undefined)
{
	static const char * const names[] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10",
		"r11", "r12", "r13", "r14", "r15", "rip",
	};
	const uint64_t *w = (void *)want, *g = (void *)got;
	bool same = true;
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		same &= is_same(name, names[i], w[i], g[i]);

	return same & is_same(name, "rflags", want->rflags & ~undefined,
			      got->rflags & ~undefined);
}

/* Not the pointers of the last instruction, which KVM's own may change. */
static bool is_same_fpu(const char *name, const struct kvm_fpu *want, const struct kvm_fpu *got)
{
	bool same = !memcmp(want->fpr, got->fpr, sizeof(want->fpr)) &&
		    !memcmp(want->xmm, got->xmm, sizeof(want->xmm));

	same &= want->fcw == got->fcw && want->fsw == got->fsw && want->ftwx == got->ftwx &&
		want->mxcsr == got->mxcsr;
	if (!same)
		pr_info("%s: FPU registers differ, fsw 0x%x 0x%x, ftw 0x%x 0x%x\n", name,
			want->fsw, got->fsw, want->ftwx, got->ftwx);
	return same;
}

static bool is_same_mmio(const char *name, const struct exact_outcome *want,
			 const struct exact_outcome *got)
{
	bool same = is_same(name, "the number of MMIO exits", want->nr_mmio, got->nr_mmio);
	int i;

	for (i = 0; i < want->nr_mmio && i < got->nr_mmio; i++) {
		same &= is_same(name, "the gpa of MMIO", want->mmio[i].gpa, got->mmio[i].gpa);
		same &= is_same(name, "the size of MMIO", want->mmio[i].len, got->mmio[i].len);
		same &= is_same(name, "MMIO's write", want->mmio[i].is_write,
				got->mmio[i].is_write);
		same &= is_same(name, "MMIO's data", want->mmio[i].data, got->mmio[i].data);
	}

	return same;
}

/* The first byte of a page that differs. */
static bool is_same_page(const char *name, int page, const uint8_t *want, const uint8_t *got)
{
	int i = 0;

	if (tg_is_same_page(want, got))
		return true;

	while (want[i] == got[i])
		i++;
	pr_info("%s: byte 0x%x of page %d is 0x%x, without tracking 0x%x\n", name, i, page,
		got[i], want[i]);
	return false;
}

static bool is_same_mem(const char *name, const struct exact_outcome *want,
			const struct exact_outcome *got)
{
	bool same = is_same(name, "what there is to see", want->pages, got->pages);
	int i;

	for (i = 0; i < EXACT_MAX_PAGES; i++) {
		if (want->pages & got->pages & (1 << i))
			same &= is_same_page(name, i, want->mem[i], got->mem[i]);
	}

	return same;
}

bool exact_is_same(struct exact *x, const char *name, const struct exact_outcome *want,
		   const struct exact_outcome *got, uint64_t undefined)
{
	bool same = is_same(name, "errno", want->err, got->err);

	same &= is_same(name, "the exit reason", want->exit, got->exit);
	same &= is_same(name, "the exception", want->vector, got->vector);
	same &= is_same(name, "the error code", want->error_code, got->error_code);
	same &= is_same(name, "cr2", want->cr2, got->cr2);
	same &= is_same_regs(name, &want->regs, &got->regs, undefined);
	same &= is_same(name, "dr6", want->dr6, got->dr6);
	same &= is_same(name, "the interrupt shadow", want->shadow, got->shadow);
	same &= is_same(name, "whether NMIs are masked", want->nmi_masked, got->nmi_masked);
	same &= is_same_fpu(name, &want->fpu, &got->fpu);
	same &= is_same_mmio(name, want, got);
	return same & is_same_mem(name, want, got);
}
