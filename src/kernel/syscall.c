// SPDX-License-Identifier: GPL-2.0
/*
 * syscall.c - the next system call of a chain, and whether a chain may go on. Trusted.
 *
 * What the entry code does before a system call and looks at behind it, for a call
 * that an image has reached: the registers as the SYSCALL instruction leaves them, seccomp
 * filters and audit, the call, and then the same flags that would keep the thread from
 * user mode. Whatever is pending ends the chain with pt_regs as after a native call, so
 * the native exit path finds what it would have found.
 *
 * Two kinds of exit work are served here and not left to the exit path, or no server
 * would chain: a reschedule, which waking somebody asks for, and rseq, which glibc registers in every
 * thread, so that each call that blocked leaves it.
 */
#include <linux/audit.h>
#include <linux/entry-common.h>
#include <linux/errno.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/task_work.h>
#include <linux/unistd.h>
#include <asm/debugreg.h>
#include <asm/ptrace.h>
#include <asm/segment.h>

#include "kernel/compat.h"
#include "kernel/glue.h"
#include "kernel/run.h"
#include "kernel/symbols.h"
#include "kernel/transient.h"
#include "runtime/run.h"

#define SAME_PLACE(ours, theirs)	\
	static_assert(offsetof(struct ub_regs, ours) == offsetof(struct pt_regs, theirs))
SAME_PLACE(r15, r15);
SAME_PLACE(r14, r14);
SAME_PLACE(r13, r13);
SAME_PLACE(r12, r12);
SAME_PLACE(bp, bp);
SAME_PLACE(bx, bx);
SAME_PLACE(r11, r11);
SAME_PLACE(r10, r10);
SAME_PLACE(r9, r9);
SAME_PLACE(r8, r8);
SAME_PLACE(ax, ax);
SAME_PLACE(cx, cx);
SAME_PLACE(dx, dx);
SAME_PLACE(si, si);
SAME_PLACE(di, di);
SAME_PLACE(orig_ax, orig_ax);
SAME_PLACE(ip, ip);
SAME_PLACE(cs, cs);
SAME_PLACE(flags, flags);
SAME_PLACE(sp, sp);
SAME_PLACE(ss, ss);
static_assert(sizeof(struct ub_regs) == sizeof(struct pt_regs));

/*
 * Flags of a thread that keep it from going on in the kernel, beside exit work:
 *   USER_RETURN_NOTIFY  a virtual CPU's thread: MSRs still hold the guest's values
 *   SINGLESTEP, FORCED_TF, BLOCKSTEP  a debugger steps it
 *   NOTSC               rdtsc must fault
 */
#define STOPPING_FLAGS	(EXIT_TO_USER_MODE_WORK | UBK_TIF_NEED_RESCHED_LAZY |	\
			 _TIF_USER_RETURN_NOTIFY | _TIF_SINGLESTEP |		\
			 _TIF_FORCED_TF | _TIF_BLOCKSTEP | _TIF_NOTSC)

#define RESCHEDULE_FLAGS (_TIF_NEED_RESCHED | UBK_TIF_NEED_RESCHED_LAZY)

/* Ptrace, syscall tracepoints, user dispatch: none is served here but seccomp and audit. */
#define STOPPING_WORK	(~(unsigned long)(SYSCALL_WORK_SECCOMP | SYSCALL_WORK_SYSCALL_AUDIT))

#define SYSCALL_BYTES	2	/* 0f 05 */

/* ERESTARTSYS to ERESTART_RESTARTBLOCK, ENOIOCTLCMD among them: for the exit path alone. */
static __always_inline bool is_restart_code(unsigned long ax)
{
	return ax + ERESTART_RESTARTBLOCK <= ERESTART_RESTARTBLOCK - ERESTARTSYS;
}

