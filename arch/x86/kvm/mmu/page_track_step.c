// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tracking, layer 2: the CPU does itself what KVM cannot emulate.
 *
 * 1. The guest has faulted on a tracked page, and KVM cannot emulate what it was at: the
 *    instruction, or the delivery of an event.  A tracker calls kvm_page_track_step().
 * 2. The vCPU goes on in the view: roots of their own, whose role has the bit "step".
 *    There, too, tracked pages are write-protected, but the one that it has faulted on is
 *    open.  Other vCPUs do not see it open.
 * 3. The vCPU comes back behind one instruction, as vendor code has set TF and intercepts
 *    all exceptions, since their delivery would save TF; or behind the event, by an
 *    immediate exit.  What INT n and INT3 lead to is such an event.  No other event is
 *    injected.  Another vCPU may change the code meanwhile: what cannot be stepped, and
 *    any user may do, exits or faults, and is left to the guest.
 * 4. If it faults on the way, on what the view does not map yet, the step goes on.  If
 *    that is another tracked page, its trackers are called as in step 1, and may open it
 *    as well.
 * 5. Any other exit ends the step before it is handled: the pages are closed, the vCPU
 *    leaves the view, and trackers are told: if it has come to the end of the instruction
 *    or event, of all pages that were open, and else of those that it may have written to.
 *    Else, the guest is where it was, or midway, or takes the exception of the instruction,
 *    and whatever it does next starts again.
 *
 * A nested guest steps as well.  The view is one of the MMU that is in use, and L1 has no
 * part in it: what would lead to L1 ends the step first, or waits for its end.
 *
 * One vCPU of a VM is in the view at a time, so that none uses what another has opened.
 * A vCPU that has to step waits for the one before; those that need no step never wait.
 * A step ends before the vCPU sleeps for a page to be mapped, which may take userspace any
 * time; the guest's page tables, if they are shadowed, may have to be brought as well.
 * TLBs may keep what was open: the view is flushed whenever a vCPU enters it.
 *
 * A write may also be skipped.  The page is open as well then, but what the vCPU has there
 * is a copy, until the step ends: the instruction does all else that it does, as if it had
 * written, and no other vCPU sees anything of it.
 *
 * Who has opened a page is told, and who tracks it when the step ends.  Who stops tracking
 * it waits for the step that is under way.  If the vCPU sleeps before it can write, nobody
 * waits, and the step tells only those who track the page when it does.  What they make of a
 * step is not known here.
 *
 * The view stays from the first step to the last tracker's end, or a little longer: a step
 * that is under way then has it dropped once more.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "kvm_cache_regs.h"
#include "mmu.h"
#include "mmu_internal.h"
#include "page_track_access.h"
#include "page_track_notifier.h"
#include "page_track_step.h"
#include "page_track_step_open.h"
#include "x86.h"

/* Of trackers that change what they track while a step sleeps, others wait. */
#define MAX_RECHECKED	4

/*
 * Of so many #UDs without a step that comes to its end, the last one is the instruction's.
 * A guest that changes its code meanwhile may win a race often, but not as often as that.
 */
#define MAX_UNDEFINED	128

/* After so many attempts to copy a page in a row, it is none of memory. */
#define MAX_UNCOPIED	16

/* What a vCPU keeps, from its first step on. */
struct kvm_page_track_step {
	/* Which one it is, for those who wait. */
	unsigned int nr;
	/* Set when a page is mapped, or at the end. */
	bool may_have_written;
	/* Trackers that have not waited: before that, they have changed what they track. */
	u64 rechecked[MAX_RECHECKED];
	struct page_track_open_pages open;
	/* The event is that of an INT n or INT3, which was not executed. */
	bool injected;
	/* #UDs in steps since one came to its end, and attempts to copy since one succeeded. */
	u8 nr_undefined;
	u8 nr_uncopied;
	/* While trackers are told, with an access. */
	struct kvm_page_track_stepped stepped;
};

