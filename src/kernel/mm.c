// SPDX-License-Identifier: GPL-2.0
/*
 * mm.c - an address space with enabled tasks: its object, watching it, reading it
 *
 * A struct ubk_mm is an mmu notifier of an mm_struct with the core's space in it. Its
 * references are the notifier's users: tasks take them with ubk_mm_get_current() and
 * give them back with ubk_mm_put(). After the last one the kernel unlinks the notifier
 * and, when no callback can be running any more, calls free_notifier(), which leaves the
 * rest to a kworker: stop translating, wait for readers, destroy the space.
 *
 * Guest code that changes, or that may have changed, is unpublished in the callbacks, and
 * they return when no CPU still runs it. They act at the beginning of a change and
 * again at its end: a translation made in between was made from the old bytes.
 *
 * Two things change guest code without a callback. Pages that are the process's own
 * (written through a debugger, or copied on write before): ubk_guest_read() declines them. Writes
 * to the mapped file: watch.c makes callbacks of them.
 */
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "kernel/compat.h"
#include "kernel/glue.h"

enum mm_flag {
	COUNTED,	/* stat is on its list */
	TRIM,		/* the next translations are made after ub_space_trim() */
};

struct ubk_mm {
	struct mmu_notifier notifier;	/* its mm_struct stays allocated as long as we do */
	struct ub_space *space;
	struct ubk_stat_space stat;
	unsigned long flags;		/* bits of enum mm_flag */
	bool disabled;			/* an impossible state was seen; never false again */
	struct work_struct translate;
	struct work_struct destroy;
};

static atomic_t objects;
static DECLARE_WAIT_QUEUE_HEAD(no_objects);

/* Runs of old code end here. A run happens on a CPU that has the mm loaded, so those
 * are all that may be in one. Waiting even when nothing was unpublished covers what somebody else,
 * or the core itself, unpublished a moment ago. */
static void changed(struct ubk_mm *mm, unsigned long start, unsigned long end)
{
	ub_space_invalidate(mm->space, start, end);
	ubk_run_wait(mm_cpumask(mm->notifier.mm));
}

static bool changes_code(const struct mmu_notifier_range *range)
{
	switch (range->event) {
	case MMU_NOTIFY_PROTECTION_PAGE:	/* of writable mappings: fork, write-back */
	case MMU_NOTIFY_SOFT_DIRTY:		/* tracking of writes */
		return false;
	default:
		return true;
	}
}

static int range_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	if (changes_code(range))
		changed(container_of(notifier, struct ubk_mm, notifier), range->start, range->end);
	return 0;
}

static void range_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	if (changes_code(range))
		changed(container_of(notifier, struct ubk_mm, notifier), range->start, range->end);
}

/* The last user of the mm is gone, so nothing runs. */
static void released(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	ub_space_invalidate(container_of(notifier, struct ubk_mm, notifier)->space, 0, ~0UL);
}

static void translate(struct work_struct *work)
{
	struct ubk_mm *mm = container_of(work, struct ubk_mm, translate);

	if (READ_ONCE(mm->disabled)) {
		changed(mm, 0, ~0UL);
		return;
	}
	if (test_and_clear_bit(TRIM, &mm->flags))
		ub_space_trim(mm->space);
	ub_translate(mm->space);
}

static void object_gone(void)
{
	if (atomic_dec_and_test(&objects))
		wake_up_all(&no_objects);
}

static void destroy(struct work_struct *work)
{
	struct ubk_mm *mm = container_of(work, struct ubk_mm, destroy);

	cancel_work_sync(&mm->translate);
	synchronize_rcu();
	ub_space_invalidate(mm->space, 0, ~0UL);	/* before its numbers are handed on */
	if (test_bit(COUNTED, &mm->flags))
		ubk_stat_drop_space(&mm->stat);
	cancel_work_sync(&mm->translate);	/* ubk_mm_trim() may have queued it until now */
	ub_space_destroy(mm->space);
	mmdrop(mm->notifier.mm);
	kfree(mm);
	object_gone();
}

static struct mmu_notifier *alloc_notifier(struct mm_struct *owner)
{
	struct ubk_mm *mm = kzalloc(sizeof(*mm), GFP_KERNEL);

	if (!mm)
		return ERR_PTR(-ENOMEM);
	INIT_WORK(&mm->translate, translate);
	INIT_WORK(&mm->destroy, destroy);
	mm->space = ub_space_create(mm);
	if (!mm->space) {
		kfree(mm);
		return ERR_PTR(-ENOMEM);
	}
	/* Kept past the notifier's end, for a translation that is being made. */
	mmgrab(owner);
	mm->notifier.mm = owner;
	atomic_inc(&objects);
	return &mm->notifier;
}

/* Also when registering failed. Context: atomic. */
static void free_notifier(struct mmu_notifier *notifier)
{
	queue_work(ubk_workqueue, &container_of(notifier, struct ubk_mm, notifier)->destroy);
}

static const struct mmu_notifier_ops notifier_ops = {
	.alloc_notifier = alloc_notifier,
	.free_notifier = free_notifier,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
	.release = released,
};

/* Registering gives up where a signal is pending, and nobody would try again: the
 * signal waits until it is done. */
static struct mmu_notifier *get_notifier(struct mm_struct *owner)
{
	bool signal = false, work = false;
	struct mmu_notifier *notifier;