/* NOTIFY_RESUME is raised and nothing else: serve it if rseq is all that it is about. */
static noinline bool serve_notify_resume(struct pt_regs *regs)
{
	unsigned long ip = regs->ip;

	if (!UBK_ADDRESS(__rseq_handle_notify_resume) || ubk_other_resume_work())
		return false;
	clear_thread_flag(TIF_NOTIFY_RESUME);
	/* As in resume_user_mode_work(): work added from here on raises the flag again. */
	smp_mb__after_atomic();
	if (task_work_pending(current)) {
		set_thread_flag(TIF_NOTIFY_RESUME);
		return false;
	}
#ifdef CONFIG_RSEQ
	if (current->rseq)
		UBK_CALL(__rseq_handle_notify_resume)(NULL, regs);
#endif
	/* An abort handler moved ip, a signal is pending, or the thread was preempted again. */
	return regs->ip == ip && !(read_thread_flags() & STOPPING_FLAGS);
}

/*
 * A hardware breakpoint is set. Kernel mode does not hit a program's, and perf's come and go by
 * system calls, the thread's own or another's.
 */
static __always_inline bool has_breakpoints(void)
{
	bool set;

	/* this_cpu_read() is a load of its own. */
	asm volatile("testb %2, %%gs:%1" : "=@ccnz" (set) : "m" (cpu_dr7), "i" (DR_GLOBAL_ENABLE_MASK));
	return set;
}

/*
 * Within a chain. What can only begin while the thread is stopped or has work (ptrace, the
 * off switch) was looked at by ubk_may_enter(), and makes work to be looked at again; what
 * syscall_work stops is looked at before each call, breakpoints when the run has begun.
 */
static bool nothing_new_pending(struct pt_regs *regs)
{
	unsigned long flags = read_thread_flags() & STOPPING_FLAGS;

	if (is_restart_code(regs->ax) || flags & ~(RESCHEDULE_FLAGS | _TIF_NOTIFY_RESUME))
		return false;
	if (flags & RESCHEDULE_FLAGS) {
		schedule();
		flags = read_thread_flags() & STOPPING_FLAGS;
	}
	return !flags || (flags == _TIF_NOTIFY_RESUME && serve_notify_resume(regs));
}

static bool nothing_pending(struct pt_regs *regs)
{
	return nothing_new_pending(regs) &&
	       !(READ_ONCE(current_thread_info()->syscall_work) & STOPPING_WORK) && !current->ptrace &&
	       !has_breakpoints() && ubk_active();
}

/* Inside a run that has just begun. */
static __always_inline bool may_run(void)
{
	/* No volatile access, as that would cost an instruction: what begins a run is a barrier. */
	return !(data_race(current_thread_info()->flags) & STOPPING_FLAGS) && !has_breakpoints();
}

/*
 * Behind a call that user code follows: tells audit of its end. The exit path does so too, and is
 * not heard, where the chain ends before another call begins. Where the call has a restart code or a
 * signal is pending, it is left to that path.
 */
static __always_inline void end_audit(struct pt_regs *regs)
{
#ifdef CONFIG_AUDITSYSCALL
	if (unlikely(READ_ONCE(current_thread_info()->syscall_work) & SYSCALL_WORK_SYSCALL_AUDIT) && audit_context())
		UBK_CALL(__audit_syscall_exit)(is_syscall_success(regs), regs_return_value(regs));
#endif
}

int ubk_may_enter(struct ub_regs *user)
{
	struct pt_regs *regs = (struct pt_regs *)user;

	if (regs->cs != __USER_CS || regs->flags & X86_EFLAGS_TF || ubk_transient_declines() || !nothing_pending(regs))
		return 0;
	end_audit(regs);
	return 1;
}

int ubk_run_begin(int fpu)
{
	ubk_run_begin_inline(fpu);
	if (likely(may_run()))
		return 1;
	ubk_run_end_inline(fpu);
	return 0;
}

void ubk_run_end(int fpu)
{
	ubk_run_end_inline(fpu);
}

/* Behind a call, outside of a run: on to the next image if what is pending can be served. */
static noinline notrace unsigned long resume(struct ub_run *run)
{
	struct pt_regs *regs = (struct pt_regs *)run->regs;

	if (!nothing_new_pending(regs))
		return ub_run_stop(run, true);
	end_audit(regs);
	return ubk_run_begin(run->special & UB_RUN_FPU) ? ub_run_find(run) : ub_run_stop(run, true);
}

