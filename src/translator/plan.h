/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plan: what is to become of each guest instruction of a region, the noun between
 * sanitize and emit. One Step per instruction of each block, in the region's order.
 */
#pragma once

#include "translator/region.h"

namespace ub::translator {

struct Step {
	Lowering how;
	bool flags_dead_before = false;	/* a guard before it may destroy flags */
	bool flags_dead_after = false;
	uint32_t offset = 0;		/* of its bytes in the image: filled in by emit, for the dump */
	uint32_t bytes = 0;
};

struct Plan {
	Table<Step> steps;
	uint32_t *first_step = nullptr;	/* by block */

	Step &of(uint32_t block, uint32_t i) const { return const_cast<Step &>(steps[first_step[block] + i]); }
};

} // namespace ub::translator
