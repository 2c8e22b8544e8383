// SPDX-License-Identifier: GPL-2.0
/* States for instruction instances: see instance.h. */
#include "instance.h"

#include <csignal>
#include <cstdlib>

#include "host.h"

extern "C" const host::Instance ub_instructions[], ub_instructions_end[];

namespace host {

std::span<const Instance> instances()
{
	return {ub_instructions, ub_instructions_end};
}

namespace {

/* Asks the CPU, with pointers to nowhere. */
bool ask_cpu(const Instance &instance)
{
	static Guest guest(0x6a0000000000);
	State state;

	set_code(guest, instance, true);
	state.regs.ip = guest.code();
	const Ended end = run_natively(state);
	return end.signal != SIGILL || end.state.regs.ip != guest.code();
}

/* One of the instance's pointers. */
unsigned long *pointer_of(const Instance &instance, State &state, Random &random)
{
	if (!instance.pointers)
		return nullptr;
	unsigned int number;
	do
		number = unsigned(random.below(16));
	while (!(instance.pointers >> number & 1));
	return &state.gpr(number);
}

bool spoil_pointer(const Guest &guest, const Instance &instance, State &state, Random &random)
{
	unsigned long *pointer = pointer_of(instance, state, random);
	if (!pointer)
		return false;
	switch (random.below(9)) {
	case 0: *pointer = guest.unmapped() + 0x1000; break;
	case 1: *pointer = guest.read_only() + 0x900; break;
	case 2: *pointer = random.below(0x1000); break;				/* the null page */
	case 3: *pointer = 0xffff888000000000 + random.below(1ul << 40); break;	/* kernel half */
	case 4: *pointer = 0xffffffff80000000 + random.below(1 << 30); break;	/* kernel text */
	case 5: *pointer = ~0ul - random.below(1 << 21); break;			/* the last 2 MiB */
	case 6: *pointer |= random.next() << 48 | 1ul << 62; break;		/* not canonical */
	case 7: *pointer = 0x800000000000 + random.below(1 << 20); break;	/* just above the user half */
	case 8: *pointer = 0x7fffffffffff - random.below(4096); break;		/* just below its end */
	}
	return true;
}

bool uses_stack(const Instance &instance)
{
	for (const char *name : {"sp", "push", "pop", "leave", "enter"})
		if (strstr(instance.text, name))
			return true;
	return false;
}

} // namespace

bool fits(const Instance &instance, const Guest &guest)
{
	static const ub_machine here = machine();

	if (instance.kinds & kLow && guest.code() != kLowBase)
		return false;
	return (!(instance.kinds & kAvx) || here.avx) && (!(instance.kinds & kAvx512) || here.avx512);
}

bool is_known_here(const Instance &instance)
{
	/* By instance: not asked yet, no, yes. */
	static std::vector<signed char> known(instances().size(), -1);

	if (!(instance.kinds & kRow))
		return true;
	signed char &answer = known[size_t(&instance - instances().data())];
	if (answer < 0)
		answer = ask_cpu(instance);
	return answer;
}

void set_code(Guest &guest, const Instance &instance, bool flags_live)
{
	static constexpr uint8_t kCompare[] = {0x4d, 0x39, 0xc0};	/* cmp r8, r8 */
	std::vector<uint8_t> code(instance.begin, instance.end);

	if (!flags_live)
		code.insert(code.end(), std::begin(kCompare), std::end(kCompare));
	const uint32_t end = uint32_t(code.size());
	code.push_back(0x0f), code.push_back(0x05);
	guest.set_code(code, {&end, 1});
}

bool vary(Variant variant, const Guest &guest, const Instance &instance, State &state, Random &random)
{
	switch (variant) {
	case Variant::kGood:
		return true;

	case Variant::kBadPointer:
		return spoil_pointer(guest, instance, state, random);

	case Variant::kStraddle: {
		unsigned long *pointer = pointer_of(instance, state, random);
		if (!pointer)
			return false;
		*pointer = (random.chance(2) ? guest.read_only() : guest.unmapped()) -
			   random.below(instance.kinds & kCounts && random.chance(2) ? 600 : 16);
		return true;
	}

	case Variant::kBadStack:
		if (!uses_stack(instance))
			return false;
		state.regs.sp = random.chance(2) ? guest.stack() - 0x10000 + random.below(64) : random.below(1 << 20);
		if (instance.kinds & kStack && random.chance(2))
			state.regs.bp = random.interesting();
		return true;

	case Variant::kUnmasked: {
		const uint32_t control = random.chance(2) ? 0 : uint32_t(random.below(64)) << 7;
		if (!strstr(instance.text, "mm"))
			return false;
		memcpy(state.vectors + 24, &control, sizeof(control));
		return true;
	}
	}
	return false;
}

State random_state(const Guest &guest, Random &random)
{
	State state;

	for (unsigned int i = 0; i < 16; i++)
		state.gpr(i) = random.interesting();
	state.regs.sp = guest.stack_top() - 0x2000 - 8 * random.below(128);
	state.regs.flags = 0x202 | (random.next() & kArithmeticFlags);	/* no DF: no image is entered with it */
	state.fill_vectors(random);
	return state;
}

State state_for(const Instance &instance, const Guest &guest, Random &random)
{
	State state = random_state(guest, random);

	if (instance.kinds & kCounts && random.chance(4))
		state.regs.cx = random.below(3);
	else if (instance.kinds & kCounts)
		state.regs.cx = random.below(random.chance(3) ? 600 : 40);
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
	/* Source and destination overlap, or nearly. */
	if (instance.kinds & kCounts && instance.pointers && random.chance(3))
		state.regs.di = state.regs.si + (random.chance(3) ? 0 : random.below(160) - 80);
	return state;
}

unsigned int cases(unsigned int by_default)
{
	const char *text = getenv("CASES");

	return text ? unsigned(strtoul(text, nullptr, 0)) : by_default;
}

} // namespace host
