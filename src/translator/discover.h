/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DISCOVER → unroll → analyze → sanitize → emit → verify → publish
 *
 * Finds the code of a gap: from its first instruction on to the next system calls.
 */
#pragma once

#include "translator/region.h"
#include "translator/translate.h"

namespace ub::translator {

/* `instructions` is the limit of this attempt, at most the request's. Faults: kGuestMemory
 * when not even the first instruction can be read, kNothingGained when it is an exit. */
Result<Region> discover(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena);

} // namespace ub::translator
