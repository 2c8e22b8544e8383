/* SPDX-License-Identifier: GPL-2.0 */
/* The syscall table (syscalls.inc), to be looked up by number. Trusted. */

#include "kernel/services.h"

namespace {

consteval ub_syscall_table chaining()
{
	ub_syscall_table table = {};
#define CHAIN(number, name) table.chains[number] = 1;
#define NATIVE(number, name, reason)
#include "runtime/syscalls.inc"
#undef CHAIN
#undef NATIVE
	return table;
}

constexpr ub_syscall_table kSyscalls = chaining();
static_assert(kSyscalls.chains[0] && kSyscalls.chains[1] && kSyscalls.chains[110], "read, write and getppid chain");
static_assert(!kSyscalls.chains[15] && !kSyscalls.chains[56] && !kSyscalls.chains[59] && !kSyscalls.chains[60],
	      "rt_sigreturn, clone, execve, exit do not");
static_assert(!kSyscalls.chains[101] && !kSyscalls.chains[158] && !kSyscalls.chains[317],
	      "ptrace, arch_prctl, seccomp do not");
static_assert(!kSyscalls.chains[511], "unknown numbers do not");

} // namespace

extern "C" const ub_syscall_table ub_syscalls = kSyscalls;
