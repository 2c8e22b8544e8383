/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - every difference between the kernels ub builds for (6.1 to 6.14) that
 * the glue has to know: functions renamed, arguments added, flags that are new.
 */
#pragma once

#include <linux/version.h>

#ifdef __ASSEMBLY__

/* 6.4: what the unwinder cannot unwind got another name. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define UBK_UNWIND_STOPS UNWIND_HINT_UNDEFINED
#else
#define UBK_UNWIND_STOPS UNWIND_HINT_EMPTY
#endif

/* The caller's frame ends BYTES above rsp, its return address just below that. */
.macro UBK_UNWIND_FRAME bytes:req
	UNWIND_HINT type=UNWIND_HINT_TYPE_CALL sp_reg=ORC_REG_SP sp_offset=\bytes
.endm

#else /* C */

#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/ftrace.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/thread_info.h>

/* 6.4: a direct trampoline belongs to an ftrace_ops; before, only "multi" ones did. */
static inline int ubk_register_direct(struct ftrace_ops *ops, unsigned long trampoline)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return register_ftrace_direct(ops, trampoline);
#else
	return register_ftrace_direct_multi(ops, trampoline);
#endif
}

/* The filter stays; it is freed once, by ftrace_free_filter() at the end. */
static inline int ubk_unregister_direct(struct ftrace_ops *ops, unsigned long trampoline)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return unregister_ftrace_direct(ops, trampoline, false);
#else
	return unregister_ftrace_direct_multi(ops, trampoline);
#endif
}

/* Threads without a user mode of their own: of the kernel, of io_uring, of vhost. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define UBK_PF_NO_USER (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)
#else
#define UBK_PF_NO_USER (PF_KTHREAD | PF_IO_WORKER)
#endif

/* 6.12 on some configurations: a reschedule that waits for the return to user mode. */
#ifdef _TIF_NEED_RESCHED_LAZY
#define UBK_TIF_NEED_RESCHED_LAZY _TIF_NEED_RESCHED_LAZY
#else
#define UBK_TIF_NEED_RESCHED_LAZY 0
#endif

/* Rows of the symbol table (symbols.h). 6.8: seccomp, audit and the rest of the slow entry path
 * moved to another function. @work is of the thread, and not 0. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define ubk_do_entry_work(regs, nr, work) UBK_CALL(syscall_trace_enter)(regs, nr, work)
#define UBK_VERSION_SYMBOLS(FUNCTION, ADDRESS)							\
	FUNCTION(syscall_trace_enter, REQUIRED,							\
		 long, (struct pt_regs *regs, long nr, unsigned long work),			\
		 "evaluates the seccomp filters of a chained system call, and tells audit of it")
#else
#define ubk_do_entry_work(regs, nr, work) UBK_CALL(syscall_enter_from_user_mode_work)(regs, nr)
#define UBK_VERSION_SYMBOLS(FUNCTION, ADDRESS)							\
	FUNCTION(syscall_enter_from_user_mode_work, REQUIRED,					\
		 long, (struct pt_regs *regs, long nr),						\
		 "evaluates the seccomp filters of a chained system call, and tells audit of it")
#endif

/* 6.5: no list of VMAs any more. The page stays pinned by a reference; 1 when there is one. */
static inline long ubk_get_user_page(struct mm_struct *mm, unsigned long address, unsigned int flags,
				     struct page **page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return get_user_pages_remote(mm, address, 1, flags, page, NULL);
#else
	return get_user_pages_remote(mm, address, 1, flags, page, NULL, NULL);
#endif
}

/* What resume_user_mode_work() would do for current beside rseq. 6.3: the request queue to
 * be throttled for became a disk. */
static inline bool ubk_other_resume_work(void)
{
	bool other = task_work_pending(current);

#ifdef CONFIG_KEYS_REQUEST_CACHE
	other |= current->cached_requested_key != NULL;
#endif
#ifdef CONFIG_MEMCG
	other |= current->memcg_nr_pages_over_high != 0;
#endif
#ifdef CONFIG_BLK_CGROUP
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	other |= current->throttle_disk != NULL;
#else
	other |= current->throttle_queue != NULL;
#endif
#endif
	return other;
}

/* 6.6, where configured: shadow stacks of user threads. */
static inline bool ubk_has_shadow_stack(void)
{
#ifdef CONFIG_X86_USER_SHADOW_STACK
	return current->thread.features != 0;
#else
	return false;
#endif
}

/* 6.4, where configured: user addresses whose upper bits are ignored (LAM). */
static inline bool ubk_has_tagged_pointers(void)
{
#ifdef CONFIG_ADDRESS_MASKING
	return READ_ONCE(current->mm->context.lam_cr3_mask) != 0;
#else
	return false;
#endif
}

/* 6.8: the mapped file of an overlay knows the one that the user opened; before, it has
 * that one's path. */
static inline struct inode *ubk_opened_inode(const struct file *file)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return d_inode(file_user_path(file)->dentry);
#else
	return d_inode(file->f_path.dentry);
#endif
}

/* 6.10: marks are found by object. */
static inline struct fsnotify_mark *ubk_find_inode_mark(struct inode *inode, struct fsnotify_group *group)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return fsnotify_find_inode_mark(inode, group);
#else
	return fsnotify_find_mark(&inode->i_fsnotify_marks, group);
#endif
}

/* 6.7: shrinkers are allocated by their owner's name. NULL: no memory. */
static inline struct shrinker *ubk_shrinker_add(const char *name,
						unsigned long (*count)(struct shrinker *, struct shrink_control *),
						unsigned long (*scan)(struct shrinker *, struct shrink_control *))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct shrinker *shrinker = shrinker_alloc(0, "%s", name);
#else
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
#endif

	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_register(shrinker);
#else
	if (register_shrinker(shrinker, "%s", name)) {
		kfree(shrinker);
		return NULL;
	}
#endif
	return shrinker;
}

static inline void ubk_shrinker_remove(struct shrinker *shrinker)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
	kfree(shrinker);
#endif
}

/* Until 6.9 a group says that its marks may be put in reclaim; then all are as if. */
#ifdef FSNOTIFY_GROUP_NOFS
#define UBK_FSNOTIFY_GROUP_FLAGS FSNOTIFY_GROUP_NOFS
#else
#define UBK_FSNOTIFY_GROUP_FLAGS 0
#endif

#endif /* C */
