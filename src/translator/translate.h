/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → sanitize → emit → verify → publish
 *
 * translate() is the translator's table of contents and its only door. It turns
 * the guest code after one syscall into a verified image; publishing is not its
 * business. Untrusted: whatever it makes, sfi::verify() has the last word.
 */
#pragma once

#include <span>

#include "base/address.h"
#include "base/arena.h"
#include "base/extent.h"
#include "base/observation.h"
#include "base/result.h"
#include "sfi/contract.h"
#include "sfi/verify.h"

struct ubk_mm;

namespace ub::translator {

struct Budget {
	uint32_t instructions = 6000;	/* guest instructions, inlined calls counted each time */
	uint32_t unlikely = 2000;	/* of these, not expected to be reached: where nothing was learned */
	uint32_t call_depth = 24;	/* frames inlined into each other */
	uint32_t targets = 64;		/* learned targets compared at one branch */
};

struct Request {
	struct ubk_mm *mm = nullptr;	/* whose code: passed on to ubk_guest_read() */
	UserAddr start;			/* the gap's first instruction */
	std::span<const Observation> learned;	/* best sorted */
	/* What was on the user's stack from rsp on upwards where the gap began once: for hints,
	 * and free to change meanwhile. May be empty. */
	std::span<const uint64_t> stack;
	/* Where execution goes on inside a gap: the return addresses of the calls that were made since it
	 * began and are open, outermost first. Empty where it begins. */
	std::span<const UserAddr> open;
	Budget budget;
	/* Translate what uses vector registers, too. Runs of the image then own these, which
	 * costs each of them; without, such instructions are exits (kVector). */
	bool vectors = true;

	/* `open`, as observations have it. */
	uint32_t calls() const
	{
		uint32_t calls = kNoCalls;
		for (const UserAddr return_address : open)
			calls = calls_within(calls, return_address);
		return calls;
	}
};

/* Executable address space reserved for the image; written through ubk_code_write(). */
struct Reservation {
	KernelAddr address;
	uint32_t bytes = 0;
};

struct Translated {
	sfi::VerifiedImage verified;
	std::span<const Extent> sources;	/* what it was made from: in the arena; ascending, disjoint */
	std::span<const OpenCall> calls;	/* in the arena: those followed */
	uint32_t guest_instructions;
	bool whole;				/* no budget was used up */
};

/* Takes the dump, a line at a time: `guest | decision | emitted`. */
class DumpSink {
public:
	virtual void line(const char *text) = 0;
};

/**
 * translate - translate the gap that begins at request.start
 * @request: what to translate and what was learned of it
 * @code: where the image will lie
 * @contract: of this machine
 * @arena: all memory of the attempt, kArenaBytes is enough for the default budget
 * @dump: gets the three-column dump if not null
 * @refusal: filled when the verifier refuses, if not null
 *
 * Context: may sleep, process context of a kworker; takes no lock of ours.
 * Return: the verified image with its sources; kGuestMemory, kNothingGained,
 * kTooBig, kNoMemory, kRejected.
 */
Result<Translated> translate(const Request &request, const Reservation &code, const sfi::Contract &contract,
			     Arena &arena, DumpSink *dump = nullptr, sfi::Refusal *refusal = nullptr);

inline constexpr size_t kArenaBytes = size_t(14) << 20;

/* Enough for a budget of kWideInstructions: for gaps that need more. */
inline constexpr uint32_t kWideInstructions = 24000;
inline constexpr size_t kWideArenaBytes = size_t(44) << 20;

/* Enough for a budget of kPartInstructions: for what follows where a gap was left. */
inline constexpr uint32_t kPartInstructions = 200;
inline constexpr size_t kPartArenaBytes = size_t(4) << 20;

} // namespace ub::translator
