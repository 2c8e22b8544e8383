/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → UNROLL → analyze → sanitize → emit → verify → publish
 *
 * A small loop becomes a few copies of its body, one after the other, that poll once
 * for all of them. Changes the region's blocks only; knows nothing of images.
 */
#pragma once

#include "base/result.h"
#include "translator/region.h"

namespace ub::translator {

/* kNoMemory when the arena is used up. */
Result<> unroll(Region &region, Arena &arena);

} // namespace ub::translator
