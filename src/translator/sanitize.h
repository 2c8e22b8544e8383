/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → SANITIZE → emit → verify → publish
 *
 * Decides what becomes of each instruction: copied, re-encoded with a guard, replaced,
 * or an exit.
 */
#pragma once

#include "base/result.h"
#include "sfi/contract.h"
#include "translator/plan.h"

namespace ub::translator {

/* Between guest instructions rsp has drifted by at most so much from a masked value,
 * at block boundaries by at most half of it; beyond, emit checks and masks it again. */
inline constexpr int64_t kStackWindow = 768 << 10;

/* Addresses below are left to the null page and its neighbours. */
inline constexpr uint64_t kLowestAbsolute = 64 << 10;

/* The decision for one instruction on this machine. */
Lowering lower(const Insn &insn, const sfi::Contract &contract);

/* kNoMemory when the arena is used up. */
Result<Plan> sanitize(const Region &region, Arena &arena);

} // namespace ub::translator
