/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → sanitize → EMIT → verify → publish
 *
 * The walk over the blocks in their layout, and what surrounds them: the landing pad,
 * polls, exit stubs, fault entries. Untrusted: sfi::verify() reads what comes out.
 */
#include "translator/emit.h"

#include "sfi/frame.h"
#include "translator/analyze.h"
#include "translator/emitter.h"
#include "translator/sanitize.h"

namespace ub::translator {

namespace {

constexpr uint32_t kLabelsPerBlock = 8;
constexpr uint32_t kLabelsPerString = 16;
constexpr uint32_t kFaultsPerString = 24;

/* Reasons, two variants of each; with the contexts they are tags of an AddressMap, below 2^16. */
constexpr uint32_t kExitKinds = 32;
static_assert(2 * uint32_t(sfi::ExitReason::kBudget) + 1 < kExitKinds && kMaxContexts * kExitKinds <= 1 << 16);

uint32_t max_exits(const Region &region)
{
	return uint32_t(2 * region.instructions + 2 * region.blocks.size());
}

/* Of the blocks' instructions, as often as they are in blocks. */
uint32_t count_strings(const Region &region)
{
	uint32_t count = 0;

	for (const Block &block : region.blocks)
		for (const Insn &insn : region.of(block))
			count += insn.kind == Kind::kString;
	return count;
}

uint32_t max_faults(const Region &region)
{
	return 2 * region.instructions + kFaultsPerString * count_strings(region);
}

uint32_t max_labels(const Region &region)
{
	return uint32_t(max_exits(region) + kLabelsPerBlock * region.blocks.size() + 2 * region.targets.size() +
			region.instructions + kLabelsPerString * count_strings(region));
}

constexpr uint8_t kNotZero = 5;	/* the condition of jnz */

} // namespace

Emitter::Emitter(const Region &region, Plan &plan, const Layout &layout, const sfi::Contract &contract,
		 KernelAddr address, uint32_t capacity, Arena &arena)
	: region_(region), plan_(plan), layout_(layout), contract_(contract), arena_(arena),
	  as_(arena, address, capacity, max_labels(region)), labels_(arena.make<Label>(region.blocks.size())),
	  arrivals_(arena.make<Arrival>(region.blocks.size())),
	  exit_index_(arena, max_exits(region)), exits_(arena, max_exits(region)), stubs_(arena, max_exits(region)),
	  faults_(arena, max_faults(region))
{
}

uint32_t Emitter::exit(Reason reason, UserAddr ip, UserAddr from, UserAddr to, uint32_t variant)
{
	/* What can be learned is told apart by the calls it is within. */
	const bool learnable = reason == Reason::kCold || reason == Reason::kTarget || reason == Reason::kBudget;
	const uint32_t tag = (learnable ? context_ * kExitKinds : 0) + uint32_t(reason) * 2 + variant;
	const uint32_t known = exit_index_.find(tag, from);

	if (known != AddressMap::kMissing)
		return known;
	Exit exit;
	exit.ip = ip;
	exit.from = from;
	exit.to = to;
	exit.calls = region_.contexts[context_].calls;
	exit.reason = reason;
	const uint32_t number = uint32_t(exits_.size());
	if (!exits_.push_back(exit) || !stubs_.push_back(as_.label()) || !exit_index_.put(tag, from, number)) {
		failed_ = true;
		return 0;
	}
	return number;
}

void Emitter::leave_by(uint32_t exit)
{
	const Label stub = stubs_[exit];

	if (as_.bound(stub)) {
		as_.jmp(stub);
		return;
	}
	as_.bind(stub);
	as_.exit_stub(exit);
}

void Emitter::may_fault(const Insn &insn)
{
	if (!faults_.push_back({as_.here(), exit(Reason::kFault, insn.address)}))
		failed_ = true;
}

void Emitter::finish_stubs()
{
	for (uint32_t i = 0; i < stubs_.size(); i++) {
		if (!as_.bound(stubs_[i]))
			leave_by(i);
	}
}

/* Linking has moved what lies behind branches. */
void Emitter::find_places()
{
	uint32_t fault_move = 0, step_move = 0;

	for (sfi::FaultEntry &entry : faults_)
		entry = {as_.moved(entry.instruction, fault_move), as_.place_of(stubs_[entry.stub])};
	for (uint32_t b : layout_.order) {
		for (uint32_t i = 0; i < region_.blocks[b].count; i++) {
			Step &step = plan_.of(b, i);
			if (!step.bytes)
				continue;
			const uint32_t end = step.offset + step.bytes;
			step.offset = as_.moved(step.offset, step_move);
			step.bytes = as_.moved(end, step_move) - step.offset;
		}
	}
}

/* The two forms that the verifier knows (sfi/instruction.cc: match_poll). */
void Emitter::poll(UserAddr ip, bool flags_live)
{
	const Label out = stubs_[exit(Reason::kPoll, ip)];

	forget_r9();
	/* mov r9, [rsp + WORK] */
	as_.load(kScratch, kFrame, UB_FRAME_WORK);
	if (!flags_live) {
		/* test dword ptr [r9], poll_mask; jnz out */
		as_.test_imm32(kScratch, 0, contract_.poll_mask);
		as_.jcc_near(kNotZero, out);
		return;
	}
	/* mov r9d, [r9]; mov [rsp + SPILL0], rcx; mov ecx, poll_mask; pext ecx, r9d, ecx; jrcxz 1f;
	 * mov rcx, [rsp + SPILL0]; jmp out; 1: mov rcx, [rsp + SPILL0] */
	const Label on = as_.label();
	as_.load32(kScratch, kScratch, 0);
	as_.store(kFrame, UB_FRAME_SPILL0, kRcx);
	as_.mov_imm(kRcx, contract_.poll_mask);
	as_.pext32(kRcx, kScratch, kRcx);
	as_.jrcxz(on);
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	as_.jmp_near(out);
	as_.bind(on);
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
}

/* The block just written leads to `at`. */
void Emitter::arrive(uint32_t at)
{
	Arrival &arrival = arrivals_[at];

	if (!arrival.edges++)
		arrival.copy = copy_;
	else if (arrival.copy != copy_)
		arrival.copy = Copy();
}

void Emitter::block(uint32_t index)
{
	const Block &block = region_.blocks[index];
	const Layout::Place &place = layout_.places[index];
	const std::span<const Insn> insns = region_.of(block);

	context_ = block.context;
	copy_ = arrivals_[index].edges == place.predecessors ? arrivals_[index].copy : Copy();
	if (!place.joined)
		stack_ = {sfi::Value::kUser, true, -kStackWindow / 2, kStackWindow / 2};
	as_.bind(labels_[index]);
	if (place.polls)
		poll(block.start, block.live_in);

	const bool ends_in_branch = block.end >= End::kJump;
	for (uint32_t i = 0; i < insns.size();) {
		Step &s = plan_.of(index, i);
		size_t count = 1;
		s.offset = as_.here();
		if (ends_in_branch && i + 1 == insns.size()) {
			keep_stack(insns[i].address, kStackWindow / 2, s.flags_dead_before);
			control(block, insns[i], s);
		} else if (pushes_plainly(insns[i])) {
			count = push_run(insns.subspan(i));
		} else {
			step(insns[i], s);
		}
		s.bytes = as_.here() - s.offset;
		i += uint32_t(count);
	}
	if (!ends_in_branch) {
		keep_stack(block.next.address, kStackWindow / 2, !flags_live_out(region_, block));
		fall_through(block, insns.empty() ? nullptr : &insns.back());
	}
	for_each_successor(region_, block, [&](uint32_t s) { arrive(s); });
}

Result<Emission> Emitter::run()
{
	if (arena_.exhausted())
		return Fault::kNoMemory;
	for (uint32_t b = 0; b < region_.blocks.size(); b++)
		labels_[b] = as_.label();

	as_.endbr64();
	for (uint32_t i = 0; i < layout_.order.size(); i++) {
		after_ = layout_.after(i);
		block(layout_.order[i]);
	}
	finish_stubs();
	as_.link(contract_.leave);
	find_places();
	if (as_.overflow() || failed_ || exits_.size() > sfi::kMaxExits)
		return Fault::kTooBig;

	Emission emission;
	emission.image = {as_.base(), as_.bytes(), faults_.span(), exits_.span()};
	emission.order = layout_.order.span();
	return emission;
}

Result<Emission> emit(const Region &region, Plan &plan, KernelAddr address, uint32_t capacity,
		      const sfi::Contract &contract, Arena &arena)
{
	const Layout layout = TRY(lay_out(region, arena));
	return Emitter(region, plan, layout, contract, address, capacity, arena).run();
}

} // namespace ub::translator