/* @vcpu can write from now on: whoever changes what it tracks has to wait. */
static void note_writes(struct kvm_vcpu *vcpu, struct kvm_page_track_step *step)
{
	u64 id;
	int i;

	if (step->may_have_written)
		return;

	/* Pairs with the smp_mb() in need_not_wait(). */
	smp_store_mb(step->may_have_written, true);

	/* Those who have not waited before. */
	for (i = 0; i < MAX_RECHECKED; i++) {
		id = READ_ONCE(step->rechecked[i]);
		if (id)
			page_track_recheck_opener(vcpu->kvm, &step->open, id);
	}
}

bool __kvm_page_track_use_open(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_page_track_step *step = vcpu->arch.page_track->step;

	if (!page_track_use_open(vcpu->kvm, &step->open, gfn))
		return false;

	note_writes(vcpu, step);
	return true;
}

/* Whether @vcpu is the one that steps now.  If not, the other one has come to its end. */
static bool start_step(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu **owner = &vcpu->kvm->arch.page_track_step_owner;

	/*
	 * Look up who tracks what behind it, or be waited for: pairs with the smp_mb() in
	 * kvm_page_track_wait_for_step().
	 */
	if (!cmpxchg(owner, NULL, vcpu))
		return true;

	/* On a signal, KVM_RUN returns, and the guest faults again in the next one. */
	wait_var_event_interruptible(owner, !READ_ONCE(*owner));
	return false;
}

/* What @vcpu keeps, allocated if it is not there, or NULL. */
static struct kvm_page_track_step *get_step(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_vcpu *track = vcpu->arch.page_track;

	/* Published by the cmpxchg() in start_step(). */
	if (!track->step)
		track->step = kzalloc(sizeof(*track->step), GFP_KERNEL_ACCOUNT);

	return track->step;
}

bool kvm_page_track_can_step(struct kvm_vcpu *vcpu)
{
	return kvm_page_track_in_step(vcpu) || kvm_event_needs_reinjection(vcpu) ||
	       page_track_is_soft_int(vcpu) || page_track_can_step_insn(vcpu);
}

static int enter_view(struct kvm_vcpu *vcpu)
{
	bool delivers = kvm_event_needs_reinjection(vcpu);
	bool injects = !delivers && page_track_is_soft_int(vcpu);
	struct kvm_page_track_step *step;

	/* That one would save the flags of the step. */
	if (kvm_is_exception_pending(vcpu))
		return -EAGAIN;

	if (!kvm_page_track_can_step(vcpu))
		return 0;

	step = get_step(vcpu);
	if (!step)
		return -ENOMEM;

	/* Visible before the vCPU is the one that steps, with the cmpxchg(). */
	memset(step->rechecked, 0, sizeof(step->rechecked));
	WRITE_ONCE(step->may_have_written, false);
	WRITE_ONCE(step->nr, step->nr + 1);
	if (!start_step(vcpu))
		return -EAGAIN;

	WRITE_ONCE(vcpu->kvm->arch.page_track_has_stepped, true);
	page_track_init_open(&step->open);
	step->stepped.rip = kvm_rip_read(vcpu);
	step->stepped.event = delivers;
	step->injected = injects;
	if (injects)
		page_track_inject_soft_int(vcpu);

	vcpu->arch.page_track_step_kind = delivers || injects ? KVM_PAGE_TRACK_STEP_EVENT :
								page_track_insn_kind(vcpu);
	kvm_mmu_set_view(vcpu, true);
	return 1;
}

static int open_page(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
		     u8 action, struct kvm_page_track_notifier_node *n)
{
	int r;

	if (!kvm_page_track_in_step(vcpu)) {
		r = enter_view(vcpu);
		if (r <= 0)
			return r;
	}

	return page_track_add_open(vcpu, &vcpu->arch.page_track->step->open, access, action, n);
}