/* As resume(), from within a run. */
static noinline notrace unsigned long end_and_resume(struct ub_run *run)
{
	ubk_run_end_inline(run->special & UB_RUN_FPU);
	return resume(run);
}

/* Behind a call that may have ended with a restart code. */
static noinline notrace unsigned long resume_with(struct ub_run *run, long ax)
{
	run->regs->ax = ax == -EINTR ? ubk_interrupted(run->regs->orig_ax) : ax;
	return resume(run);
}

/* The call is made from user mode. Outside of a run. */
static noinline notrace unsigned long make_natively(struct ub_run *run)
{
	run->regs->ip -= SYSCALL_BYTES;
	run->regs->orig_ax = -1;
	return ub_run_stop(run, false);
}

/*
 * Filters are installed, or audit is told; they have the registers in view. Return: whether the
 * call is to be made; otherwise *next is what ubk_next_image() returns.
 */
static noinline notrace bool do_entry_work(struct ub_run *run, unsigned long nr, unsigned long work, unsigned long *next)
{
	struct pt_regs *regs = (struct pt_regs *)run->regs;
	long permitted = ubk_do_entry_work(regs, nr, work);

	if (permitted == nr)
		return true;
	/* -1: a filter denied it, ax is the result. Another number can only be a tracer's doing:
	 * made as natively, whatever it is, and the chain's last. */
	if (permitted == -1) {
		*next = resume(run);
		return false;
	}
	if ((unsigned long)permitted < NR_syscalls)
		regs->ax = ubk_call_syscall(regs, array_index_nospec((unsigned long)permitted, NR_syscalls));
	*next = ub_run_stop(run, true);
	return false;
}

/*
 * ubk_next_image() from the exit on. @plain, constant: there is no syscall_work, and
 * run->special is 0.
 */
static __always_inline unsigned long make_call(struct ub_run *run, unsigned int exit_number, const bool plain)
{
	const struct ub_exit *exit = ub_run_exit(run, exit_number);
	struct pt_regs *regs = (struct pt_regs *)run->regs;
	unsigned long special = plain ? 0 : run->special;
	int fpu = special & UB_RUN_FPU;
	unsigned long work, nr, next, ip;
	long ax;

	if (unlikely(exit->reason))
		return ub_run_leave(run, exit_number);
	ip = exit->ip;
	regs->ip = ip;
	ubk_run_end_inline(fpu);

	/* Natively the upper half of rax is ignored; what has one is left to that path. So are
	 * x32 numbers, which are above the bound. */
	nr = regs->ax;
	work = plain ? 0 : READ_ONCE(current_thread_info()->syscall_work);
	if (unlikely(nr >= NR_syscalls || work & STOPPING_WORK))
		return make_natively(run);
	nr = array_index_nospec(nr, NR_syscalls);
	if (unlikely(!ub_syscalls.chains[nr]))
		return make_natively(run);

	regs->orig_ax = nr;
	regs->ax = -ENOSYS;
	regs->cx = ip;
	regs->r11 = regs->flags;
	if (work && !do_entry_work(run, nr, work, &next))
		return next;
	ax = static_call(ubk_original)(regs, nr);
	/* Errors; among them the restart codes, and EINTR. */
	if (unlikely((unsigned long)ax >= -(unsigned long)ERESTART_RESTARTBLOCK))
		return resume_with(run, ax);
	regs->ax = ax;
	if (!plain)
		end_audit(regs);

	/* The run begins before the flags are read: a thread that is preempted in between
	 * could continue on another CPU with the old one's number in its rseq area. */
	ubk_run_begin_inline(fpu);
	if (unlikely(!may_run()))
		return end_and_resume(run);
	return ub_run_next(run, (struct ub_regs *)regs, special);
}

static noinline notrace unsigned long make_special_call(struct ub_run *run, unsigned int exit)
{
	return make_call(run, exit, false);
}

notrace unsigned long ubk_next_image(struct ub_run *run, unsigned int exit)
{
	if (unlikely(--run->left < 0))
		return ub_run_refill(run, exit);
	if (unlikely(READ_ONCE(current_thread_info()->syscall_work) | run->special))
		return make_special_call(run, exit);
	return make_call(run, exit, true);
}
