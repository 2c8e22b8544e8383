/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sites: the hot-syscall candidates of one address space, keyed by the address the
 * gap begins at (behind the syscall instruction). A site remembers what profiling
 * found, how its translation went, and which branches translations missed.
 *
 * Lifetime: made on the first sample, freed with the space. Found without a lock;
 * changed under the space's lock, but for the counts that only steer.
 */
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/observation.h"
#include "core.h"
#include "profiler/payoff.h"

namespace ub::profiler {

enum class Stage : uint8_t {
	kWatched,	/* being sampled */
	kHot,		/* nominated: a translation is wanted or being made */
	kTranslated,	/* a translation is published */
	kDeclined,	/* native: nothing to gain, it lost, or the verifier said no; payoff may retry it */
};

inline constexpr uint32_t kMaxObservations = 4096;
inline constexpr uint32_t kMaxSites = UB_SITES_MAX;

/* What was on the user's stack from rsp on upwards where a gap began once, which says what frames
 * it returns to, and where it ended: what calls it made that were open then. Read while it is
 * written to, it is a wrong hint at worst. */
struct Stack {
	uint32_t count;
	uint64_t words[256];
};

struct Site {
	Site *next = nullptr;		/* hash chain */
	UserAddr start;
	Stage stage = Stage::kWatched;
	bool wanted = false;		/* a (re)translation is asked for */
	bool making = false;		/* the translation is under way */
	bool pending = false;		/* learned something since its making began */
	bool exploring = false;		/* one of its gaps is gone through to learn all it has to teach */
	uint16_t short_gaps = 0;	/* samples since the last decay */
	uint16_t long_gaps = 0;
	uint32_t rounds = 0;		/* translations attempted */
	uint32_t explored = 0;		/* parts of its gaps translated to learn from them */
	uint32_t reached = 0;		/* calls of the chains that ended in this gap; approximate */
	uint32_t vector_exits = 0;	/* runs that left it for want of vector registers */
	bool vectors = false;		/* its translations use vector registers */
	bool wide = false;		/* they need the large budget */
	Payoff payoff;
	/* For people to look at. */
	int32_t syscall = -1;		/* the call before the gap */
	uint32_t samples = 0;		/* gaps timed natively */
	uint64_t chained = 0;		/* as `reached`, never reset */
	uint64_t exits[UB_EXITS] = {};	/* runs that left inside the gap */
	uint64_t retry_at_ns = 0;	/* no translation is asked for before */
	uint64_t made_in_ns = 0;	/* the last one */
	uint64_t uses_at_trim = 0;	/* what had been made of it when memory was wanted last */
	uint32_t learned_count = 0;
	Observation *learned = nullptr;	/* kMaxObservations, from the first miss on */
	Stack *stack = nullptr;		/* from when it was about to become hot on */

	std::span<const uint64_t> stack_seen() const;
	/* Sorted. Under the space's lock. */
	std::span<const Observation> observations() const { return {learned, learned_count}; }
};

class Sites {
public:
	/* The site of a gap start or null. Context: any, no lock. */
	Site *find(UserAddr start) const;
	/* Links a zeroed site (caller's memory) in; the caller holds the space's lock and
	 * has seen find() fail under it. */
	void insert(Site &site);
	uint32_t size() const { return size_; }
	/* Context: any, no lock. */
	template <typename Visit>
	void for_each(Visit visit) const
	{
		for (Site *const &bucket : buckets_)
			for (Site *site = __atomic_load_n(&bucket, __ATOMIC_ACQUIRE); site; site = site->next)
				visit(*site);
	}
	/* Some site with `wanted` set, which is cleared; null if there is none. Under the lock. */
	Site *take_wanted();
	/* Unlinks any one site; null when empty. For the space's end. */
	Site *remove_any();

private:
	static constexpr uint32_t kBuckets = 256;
	static uint32_t bucket(UserAddr start) { return uint32_t(start.value ^ start.value >> 8 ^ start.value >> 16) % kBuckets; }

	Site *buckets_[kBuckets] = {};
	uint32_t size_ = 0;
	uint32_t cursor_ = 0;	/* where take_wanted() goes on, so that none starves */
};

/* Keeps the top of the stack, which is at `sp`, for a site whose gap begins now.
 * Context: the thread's own, may sleep. */
void keep_stack(Site &site, uint64_t sp);

/* Records a missed branch. Under the space's lock; site.learned is not null.
 * Return: true if it was new. */
bool learn(Site &site, const Observation &seen);

} // namespace ub::profiler
