// SPDX-License-Identifier: GPL-2.0
/* States for instruction instances: see instance.h. */
#include "instance.h"

#include <cstdlib>

#include "host.h"

extern "C" const host::Instance ub_instructions[], ub_instructions_end[];

namespace host {

std::span<const Instance> instances()
{
	return {ub_instructions, ub_instructions_end};
}

bool runs_here(const Instance &instance, const Guest &guest)
{
	static const ub_machine here = machine();

	if (instance.kinds & kLow && guest.code() != kLowBase)
		return false;
	return (!(instance.kinds & kAvx) || here.avx) && (!(instance.kinds & kAvx512) || here.avx512);
}

State random_state(const Guest &guest, Random &random)
{
	State state;

	for (unsigned int i = 0; i < 16; i++)
		state.gpr(i) = random.interesting();
	state.regs.sp = guest.stack_top() - 0x2000 - 8 * random.below(128);
	state.regs.flags = 0x202 | (random.next() & kArithmeticFlags) | (random.chance(8) ? 0x400 : 0);
	state.fill_vectors(random);
	return state;
}

State state_for(const Instance &instance, const Guest &guest, Random &random)
{
	State state = random_state(guest, random);

	if (instance.kinds & kCounts)
		state.regs.cx = random.below(40);
	if (instance.kinds & kStack)
		state.regs.bp = guest.stack_top() - 0x1000 - 8 * random.below(128);
	if (instance.kinds & kDivides && !random.chance(4)) {
		state.regs.dx = random.chance(2) ? 0 : random.below(16);
		if (random.chance(2))
			state.regs.ax &= 0x7f;
	}
	for (unsigned int i = 0; i < 16; i++) {
		if (instance.pointers >> i & 1)
			state.gpr(i) = guest.data() + 0x2000 + 64 * random.below(0xc0) +
				       (random.chance(4) ? random.below(64) : random.chance(4) ? 8 * random.below(8) : 0);
		else if (instance.indexes >> i & 1)
			state.gpr(i) = random.below(256);
	}
	return state;
}

unsigned int cases(unsigned int by_default)
{
	const char *text = getenv("CASES");

	return text ? unsigned(strtoul(text, nullptr, 0)) : by_default;
}

} // namespace host
