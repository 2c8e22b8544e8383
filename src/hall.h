/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the hall (bypass.cc, explore.cc, site_translation.cc, space.cc) share. */
#pragma once

#include "base/arena.h"
#include "base/result.h"
#include "sfi/contract.h"
#include "space.h"
#include "translator/translate.h"

namespace ub {

/* Asks for a translation of a site, if it may have one now. Under the space's lock. */
void want(ub_space &space, profiler::Site &site, uint64_t now_ns);

/* A hot site that gets no translation now, or has lost it, may become hot again. Under the space's lock. */
inline void watch_again(profiler::Site &site)
{
	site.stage = profiler::Stage::kWatched;
	site.short_gaps = 0;
}

/* A translation is a site's, or that of a part of its gap, for an exploration. */
inline bool is_part(const runtime::Translation &translation)
{
	return translation.start() != translation.site->start;
}

/* A translation is in the cache, or has left it. Under the space's lock. */
void count_in(ub_space &space, const runtime::Translation &made);
void count_out(ub_space &space, const runtime::Translation &gone);

/* Whether guest code that it was made from has changed since the journal's `since`. Under the space's lock. */
bool is_stale(const ub_space &space, const runtime::Translation &made, uint64_t since);

/* Takes what begins there from the cache. Under the space's lock. Return: what is to be retired, or null. */
runtime::Translation *unpublish(ub_space &space, UserAddr start);

/* The translation of what was made at code.address, which is no larger than it from now on; without memory, what was
 * made there is gone. Context: may sleep. */
Result<runtime::Translation *> take_up(const translator::Reservation &code, UserAddr start,
				       const translator::Translated &made, profiler::Site &site);

/* Translates a site's gap as it is known, and publishes that in place of what is there. @since: of the journal,
 * when the site was last read. Context: as ub_translate(). */
Result<runtime::Translation *> translate_site(ub_space &space, profiler::Site &site, const sfi::Contract &contract,
					      Arena &arena, uint64_t since);

} // namespace ub
