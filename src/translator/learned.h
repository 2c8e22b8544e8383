/* SPDX-License-Identifier: GPL-2.0 */
/* Learned: a request's observations, sorted, for discover's lookups. */
#pragma once

#include <span>

#include "base/arena.h"
#include "base/observation.h"
#include "translator/translate.h"

namespace ub::translator {

class Learned {
public:
	/* As they are if they are sorted. Empty when the arena is exhausted. */
	Learned(const Request &request, Arena &arena);

	/* Where a branch was seen to go, ascending, some targets more than once. */
	std::span<const Observation> from(UserAddr branch) const;
	/* Whether it was seen to go there; or, within these calls, at all. */
	bool has(UserAddr branch, UserAddr target) const;
	bool has(UserAddr branch, UserAddr target, uint32_t calls) const;
	bool seen(UserAddr branch, uint32_t calls) const;

private:
	std::span<const Observation> sorted_;
};

} // namespace ub::translator
