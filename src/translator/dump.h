/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The three-column dump: guest | decision | emitted, a line per guest instruction. The
 * debugging tool, the illustration in the docs and the golden tests' format.
 */
#pragma once

#include "translator/emit.h"
#include "translator/translate.h"

namespace ub::translator {

/* Shows the image's blocks in their order, then the exits. */
void dump(const Region &region, const Plan &plan, const Emission &emission, DumpSink &sink);

} // namespace ub::translator
