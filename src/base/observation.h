/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Observation: a branch that was seen taken (a direct call or jump, an indirect branch or
 * a return) for which a translation had no code. Sites collect them, the translator
 * follows them. It says what calls were open then, as what a library's function does for one
 * caller it seldom does for all.
 */
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/spread.h"

namespace ub {

/* A chain of open calls by their return addresses, outermost first: a hash. Chains that have the same
 * are told apart no more, which is a worse guess and nothing else. */
inline constexpr uint32_t kNoCalls = 0;
inline constexpr uint32_t kAnyCalls = ~uint32_t(0);

constexpr uint32_t calls_within(uint32_t calls, UserAddr return_address)
{
	return uint32_t(spread(calls + 1 + return_address.value) >> 33);	/* never kAnyCalls */
}

struct Observation {
	UserAddr from;	/* the branch instruction */
	UserAddr to;	/* where it went */
	uint32_t calls = kAnyCalls;	/* made since the gap began, and open */

	auto operator<=>(const Observation &) const = default;
	bool within(uint32_t other) const { return calls == other || calls == kAnyCalls; }
};

/* A chain of open calls told by its innermost one. */
struct OpenCall {
	UserAddr return_address;
	uint32_t calls = kNoCalls;	/* the chain */
	uint32_t outside = kNoCalls;	/* the chain without this call */
};

} // namespace ub
