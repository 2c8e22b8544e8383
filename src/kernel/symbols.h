/* SPDX-License-Identifier: GPL-2.0 */
/*
 * symbols.h - every symbol of the kernel that ub uses and modules cannot link to:
 * which, why, and whether ub loads without it.
 *
 *   FUNCTION(name, REQUIRED or OPTIONAL, return type, (arguments), why)
 *	is called as UBK_CALL(name)(arguments): a static call, which is a direct call.
 *	An indirect one would be a retpoline, and on a kernel with IBT a fault, because
 *	the ENDBR of functions nobody takes the address of is removed at boot.
 *   ADDRESS(name, REQUIRED or OPTIONAL, why)
 *	is known as UBK_ADDRESS(name), 0 where it is missing.
 *
 * UBK_ADDRESS() tells of functions too; an OPTIONAL one is called only if it is not 0.
 */
#pragma once

#include <linux/static_call.h>
#include <linux/types.h>

#include "kernel/compat.h"

struct callback_head;
struct cftype;
struct cgroup_subsys;
struct ksignal;
struct pt_regs;
struct task_struct;

#ifdef CONFIG_AUDITSYSCALL
#define UBK_AUDIT_SYMBOLS(FUNCTION, ADDRESS)							\
	FUNCTION(__audit_syscall_exit, REQUIRED,						\
		 void, (int success, long result),						\
		 "tells audit of a chained system call's end")
#else
#define UBK_AUDIT_SYMBOLS(FUNCTION, ADDRESS)
#endif

#define UBK_SYMBOLS(FUNCTION, ADDRESS)								\
	ADDRESS(x64_sys_call, REQUIRED,								\
		"the function every 64-bit system call goes through: what is hooked")		\
	FUNCTION(ftrace_location, REQUIRED,							\
		 unsigned long, (unsigned long ip),						\
		 "the place in x64_sys_call where the hook goes")				\
	FUNCTION(task_work_cancel_match, REQUIRED,						\
		 struct callback_head *,							\
		 (struct task_struct *task, bool (*match)(struct callback_head *, void *), void *data), \
		 "takes back what sleeping tasks were asked to do, at removal")			\
	FUNCTION(cgroup_add_dfl_cftypes, REQUIRED,						\
		 int, (struct cgroup_subsys *subsystem, struct cftype *files),			\
		 "ub.enable and ub.stat in the cgroup directories")				\
	FUNCTION(cgroup_rm_cftypes, REQUIRED,							\
		 int, (struct cftype *files),							\
		 "takes them away again")							\
	ADDRESS(perf_event_cgrp_subsys, REQUIRED,						\
		"the controller they are files of: one that every cgroup has")			\
	FUNCTION(__rseq_handle_notify_resume, OPTIONAL,						\
		 void, (struct ksignal *ksig, struct pt_regs *regs),				\
		 "serves rseq in a chain; without it blocking calls end chains")		\
	UBK_AUDIT_SYMBOLS(FUNCTION, ADDRESS)							\
	UBK_VERSION_SYMBOLS(FUNCTION, ADDRESS)

#define UBK_SYMBOL_FUNCTION(name, need, type, arguments, why)					\
	typedef type ubk_type_##name arguments;							\
	DECLARE_STATIC_CALL(ubk_##name, ubk_type_##name);
#define UBK_SYMBOL_ADDRESS(name, need, why)
UBK_SYMBOLS(UBK_SYMBOL_FUNCTION, UBK_SYMBOL_ADDRESS)
#undef UBK_SYMBOL_FUNCTION
#undef UBK_SYMBOL_ADDRESS

struct ubk_symbol_addresses {
#define UBK_SYMBOL_FUNCTION(name, need, type, arguments, why) unsigned long name;
#define UBK_SYMBOL_ADDRESS(name, need, why) unsigned long name;
	UBK_SYMBOLS(UBK_SYMBOL_FUNCTION, UBK_SYMBOL_ADDRESS)
#undef UBK_SYMBOL_FUNCTION
#undef UBK_SYMBOL_ADDRESS
};
extern struct ubk_symbol_addresses ubk_symbol_addresses;

#define UBK_ADDRESS(name) (ubk_symbol_addresses.name)
#define UBK_CALL(name) static_call(ubk_##name)

/* Looks all of them up; -ENOENT with one line in the log when a required one is missing. */
int ubk_symbols_init(void);
