// SPDX-License-Identifier: GPL-2.0
/*
 * hook.c - the place where system calls of enabled tasks come by.
 *
 * A direct trampoline of ftrace (hook_entry.S) at the beginning of x64_sys_call(),
 * there only while at least one cgroup is enabled. Enabled tasks come to
 * ubk_hook_syscall(), which calls x64_sys_call()'s body (behind the trampoline's
 * call instruction) and then opens the core's door, ub_after_syscall().
 *
 * Whether a task is enabled is one per-CPU pointer, kept by preempt notifiers (task.c).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ftrace.h>
#include <linux/ptrace.h>
#include <linux/static_call.h>
#include <linux/syscalls.h>

#include "kernel/compat.h"
#include "kernel/glue.h"
#include "kernel/symbols.h"
#include "runtime/run.h"

DEFINE_STATIC_CALL_NULL(ubk_original, ubk_syscall_type);

static_assert(sizeof(struct ub_regs) == sizeof(struct pt_regs));
static_assert(offsetof(struct ub_regs, ax) == offsetof(struct pt_regs, ax));
static_assert(offsetof(struct ub_regs, orig_ax) == offsetof(struct pt_regs, orig_ax));
static_assert(offsetof(struct ub_regs, ip) == offsetof(struct pt_regs, ip));
static_assert(offsetof(struct ub_regs, sp) == offsetof(struct pt_regs, sp));

void ubk_hook_entry(void);
long ubk_hook_syscall(struct pt_regs *regs, unsigned int nr);

static struct ftrace_ops ops;
static unsigned long location;		/* of the call to the trampoline */
static unsigned int enabled_cgroups;	/* ubk_settings_lock */

/* Bytes of the call instruction that ftrace puts at its location. */
#define CALL_BYTES 5

/*
 * The wake-up that makes a sleeping task leave our code at removal is no signal, but
 * epoll_wait, semop and sigtimedwait report it as one. close() is left alone: its
 * descriptor is gone, and may be another file's by now.
 */
long ubk_interrupted(unsigned int nr)
{
	const struct ubk_task *task = this_cpu_read(ubk_current);

	if (READ_ONCE(task->kicked) && test_thread_flag(TIF_NOTIFY_SIGNAL) &&
	    !test_thread_flag(TIF_SIGPENDING) && nr != __NR_close)
		return -ERESTARTNOINTR;
	return -EINTR;
}

/**
 * ubk_hook_syscall - x64_sys_call() for an enabled task
 * @regs: the user's registers; @nr: below NR_syscalls
 * Called from hook_entry.S. Context: process context, preemptible, IRQs on.
 * Return: what do_syscall_64() stores in regs->ax: the result of the last system call
 * that was made, or the user's ax where a chain ended inside a gap.
 */
long ubk_hook_syscall(struct pt_regs *regs, unsigned int nr)
{
	/* Freed only by this task, and not while it is inside. */
	struct ubk_task *task = this_cpu_read(ubk_current);

	task->inside = true;
	task->thread.count[UB_COUNT_syscalls]++;
	if (unlikely(task->thread.gap_start_ip && task->thread.space))
		ub_before_syscall(&task->thread);
	regs->ax = ubk_call_syscall(regs, nr);

	if (ub_due(&task->thread, (struct ub_regs *)regs) && ubk_active() && !task->gone)
		ub_after_syscall(&task->thread, (struct ub_regs *)regs);

	task->inside = false;
	if (unlikely(task->gone))
		ubk_task_left(task);
	return regs->ax;
}

/* ubk_settings_lock held. */
int ubk_hook_get(void)
{
	int error = 0;

	if (!enabled_cgroups)
		error = ubk_register_direct(&ops, (unsigned long)ubk_hook_entry);
	if (error)
		pr_err("cannot hook x64_sys_call (%d); is it livepatched?\n", error);
	else
		enabled_cgroups++;
	return error;
}

/* ubk_settings_lock held. Tasks may be in the handler for as long as they like. */
void ubk_hook_put(void)
{
	if (!--enabled_cgroups)
		WARN_ON_ONCE(ubk_unregister_direct(&ops, (unsigned long)ubk_hook_entry));
}

int __init ubk_hook_init(void)
{
	int error;

	location = UBK_CALL(ftrace_location)(UBK_ADDRESS(x64_sys_call));
	if (!location) {
		pr_err("not loading: x64_sys_call is not traceable on this kernel\n");
		return -ENODEV;
	}
	static_call_update(ubk_original, (ubk_syscall_type *)(location + CALL_BYTES));

	error = ftrace_set_filter_ip(&ops, location, 0, 0);
	if (error)
		pr_err("not loading: ftrace refuses x64_sys_call (%d)\n", error);
	return error;
}

void ubk_hook_exit(void)
{
	ftrace_free_filter(&ops);
}
