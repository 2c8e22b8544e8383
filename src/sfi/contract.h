/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract: what every translation promises, in the terms its verifier checks
 * (docs/contract.md has the clauses in words). Trusted. Knows no translator and
 * no runtime; both are written against it.
 *
 * An image is a run of instructions at its final address, entered at its first
 * byte (an endbr64) by runtime/enter.S with the frame of sfi/frame.h below it,
 * and left only by `mov r9d, exit number; jmp leave`.
 */
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"
#include "sfi/frame.h"

namespace ub::sfi {

enum class ExitReason : uint8_t {
#define EXIT_REASON(name, key) name,
#include "exit_reasons.inc"
#undef EXIT_REASON
};

/* What differs between machines; filled once at load. */
struct Contract {
	KernelAddr leave;		/* where exit stubs jump: ub_leave in runtime/enter.S */
	uint32_t poll_mask = 0;		/* the work flags a poll tests, an imm32 */
	uint8_t mask_bit = 47;		/* the address bit a mask clears: 47, with LA57 56 */
	bool locked_accesses = true;	/* false where a kernel-mode split lock is fatal */
	bool avx = false;		/* AVX, AVX2 and FMA state is enabled */
	bool avx512 = false;		/* AVX-512 F, BW, DQ, VL are there and enabled */

	bool operator==(const Contract &) const = default;
};

/* Holes of every Linux address space around the user half (x86-64 mm.rst): the last
 * 2 MiB, and far more than 2 GiB at the start of the kernel half, are never mapped.
 * So a masked base plus a displacement in [-kHoleBelow + size, kHoleAbove) is safe. */
inline constexpr int64_t kHoleBelow = int64_t(2) << 20;
inline constexpr int64_t kHoleAbove = int64_t(2) << 30;

/* How far constant steps may carry a register from a masked value before it must be
 * masked again. An access through it that did not fault narrows its drift again, by no
 * more than lets the holes hold all accesses a CPU can have in flight: sfi/state.h. */
inline constexpr int64_t kStackDrift = int64_t(1) << 20;

inline constexpr uint32_t kImageMaxBytes = 256 * 1024;
inline constexpr uint32_t kMaxExits = 16 * 1024;

/* One way out. State is precise: all user registers are as before the instruction
 * at `ip` (a user address in the user half). */
struct Exit {
	UserAddr ip;		/* where the thread goes on; for kSyscall: behind the syscall instruction */
	UserAddr from;		/* the instruction behind which code is missing (kCold, kTarget, kBudget); else ip */
	UserAddr to;		/* that code where it is static (kCold, kBudget); kTarget has it in UB_FRAME_TARGET */
	ExitReason reason = ExitReason::kInstruction;
	uint32_t calls = 0;	/* Observation::calls there; means nothing to the verifier */
};

/* If the instruction at offset `instruction` raises any exception, the thread goes on
 * at offset `stub`, an exit stub. */
struct FaultEntry {
	uint32_t instruction = 0;
	uint32_t stub = 0;
};

/* Emitted, not yet trusted. `bytes` are read at `address` through the executable mapping. */
struct Image {
	KernelAddr address;
	std::span<const uint8_t> bytes;
	std::span<const FaultEntry> faults;	/* ascending by instruction */
	std::span<const Exit> exits;		/* an exit's number is its index */
};

} // namespace ub::sfi