int kvm_page_track_step(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
			u8 action, struct kvm_page_track_notifier_node *n)
{
	int r = open_page(vcpu, access, action, n);

	/* A page table of the guest stays write-protected as long as it is shadowed. */
	if (r > 0)
		kvm_mmu_unshadow_gfn(vcpu->kvm, gpa_to_gfn(access->gpa));

	return r;
}

int kvm_page_track_skip(struct kvm_vcpu *vcpu, const struct kvm_page_track_access *access,
			u8 action, struct kvm_page_track_notifier_node *n)
{
	struct kvm_page_track_step *step = get_step(vcpu);
	bool in_step = kvm_page_track_in_step(vcpu);
	int r;

	if (!step)
		return -ENOMEM;

	if (!page_track_has_alloced_copies(&step->open)) {
		/* Others wait for the end of a step. */
		kvm_page_track_end_step(vcpu, false);
		r = page_track_alloc_copies(&step->open);
		if (r || in_step)
			return r ?: -EAGAIN;
	}

	r = open_page(vcpu, access, action, n);
	if (r <= 0)
		return r;

	r = page_track_copy_open(vcpu, &step->open, gpa_to_gfn(access->gpa));
	if (r == -EAGAIN && ++step->nr_uncopied < MAX_UNCOPIED)
		return r;

	step->nr_uncopied = 0;
	return max(r, 0);
}

bool __kvm_page_track_has_copies(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.page_track->step->open.nr_copies;
}

struct page *__kvm_page_track_find_copy(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return page_track_find_copy(&vcpu->arch.page_track->step->open, gfn);
}

