// SPDX-License-Identifier: GPL-2.0
/* Real code run to its end as images: see follow.h. */
#include "follow.h"

#include <algorithm>
#include <cstdio>

namespace host {
namespace {

using ub::sfi::Exit;
using ub::sfi::ExitReason;

constexpr size_t kPlaces = 1500;
constexpr unsigned int kTimesMade = 150;		/* as often as an image is made for one place */
constexpr unsigned long kStepsAllowed = 200000;	/* of one run: more, and it is stuck */
constexpr unsigned long kSyscallBytes = 2;

/* Of the instruction there, and of what follows a short one. */
std::string bytes_at(uint64_t ip)
{
	unsigned char bytes[6] = {};
	char text[3 * sizeof(bytes) + 1];

	ubk_guest_peek(nullptr, ip, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 3 * i, 4, "%02x ", bytes[i]);
	return text;
}

/* Takes a jump or a return whose target an image has no room for, but told: a native step takes
 * a hundred times as long. False: it is something else. */
bool take_branch(State &state, uint64_t target)
{
	unsigned char bytes[4] = {};

	ubk_guest_peek(nullptr, state.regs.ip, bytes, sizeof(bytes));
	const unsigned char *opcode = bytes;
	while ((*opcode & 0xf0) == 0x40 || *opcode == 0x3e || *opcode == 0xf2)
		opcode++;
	const bool returns = *opcode == 0xc3, jumps = *opcode == 0xff && (opcode[1] >> 3 & 7) == 4;
	if (returns)
		state.regs.sp += 8;
	if (returns || jumps)
		state.regs.ip = target;
	return returns || jumps;
}

} // namespace

std::string Follower::text() const
{
	std::string text = std::to_string(images_run) + " images run, " + std::to_string(syscalls) + " syscalls, " +
			   std::to_string(branches_taken) + " branches taken for them, " +
			   std::to_string(native_steps) + " native steps";
	std::vector<std::pair<unsigned long, std::string>> most;

	for (const auto &[bytes, times] : stepped)
		most.push_back({times, bytes});
	std::sort(most.rbegin(), most.rend());
	for (size_t i = 0; i < most.size() && i < 6; i++)
		text += (i ? ", " : ": ") + most[i].second + "x" + std::to_string(most[i].first);
	return text;
}

/* The image for `ip`, with all that was taught. Null: there is none. */
Follower::Place *Follower::place(uint64_t ip)
{
	if (places_.size() == kPlaces && !places_.contains(ip))
		places_.clear();

	Place &place = places_[ip];
	if (place.stale && place.made < kTimesMade) {
		place.translation = differential_.translate(ip, learned_);
		place.taught = learned_.size();
		place.stale = false;
		place.made++;
	}
	return place.translation ? &place : nullptr;
}

/* Notes what an exit teaches. Is its ip where an image may begin? Otherwise the instruction
 * there is the CPU's. */
bool Follower::follow_exit(Place &place, const Exit &exit, uint64_t target)
{
	switch (exit.reason) {
	case ExitReason::kCold:
	case ExitReason::kTarget: {
		const uint64_t to = exit.reason == ExitReason::kCold ? exit.to.value : target;
		const auto [known, is_new] = known_.insert({{exit.from.value, to}, learned_.size()});
		if (is_new)
			learned_.push_back({exit.from, ub::UserAddr(to)});
		/* If the image was made without it; else it has no room for more targets there. */
		place.stale |= known->second >= place.taught;
		return exit.ip.value != place.translation->start() || (place.stale && place.made < kTimesMade);
	}
	case ExitReason::kSyscall:
	case ExitReason::kPoll:
	case ExitReason::kBudget:
		return true;
	case ExitReason::kInstruction:
	case ExitReason::kFault:
	case ExitReason::kStack:
	case ExitReason::kVector:
		return false;
	}
	return false;
}

Ended Follower::run(const State &state)
{
	unsigned long steps = 0;
	Ended end;

	end.state = state;
	for (;;) {
		State &now = end.state;
		bool faulted = false;

		if (now.regs.ip == end_) {
			now.regs.ip += kSyscallBytes;
			end.stop = Stop::kSyscall;
			return end;
		}
		if (Place *const here = place(now.regs.ip)) {
			uint64_t target = 0;
			const unsigned int number = run_image(now, here->translation->entry(), &target);
			if (number >= here->translation->exits().size())
				return end;	/* kRunaway: a difference for certain */

			const Exit &exit = here->translation->exits()[number];
			images_run++;
			differential_.tally.exits[reason_key(exit.reason)]++;
			work_flags = 0;
			now.regs.ip = exit.ip.value;
			if (exit.reason == ExitReason::kSyscall) {
				if (exit.ip.value == end_ + kSyscallBytes) {
					end.stop = Stop::kSyscall;
					return end;
				}
				make_syscall(&now.regs);
				syscalls++;
			}
			if (follow_exit(*here, exit, target))
				continue;
			if (exit.reason == ExitReason::kTarget && take_branch(now, target)) {
				branches_taken++;
				continue;
			}
			faulted = exit.reason == ExitReason::kFault;
		}
		native_steps++;
		stepped[bytes_at(now.regs.ip)]++;
		const uint64_t at = now.regs.ip;
		end = step_natively(State(now));
		if (end.stop != Stop::kStep || ++steps == kStepsAllowed)
			return end;
		if (faulted && end.state.regs.ip != at)
			spurious_faults++;
	}
}

} // namespace host
