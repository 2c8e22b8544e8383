// SPDX-License-Identifier: GPL-2.0
/*
 * breakpoints.c - a hardware breakpoint comes to a CPU while a translation runs there.
 *
 * Kernel mode does not hit a program's breakpoints, so syscall.c looks for them before each run.
 * Others may set one meanwhile, by an interrupt to the CPU where the thread is; a loop could miss it for as
 * long as nobody else wants that CPU. So the thread is given work: its run leaves at the next poll, and
 * what follows is native.
 *
 * A probe on the function that sets the CPU's debug registers tells of it. It costs nothing until then.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/sched.h>

#include "kernel/glue.h"
#include "kernel/run.h"

/* On the CPU that gets the breakpoint, interrupts off. */
static int end_run(struct kprobe *probe, struct pt_regs *regs)
{
	if (this_cpu_read(ubk_run_sequence) & 1)
		set_thread_flag(TIF_NOTIFY_RESUME);
	return 0;
}

static struct kprobe probe = {
	.symbol_name = "arch_install_hw_breakpoint",
	.pre_handler = end_run,
};
static bool registered;

void __init ubk_breakpoints_init(void)
{
	int error = register_kprobe(&probe);

	registered = !error;
	if (error && error != -ENOENT)
		pr_warn("no probe on %s (%d): hardware breakpoints that other threads set are seen when a gap ends\n",
			probe.symbol_name, error);
}

void ubk_breakpoints_exit(void)
{
	if (registered)
		unregister_kprobe(&probe);
}
