/* SPDX-License-Identifier: GPL-2.0 */
/* Learned: a request's observations, and the calls its stacks tell of, sorted, for discover's lookups. */
#pragma once

#include <span>

#include "base/arena.h"
#include "base/observation.h"
#include "translator/translate.h"

namespace ub::translator {

class Learned {
public:
	/* Empty when the arena is exhausted. */
	Learned(const Request &request, Arena &arena);

	/* Where a branch was seen to go, ascending. */
	std::span<const Observation> from(UserAddr branch) const;
	bool has(UserAddr branch, UserAddr target) const;

private:
	Table<Observation> sorted_;
};

} // namespace ub::translator
