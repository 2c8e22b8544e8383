/* SPDX-License-Identifier: GPL-2.0 */
/*
 * decode → FLOW → accept: what the verifier knows of the general registers at a
 * point of an image, along every path that leads there.
 *
 * A masked address has bit 47 (56) clear, any bits above. So the user half and the
 * two holes around it hold `masked + offset` for every offset in [-kHoleBelow,
 * kHoleAbove): if a bit above 47 is set too the access faults, and transiently, where
 * a CPU may look at the low 48 bits alone, it is the same place. Value::kUser is a
 * register that holds masked + offset for some offset in [low, high]: low counts for
 * the smallest masked address, high for the largest.
 *
 * Masks, constants and moves are data flow, so what they prove holds transiently as
 * well. An access that did not fault also proves something: its address was a user
 * address, the holes being unmapped. That fact is no data flow: past an access that
 * will fault the CPU runs on, at most until its reorder buffer is full. So anchor()
 * lets one access narrow the window towards 0 by no more than kAnchorLow or kAnchorHigh, and
 * all accesses that can be in flight, kInFlight, together stay inside the holes: at
 * every moment the register truly is in [low - kInFlight * kAnchorLow,
 * high + kInFlight * kAnchorHigh], and an access is legal only where that window is.
 * A larger allowance would be wrong: two steps of 1 MiB, each anchored by an access
 * that faults, reach mapped kernel memory below the hole.
 */
#pragma once

#include <bit>

#include "sfi/instruction.h"

namespace ub::sfi {

/* More memory accesses than any x86 CPU has under way at once; today's largest reorder
 * buffers hold about 600 instructions of all kinds. */
inline constexpr int64_t kInFlight = 1024;
inline constexpr int32_t kAnchorLow = 1024;
inline constexpr int32_t kAnchorHigh = 1 << 20;
static_assert(kInFlight * kAnchorLow <= kHoleBelow - kStackDrift);
static_assert(kInFlight * kAnchorHigh <= kHoleAbove / 2);

struct Value {
	/* From what allows most to what allows least. */
	enum Kind : uint8_t {
		kMask,		/* the address mask */
		kUser,		/* masked + offset, see above */
		kUnknown,	/* any value of the program's */
		kKernel,	/* a value of the kernel's: not to be read */
	};

	/* One word: states are copied and compared at every label. */
	Kind kind : 8 = kUnknown;
	bool anchored : 8 = false;	/* kUser: an access has narrowed the window since the mask */
	int64_t low : 24 = 0;
	int64_t high : 24 = 0;

	bool operator==(const Value &other) const
	{
		return std::bit_cast<uint64_t>(*this) == std::bit_cast<uint64_t>(other);
	}

	static constexpr Value address() { return {kUser, false, 0, 0}; }

	Value moved(int64_t by) const
	{
		if (by == 0 || kind == kKernel)
			return *this;
		if (kind != kUser)
			return {};
		return within_drift(low + by, high + by);
	}

	/* After an access at [value + displacement] that did not fault. */
	Value anchor(int64_t displacement) const
	{
		if (kind != kUser)
			return *this;

		int64_t new_low = low, new_high = high;
		if (low < 0 && -displacement > low)
			new_low = min(min(-displacement, 0), int64_t(low) + kAnchorLow);
		if (high > 0 && -displacement < high)
			new_high = max(max(-displacement, 0), int64_t(high) - kAnchorHigh);
		Value value = *this;
		value.anchored = anchored || new_low != low || new_high != high;
		value.low = int32_t(new_low);
		value.high = int32_t(new_high);
		return value;
	}

	/* May [value + displacement] be accessed, kWidestAccess bytes? */
	bool reaches_user_only(int64_t displacement) const
	{
		const int64_t below = anchored ? kInFlight * kAnchorLow : 0;
		const int64_t above = anchored ? kInFlight * kAnchorHigh : 0;

		return kind == kUser && low + displacement - below >= -kHoleBelow + kWidestAccess &&
		       high + displacement + above <= kHoleAbove - kWidestAccess;
	}

	/* What holds if one of two does. */
	Value join(const Value &other) const
	{
		if (*this == other)
			return *this;
		if (kind == kKernel || other.kind == kKernel)
			return {kKernel};
		if (kind != kUser || other.kind != kUser)
			return {};
		return {kUser, anchored || other.anchored, int32_t(min(low, other.low)), int32_t(max(high, other.high))};
	}

	/* A window that is still growing: to half of the drift allowed, then no further. */
	Value widened() const
	{
		constexpr int32_t limit = kStackDrift / 2;

		if (kind != kUser)
			return *this;
		if (low < -limit || low > limit || high < -limit || high > limit)
			return {};
		return {kUser, anchored, -limit, limit};
	}

private:
	static constexpr int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
	static constexpr int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

	Value within_drift(int64_t new_low, int64_t new_high) const
	{
		for (int64_t end : {new_low, new_high})
			if (end < -kStackDrift || end > kStackDrift)
				return {};
		return {kUser, anchored, int32_t(new_low), int32_t(new_high)};
	}
};

static_assert(sizeof(Value) == sizeof(uint64_t) && kStackDrift < 1 << 23);

struct State {
	bool reached = false;
	Value r[kRegisters];

	/* As enter.S leaves them: r11 is checked, r10 loaded, r9 is the image's own address. */
	static State entry()
	{
		State state;
		state.reached = true;
		state.r[kR11] = Value::address();
		state.r[kR10] = {Value::kMask};
		state.r[kR9] = {Value::kKernel};
		return state;
	}

	/* Takes over another way to get here. With `widen` windows grow to half of the drift
	 * allowed at once, and beyond it are given up. Return: whether anything became less known. */
	bool join(const State &other, bool widen)
	{
		if (!other.reached)
			return false;
		if (!reached) {
			*this = other;
			return true;
		}
		bool changed = false;
		for (int i = 0; i < kRegisters; i++) {
			if (r[i] == other.r[i])
				continue;
			Value joined = r[i].join(other.r[i]);
			if (joined == r[i])
				continue;
			if (widen)
				joined = joined.widened();
			r[i] = joined;
			changed = true;
		}
		return changed;
	}

	/* Makes the instruction's changes; its access, if any, did not fault. */
	void step(const Instruction &instruction)
	{
		if (instruction.anchors)
			r[instruction.base] = r[instruction.base].anchor(instruction.displacement);

		Value result;
		switch (instruction.effect) {
		case Effect::kNone:
			break;
		case Effect::kAddress:
			result = Value::address();
			break;
		case Effect::kMask:
			result = {Value::kMask};
			break;
		case Effect::kMasked:
			if (r[instruction.from].kind == Value::kMask)
				result = Value::address();
			break;
		case Effect::kMove:
			result = r[instruction.from].moved(instruction.displacement);
			break;
		}
		for (unsigned int left = instruction.writes; left; left &= left - 1)
			r[std::countr_zero(left)] = {};
		if (instruction.effect != Effect::kNone)
			r[instruction.to] = result;
		if (instruction.flow == Flow::kPoll)
			r[kR9] = {Value::kKernel};
	}
};

} // namespace ub::sfi
