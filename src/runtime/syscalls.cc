/* SPDX-License-Identifier: GPL-2.0 */
/* The syscall table as a dense array: ub_syscall_chains(). Trusted. */

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernel/services.h"

namespace ub::runtime {
namespace {

constexpr size_t kNumbers = 512;

consteval std::array<bool, kNumbers> chains()
{
	std::array<bool, kNumbers> table{};
#define CHAIN(number, name) table[number] = true;
#define NATIVE(number, name, reason)
#include "runtime/syscalls.inc"
#undef CHAIN
#undef NATIVE
	return table;
}

constexpr auto kChains = chains();
static_assert(kChains[0] && kChains[1] && kChains[110], "read, write and getppid chain");
static_assert(!kChains[15] && !kChains[56] && !kChains[59] && !kChains[60], "rt_sigreturn, clone, execve, exit do not");
static_assert(!kChains[101] && !kChains[158] && !kChains[317], "ptrace, arch_prctl, seccomp do not");
static_assert(!kChains[511], "unknown numbers do not");

} // namespace
} // namespace ub::runtime

extern "C" int ub_syscall_chains(unsigned long nr)
{
	return nr < ub::runtime::kNumbers && ub::runtime::kChains[nr];
}
