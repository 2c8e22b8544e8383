/* SPDX-License-Identifier: GPL-2.0 */
/* The syscall table (syscalls.inc) as a bitmap. Trusted. */

#include "kernel/services.h"

namespace {

struct Bitmap {
	unsigned long words[UB_SYSCALLS_MAX / 64] = {};

	constexpr bool has(unsigned number) const { return words[number / 64] >> number % 64 & 1; }
	constexpr void add(unsigned number) { words[number / 64] |= 1ul << number % 64; }
};

consteval Bitmap chaining()
{
	Bitmap bitmap;
#define CHAIN(number, name) bitmap.add(number);
#define NATIVE(number, name, reason)
#include "runtime/syscalls.inc"
#undef CHAIN
#undef NATIVE
	return bitmap;
}

constexpr Bitmap kChaining = chaining();
static_assert(kChaining.has(0) && kChaining.has(1) && kChaining.has(110), "read, write and getppid chain");
static_assert(!kChaining.has(15) && !kChaining.has(56) && !kChaining.has(59) && !kChaining.has(60),
	      "rt_sigreturn, clone, execve, exit do not");
static_assert(!kChaining.has(101) && !kChaining.has(158) && !kChaining.has(317), "ptrace, arch_prctl, seccomp do not");
static_assert(!kChaining.has(511), "unknown numbers do not");

} // namespace

extern "C" const unsigned long ub_chaining_syscalls[UB_SYSCALLS_MAX / 64] = {
	kChaining.words[0], kChaining.words[1], kChaining.words[2], kChaining.words[3],
	kChaining.words[4], kChaining.words[5], kChaining.words[6], kChaining.words[7],
};