static void leave_view(struct kvm_vcpu *vcpu, struct kvm_page_track_step *step)
{
	note_writes(vcpu, step);

	vcpu->arch.page_track_step_kind = KVM_PAGE_TRACK_NO_STEP;
	page_track_close_all(vcpu, &step->open);

	kvm_mmu_set_view(vcpu, false);

	/* Events have waited. */
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* The pages are closed, and trackers are told: it is the next one's turn. */
static void end_turn(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu **owner = &vcpu->kvm->arch.page_track_step_owner;

	/* Pairs with the cmpxchg() in start_step(), and the acquire in is_step_over(). */
	smp_store_release(owner, NULL);
	/*
	 * Whoever sees another vCPU there before it sleeps is seen here.  Pairs with the
	 * barrier of set_current_state() in wait_var_event().
	 */
	smp_mb();
	wake_up_var(owner);

	/* The last tracker may have gone meanwhile. */
	kvm_page_track_drop_view(vcpu->kvm);
}

static bool is_event_done(struct kvm_vcpu *vcpu, struct kvm_page_track_step *step)
{
	/* If it led to another exception, that one is pending in its place. */
	bool done = !kvm_event_needs_reinjection(vcpu) && !kvm_is_exception_pending(vcpu);

	if (!step->injected || (done && kvm_rip_read(vcpu) != step->stepped.rip))
		return done;

	/* The guest is at the INT n still, and executes it, or what it has become. */
	kvm_clear_interrupt_queue(vcpu);
	vcpu->arch.exception.injected = false;
	return false;
}

void __kvm_page_track_end_step(struct kvm_vcpu *vcpu, bool done)
{
	struct kvm_page_track_step *step = vcpu->arch.page_track->step;

	if (kvm_page_track_steps_event(vcpu))
		done = is_event_done(vcpu, step);

	step->stepped.done = done;
	if (done) {
		++vcpu->kvm->stat.page_track_steps;
		step->nr_undefined = 0;
	}
	leave_view(vcpu, step);
	page_track_tell_open(vcpu, &step->open, &step->stepped);
	end_turn(vcpu);
}
EXPORT_SYMBOL_GPL(__kvm_page_track_end_step);

/* Is the step @nr of @vcpu over? */
static bool is_step_over(struct kvm_vcpu *vcpu, unsigned int nr)
{
	/* What trackers were told is visible.  Pairs with the release in end_turn(). */
	return smp_load_acquire(&vcpu->kvm->arch.page_track_step_owner) != vcpu ||
	       READ_ONCE(vcpu->arch.page_track->step->nr) != nr;
}

/* Have @step look again, before it can write, what @id tracks.  False if there is no room. */
static bool recheck(struct kvm_page_track_step *step, u64 id)
{
	u64 old;
	int i;

	for (i = 0; i < MAX_RECHECKED; i++) {
		old = cmpxchg(&step->rechecked[i], 0, id);
		if (!old || old == id)
			return true;
	}

	return false;
}

/* Does @vcpu sleep in its step, before it can write, maybe for userspace? */
static bool need_not_wait(struct kvm_vcpu *vcpu, const struct kvm_page_track_notifier_node *n)
{
	struct kvm_page_track_step *step = vcpu->arch.page_track->step;

	if (READ_ONCE(step->may_have_written) || !kvm_page_track_is_asleep(vcpu) ||
	    !recheck(step, n->id))
		return false;

	/* If it sleeps still, it sees that.  Pairs with the smp_store_mb() in note_writes(). */
	smp_mb();
	return !READ_ONCE(step->may_have_written) && kvm_page_track_is_asleep(vcpu);
}

void kvm_page_track_wait_for_step(struct kvm *kvm,
				  const struct kvm_page_track_notifier_node *n)
{
	struct kvm_vcpu *vcpu;
	unsigned int nr;

	/* Who steps from now on sees what has changed.  Pairs with start_step(). */
	smp_mb();
	/* What it keeps is allocated.  Pairs with the cmpxchg() in start_step(). */
	vcpu = smp_load_acquire(&kvm->arch.page_track_step_owner);
	if (!vcpu)
		return;

	/* If that is a later one already, it is waited for in vain, but no longer. */
	nr = READ_ONCE(vcpu->arch.page_track->step->nr);
	while (!is_step_over(vcpu, nr) && !need_not_wait(vcpu, n) &&
	       !fatal_signal_pending(current))
		usleep_range(10, 100);
}

const struct kvm_page_track_stepped *
__kvm_page_track_stepped(const struct kvm_page_track_step *step)
{
	return step->stepped.access ? &step->stepped : NULL;
}

/*
 * Vendor code has SYSCALL lead to a #UD, and the code may have changed back.  An undefined
 * instruction gets into a step by the CPU's walk of a tracked guest page table.
 */
static bool is_undefined(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_step *step = vcpu->arch.page_track->step;

	if (++step->nr_undefined < MAX_UNDEFINED)
		return false;

	step->nr_undefined = 0;
	return true;
}

bool kvm_page_track_step_exception(struct kvm_vcpu *vcpu, u8 vector, bool intercepted,
				   bool has_error, u32 error, gva_t address)
{
	struct x86_exception fault = {
		.vector = vector,
		.error_code_valid = true,
		.error_code = error,
		.address = address,
	};

	kvm_page_track_end_step(vcpu, false);

	/* The guest takes it, or executes what it has made of the instruction. */
	if (!page_track_can_step_raise(vcpu, vector) ||
	    (vector == UD_VECTOR && !is_undefined(vcpu)))
		return true;

	if (intercepted)
		return false;

	if (vector == PF_VECTOR)
		kvm_inject_page_fault(vcpu, &fault, true);
	else if (has_error)
		kvm_queue_exception_e(vcpu, vector, error);
	else
		kvm_queue_exception(vcpu, vector);

	return true;
}
EXPORT_SYMBOL_GPL(kvm_page_track_step_exception);

void kvm_page_track_free_step(struct kvm_vcpu *vcpu)
{
	struct kvm_page_track_step *step = vcpu->arch.page_track ? vcpu->arch.page_track->step :
								   NULL;

	if (step)
		page_track_free_copies(&step->open);
	kfree(step);
}
