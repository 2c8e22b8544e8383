// SPDX-License-Identifier: GPL-2.0
/*
 * module.c - loading and removing ub: what is made in which order, and nothing else.
 *
 * Loading changes nothing in the kernel but two files in each cgroup directory;
 * the hook comes with the first cgroup that is enabled. Removal goes the
 * same way back; what it waits for is said in track.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "kernel/glue.h"
#include "kernel/symbols.h"
#include "kernel/transient.h"

static int __init start_core(void)
{
	struct ub_machine machine;
	int error;

	ubk_transient_init();
	ubk_machine_fill(&machine);
	error = ub_core_init(&machine);
	if (error == -ENODEV)
		pr_err("not loading: the CPU lacks BMI2\n");
	else if (error)
		pr_err("not loading: the core could not start (%d)\n", error);
	return error;
}

static int __init load(void)
{
	int error = ubk_symbols_init();

	if (error)
		return error;
	error = ubk_selftest();
	if (error)
		return error;
	error = ubk_codemem_init();
	if (error)
		return error;
	error = ubk_faults_init();
	if (error)
		goto no_faults;
	error = start_core();
	if (error)
		goto no_core;
	error = ubk_work_init();
	if (error)
		goto no_work;
	error = ubk_pressure_init();
	if (error)
		goto no_pressure;
	error = ubk_mm_init();
	if (error)
		goto no_mm;
	error = ubk_hook_init();
	if (error)
		goto no_hook;
	error = ubk_tasks_init();
	if (error)
		goto no_tasks;
	error = ubk_cgroup_init();
	if (error)
		goto no_cgroup;
	ubk_breakpoints_init();
	ubk_sites_init();
	return 0;

no_cgroup:
	ubk_tasks_exit();
no_tasks:
	ubk_hook_exit();
no_hook:
	ubk_mm_exit();
no_mm:
	ubk_pressure_exit();
no_pressure:
	ubk_work_exit();
no_work:
	ub_core_exit();
no_core:
	ubk_faults_exit();
no_faults:
	ubk_codemem_exit();
	return error;
}
module_init(load);

static void __exit unload(void)
{
	ubk_sites_exit();
	ubk_breakpoints_exit();
	ubk_cgroup_exit();	/* no cgroup is enabled: the hook is gone */
	ubk_tasks_exit();	/* no task is */
	ubk_hook_exit();
	ubk_mm_exit();		/* no space is left */
	ubk_groups_free();
	ubk_pressure_exit();
	ubk_work_exit();	/* nothing deferred is */
	ub_core_exit();
	ubk_faults_exit();
	ubk_codemem_exit();
}
module_exit(unload);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The ub authors");
MODULE_DESCRIPTION("Userspace bypass: runs the user code between system calls in the kernel, sandboxed");
MODULE_VERSION("0.1");
