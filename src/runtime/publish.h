/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → sanitize → emit → verify → PUBLISH
 *
 * Makes a Translation of a VerifiedImage and takes one back. Takes nothing but what
 * sfi::verify() made, so unverified code cannot run by construction. Trusted.
 */
#pragma once

#include "base/result.h"
#include "runtime/cache.h"
#include "sfi/verify.h"

namespace ub::runtime {

/**
 * make_translation - everything of publishing but making it visible
 * @calls: open where it begins, as observations have them
 * @verified: lies at its final address, which the translation owns from now on if this succeeds
 * @sources: guest bytes it was made from; copied, as @followed is: chains of calls in it, outer ones first
 * Puts the exception entries in force. Context: may sleep. Return: the translation, not yet in any cache;
 * kNoMemory, kNoCodeSpace (the exception table is full).
 */
Result<Translation *> make_translation(UserAddr start, uint32_t calls, const sfi::VerifiedImage &verified,
				       std::span<const Extent> sources, std::span<const OpenCall> followed,
				       profiler::Site &site);

/* Frees a translation (or a list of them chained by retired_next) once no CPU can run or see it.
 * It is in no cache any more. Context: atomic. Return: how many. */
unsigned retire(Translation *list);

} // namespace ub::runtime