	do {
		notifier = mmu_notifier_get(&notifier_ops, owner);
		if (notifier != ERR_PTR(-EINTR) || fatal_signal_pending(current))
			break;
		signal |= test_and_clear_thread_flag(TIF_SIGPENDING);
		work |= test_and_clear_thread_flag(TIF_NOTIFY_SIGNAL);
	} while (true);
	if (signal)
		set_thread_flag(TIF_SIGPENDING);
	if (work)
		set_thread_flag(TIF_NOTIFY_SIGNAL);
	return notifier;
}

struct ubk_mm *ubk_mm_get_current(struct ubk_group *group)
{
	struct mmu_notifier *notifier;
	struct ubk_mm *mm;

	if (!current->mm)
		return NULL;
	notifier = get_notifier(current->mm);
	if (IS_ERR(notifier))
		return NULL;
	mm = container_of(notifier, struct ubk_mm, notifier);
	if (!test_and_set_bit(COUNTED, &mm->flags))
		ubk_stat_add_space(&mm->stat, group, mm->space, mm->notifier.mm);
	return mm;
}

void ubk_mm_put(struct ubk_mm *mm)
{
	mmu_notifier_put(&mm->notifier);
}

struct ub_space *ubk_mm_space(struct ubk_mm *mm)
{
	return mm->space;
}

void ubk_request_translation(struct ubk_mm *mm)
{
	queue_work(ubk_workqueue, &mm->translate);
}

void ubk_mm_trim(struct ubk_stat_space *stat)
{
	struct ubk_mm *mm = container_of(stat, struct ubk_mm, stat);

	set_bit(TRIM, &mm->flags);
	queue_work(ubk_workqueue, &mm->translate);
}

void ubk_disable_space(struct ubk_mm *mm, const char *why)
{
	WARN_ONCE(1, "ub: %s; switched off for this address space\n", why);
	WRITE_ONCE(mm->disabled, true);
	/* The caller may hold the space's lock: the kworker drops the translations. */
	queue_work(ubk_workqueue, &mm->translate);
}

/* Bytes that change only with a callback from here on: of a private file mapping nobody
 * can store through, of a file nobody has open for writing; or the vdso's. */
static bool is_constant_code(const struct mm_struct *mm, const struct vm_area_struct *vma)
{
	const unsigned long want = VM_READ | VM_EXEC;
	const unsigned long refuse = VM_WRITE | VM_SHARED | VM_IO | VM_PFNMAP | VM_HUGETLB;

	if ((vma->vm_flags & (want | refuse)) != want)
		return false;
	if (vma->vm_file)
		return ubk_watch_file(vma->vm_file);
	return vma->vm_start == (unsigned long)mm->context.vdso;
}

/* What may be read of a page of guest memory. */
enum what { CODE, ANYTHING };

/* Reads from one page; 0 if it must not be read, or is not there. mmap_lock held. */
static unsigned long read_page(struct mm_struct *mm, enum what what, unsigned long at, void *buffer,
			       unsigned long bytes)
{
	unsigned long part = 0;
	struct page *page;

	if (what == CODE) {
		const struct vm_area_struct *vma = vma_lookup(mm, at);

		if (!vma || !is_constant_code(mm, vma))
			return 0;
	}
	/* Code that ran is there. Faulting in the rest could wait for a user's file system for ever. */
	if (ubk_get_user_page(mm, at & PAGE_MASK, FOLL_NOFAULT, &page) != 1)
		return 0;
	if (what == ANYTHING || !PageAnon(page)) {
		void *from = kmap_local_page(page);

		part = min(bytes, PAGE_SIZE - offset_in_page(at));
		memcpy(buffer, from + offset_in_page(at), part);
		kunmap_local(from);
	}
	put_page(page);
	return part;
}

static unsigned long read_guest(struct ubk_mm *mm, enum what what, unsigned long start, void *buffer,
				unsigned long bytes)
{
	struct mm_struct *guest = mm->notifier.mm;
	unsigned long done = 0, part;

	if (READ_ONCE(mm->disabled) || !mmget_not_zero(guest))
		return 0;
	mmap_read_lock(guest);
	do {
		part = read_page(guest, what, start + done, buffer + done, bytes - done);
		done += part;
	} while (part && done < bytes);
	mmap_read_unlock(guest);
	mmput_async(guest);
	return done;
}

unsigned long ubk_guest_read(struct ubk_mm *mm, unsigned long start, void *buffer, unsigned long bytes)
{
	return read_guest(mm, CODE, start, buffer, bytes);
}

unsigned long ubk_guest_peek(struct ubk_mm *mm, unsigned long start, void *buffer, unsigned long bytes)
{
	return read_guest(mm, ANYTHING, start, buffer, bytes);
}

unsigned long ubk_own_peek(unsigned long start, void *buffer, unsigned long bytes)
{
	unsigned long done = 0, part;

	while (done < bytes) {
		part = min(bytes - done, PAGE_SIZE - offset_in_page(start + done));
		if (copy_from_user_nofault(buffer + done, (const void __user *)(start + done), part))
			break;
		done += part;
	}
	return done;
}

int ubk_mm_init(void)
{
	return ubk_watch_init();
}

void ubk_mm_exit(void)
{
	wait_event(no_objects, !atomic_read(&objects));
	/* The notifiers' last callbacks and the last kworker have left our code. */
	mmu_notifier_synchronize();
	ubk_work_drain();
	ubk_watch_exit();
}
