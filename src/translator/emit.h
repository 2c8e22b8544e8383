/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → sanitize → EMIT → verify → publish
 *
 * Makes an image of a plan: bytes for a final address, exits, fault entries.
 */
#pragma once

#include "base/result.h"
#include "sfi/contract.h"
#include "translator/plan.h"

namespace ub::translator {

struct Emission {
	sfi::Image image;	/* its bytes still lie in the arena, not at image.address */
	std::span<const uint32_t> order;	/* the blocks in it, as they follow each other */
};

/* Fills in the steps' offsets. kTooBig when the image does not fit `capacity` bytes,
 * kNoMemory when the arena is used up. */
Result<Emission> emit(const Region &region, Plan &plan, KernelAddr address, uint32_t capacity,
		      const sfi::Contract &contract, Arena &arena);

} // namespace ub::translator
