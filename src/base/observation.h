/* SPDX-License-Identifier: GPL-2.0 */
/* Observation: a branch that was seen taken (a direct call or jump, an indirect branch or
 * a return) for which a translation had no code. Sites collect them, the translator
 * follows them. */
#pragma once

#include "base/address.h"

namespace ub {

struct Observation {
	UserAddr from;	/* the branch instruction */
	UserAddr to;	/* where it went */
};

} // namespace ub
