// SPDX-License-Identifier: GPL-2.0
/*
 * discover → unroll → analyze → sanitize → emit → VERIFY → publish
 *
 * The proof, in four passes over an image. Trusted; knows nothing of how it was made.
 *
 *	decode	every instruction from the first byte to the last, each legal by itself
 *		(read_instruction()); branches lead to instruction starts; the last one is a
 *		jump or an exit stub; no endbr64 but at the start, not even inside others
 *	polls	every backward branch passes a poll: its target is one, or it stands
 *		directly behind one and nothing leads between the two
 *	faults	every instruction that may raise an exception has one fault entry, which
 *		leads to an exit stub
 *	flow	the values of state.h at every instruction, to a fixed point; then every
 *		[reg + d] reaches user memory or holes only, and the kernel's value that
 *		entry and polls leave in r9 is overwritten before it is read
 *
 * For whoever emits images:
 *	- polls and exit stubs have the bytes given in idioms.cc, and are one instruction:
 *	  they have one start, nothing branches into them;
 *	- only exit stubs leave; jcc, polls and fault entries lead to stubs, not to leave;
 *	- branches have no prefix; jecxz, loop, call and ret do not exist;
 *	- frame slots: by integer instructions, within one slot; r9 is written before it is
 *	  read, at entry (it holds the image's address) and after a poll;
 *	- masks: `and r, m` and `pdep r, x, m` (64 bits) with m holding the mask (r10 at entry,
 *	  `mov m, [rsp + UB_FRAME_MASK]`, or its value as an immediate), `btr r, 47`;
 *	  user addresses are also a constant below 2^47 and the result of a 32-bit mov, movzx, lea;
 *	- moves, lea r, [b + d] (64 bits), add, sub, inc, dec keep them, drifting by at most
 *	  kStackDrift; an integer access through any register narrows its drift again (state.h);
 *	- an access is taken to be kWidestAccess wide; through a register whose drift an access
 *	  has narrowed, displacements reach half as far;
 *	- instructions that may raise need entries: any user access, prefetches too, and what
 *	  the rule table says; entries elsewhere do no harm;
 *	- code that nothing leads to is checked as if everything in registers were unknown.
 */
#include "sfi/verify.h"

#include "sfi/instruction.h"
#include "sfi/rules.h"
#include "sfi/state.h"

namespace ub::sfi {

namespace {

constexpr uint32_t kNowhere = ~0u;

/* Passes after which windows that still grow in loops are widened, and all is given up. */
constexpr int kWidenAfter = 4;
constexpr int kMaxPasses = 64;

/* A straight run of instructions, up to the next block's or to a jump or an exit. */
struct Block {
	uint32_t first;			/* index of its first instruction */
	bool changed = false;		/* less is known than when it was walked last */
	State before = {};		/* what holds before its first instruction */
};

/* f3 0f 1e fa or fb: endbr64, endbr32 */
bool is_landing_pad(const uint8_t *bytes)
{
	return bytes[0] == 0xf3 && bytes[1] == 0x0f && bytes[2] == 0x1e && (bytes[3] & 0xfe) == 0xfa;
}

bool in_landing_pad(uint8_t byte)
{
	return byte == 0xf3 || byte == 0x0f || byte == 0x1e || (byte & 0xfe) == 0xfa;
}

/* Where a walk brings the values it ends with. */
enum class Spread : uint8_t {
	kNowhere,
	kOn,
	kWidened,	/* on, and backward without what still grows */
};

bool ends_path(const Instruction &instruction)
{
	return instruction.flow == Flow::kJump || instruction.flow == Flow::kExit;
}

class Verifier {
public:
	Verifier(const Image &image, const Contract &contract, Arena &arena, Refusal &refusal)
		: image_(image), contract_(contract), arena_(arena), refusal_(refusal) {}

	Result<> run();
	bool uses_fpu() const { return uses_fpu_; }

private:
	Fault refuse(uint32_t offset, const char *why)
	{
		refusal_ = {offset, why};
		return Fault::kRejected;
	}

	uint32_t size() const { return uint32_t(image_.bytes.size()); }
	/* The instruction that starts at an offset, or kNowhere. */
	uint32_t index_of(uint32_t offset) const
	{
		const uint32_t index = offset < size() ? starts_[offset] : kNowhere;
		return index < code_.size() && code_[index].offset == offset ? index : kNowhere;
	}
	bool is_stub(uint32_t index) const { return index != kNowhere && code_[index].flow == Flow::kExit; }

	Result<> check_bounds();
	Result<> decode();
	Result<> read_all(InstructionReader &reader);
	Result<> link();
	Result<> check_polls();
	Result<> check_faults();
	Result<> check_values(const State &now, const Instruction &instruction);
	void bring(const State &now, uint32_t index, bool widen);
	Result<> walk(const Block &block, Spread spread);
	Result<> check_flow();

	const Image &image_;
	const Contract &contract_;
	Arena &arena_;
	Refusal &refusal_;
	bool uses_fpu_ = false;
	Table<Instruction> code_;
	/* By offset the index of the instruction that says it starts there; else anything. */
	uint32_t *starts_ = nullptr;
	Table<Block> blocks_;		/* in the order of addresses */
};

Result<> Verifier::check_bounds()
{
	if (image_.bytes.empty() || image_.bytes.size() > kImageMaxBytes)
		return refuse(0, "the image is empty or too long");
	if (image_.exits.size() > kMaxExits)
		return refuse(0, "too many exits");
	for (const Exit &exit : image_.exits)
		if (!exit.ip.in_user_half())
			return refuse(0, "an exit to an address outside the user half");

	/* A landing pad inside another instruction would be a target for indirect branches.
	 * Every fourth byte is one of its four if it is there. */
	const std::span<const uint8_t> bytes = image_.bytes;
	for (uint32_t at = 4; at < bytes.size(); at += 4)
		if (in_landing_pad(bytes[at]))
			for (uint32_t start = at - 3; start <= at && start + 4 <= bytes.size(); start++)
				if (is_landing_pad(&bytes[start]))
					return refuse(start, "the bytes of an endbr after the start");
	return Nothing{};
}

Result<> Verifier::decode()
{
	InstructionReader *reader = start_reading(image_, contract_, arena_);
	code_ = Table<Instruction>(arena_, size());
	starts_ = arena_.raw<uint32_t>(size());
	if (arena_.exhausted())
		return Fault::kNoMemory;
	if (!reader)
		return refuse(0, "there is no decoder");

	borrow_forms(*reader);
	const Result<> read = read_all(*reader);
	give_back_forms(*reader);
	TRY(read);
	if (!ends_path(code_.back()))
		return refuse(code_.back().offset, "control runs past the end");
	return Nothing{};
}

/* Every instruction from the first byte to the last. */
Result<> Verifier::read_all(InstructionReader &reader)
{
	for (uint32_t offset = 0; offset < size(); offset += code_.back().length) {
		Instruction &instruction = *code_.add();

		if (const char *why = read_instruction(reader, offset, instruction))
			return refuse(offset, why);
		starts_[offset] = uint32_t(code_.size() - 1);
		uses_fpu_ |= instruction.vector;
	}
	return Nothing{};
}

/* Branch targets exist. What they lead to begins a block, and so does what no path falls
 * into; exit stubs do not, as they look at no register. */
Result<> Verifier::link()
{
	uint32_t count = 0;
	bool falls_in = false;

	for (const Instruction &instruction : code_) {
		if (instruction.flow == Flow::kNext || instruction.flow == Flow::kExit)
			continue;
		const uint32_t index = index_of(instruction.target);
		if (index == kNowhere)
			return refuse(instruction.offset, "a branch to what is not the start of an instruction");
		if (instruction.flow == Flow::kPoll && !is_stub(index))
			return refuse(instruction.offset, "a poll that does not lead to an exit stub");
		code_[index].block = !is_stub(index);
	}
	for (Instruction &instruction : code_) {
		if (!falls_in && instruction.flow != Flow::kExit)
			instruction.block = 1;
		if (instruction.block)
			instruction.block = ++count;
		falls_in = !ends_path(instruction);
	}

	blocks_ = Table<Block>(arena_, count);
	if (arena_.exhausted())
		return Fault::kNoMemory;
	for (uint32_t i = 0; i < code_.size(); i++) {
		if (!code_[i].block)
			continue;
		Block &block = *blocks_.add();
		block.first = i;
		block.changed = false;
		block.before = State();
	}
	return Nothing{};
}

Result<> Verifier::check_polls()
{
	for (uint32_t i = 0; i < code_.size(); i++) {
		const Instruction &branch = code_[i];
		if (branch.flow != Flow::kBranch && branch.flow != Flow::kJump)
			continue;
		if (branch.target > branch.offset)
			continue;
		const Instruction &target = code_[index_of(branch.target)];
		if (target.flow == Flow::kPoll || target.flow == Flow::kExit)
			continue;
		if (i == 0 || code_[i - 1].flow != Flow::kPoll || branch.block)
			return refuse(branch.offset, "a backward branch without a poll");
	}
	return Nothing{};
}

Result<> Verifier::check_faults()
{
	size_t next = 0;

	for (const Instruction &instruction : code_) {
		bool covered = false;

		if (next < image_.faults.size() && image_.faults[next].instruction < instruction.offset)
			return refuse(image_.faults[next].instruction, "a fault entry that is out of order or not at an instruction");
		if (next < image_.faults.size() && image_.faults[next].instruction == instruction.offset) {
			if (!is_stub(index_of(image_.faults[next].stub)))
				return refuse(instruction.offset, "a fault entry that does not lead to an exit stub");
			covered = true;
			next++;
		}
		if (instruction.may_fault && !covered)
			return refuse(instruction.offset, "an instruction that may fault without a fault entry");
	}
	if (next != image_.faults.size())
		return refuse(image_.faults[next].instruction, "a fault entry that is out of order or not at an instruction");
	return Nothing{};
}

/* What an instruction asks of the registers. */
Result<> Verifier::check_values(const State &now, const Instruction &instruction)
{
	/* Only r9 can hold it: entry and polls leave it there, and a move would read it. */
	if ((instruction.reads & (1u << kR9)) && now.r[kR9].kind == Value::kKernel)
		return refuse(instruction.offset, "the kernel's value that entry or a poll left in r9 is read");
	if (instruction.base != kNoRegister && !now.r[instruction.base].reaches_user_only(instruction.displacement))
		return refuse(instruction.offset, "an access through a register that is not proven to hold a user address");
	return Nothing{};
}

/* Control may come to an instruction that begins a block, or to a stub, with these values. */
void Verifier::bring(const State &now, uint32_t index, bool widen)
{
	if (!code_[index].block)
		return;
	Block &block = blocks_[code_[index].block - 1];
	block.changed |= block.before.join(now, widen);
}

/*
 * From a block's start to where control leaves it or the next one begins: every
 * instruction may do what it does, and what it leaves behind is brought to where control
 * goes on. Every cycle has a backward branch, so widening there alone ends all growth.
 */
Result<> Verifier::walk(const Block &block, Spread spread)
{
	State now = block.before;

	for (uint32_t i = block.first;; i++) {
		const Instruction &instruction = code_[i];

		TRY(check_values(now, instruction));
		now.step(instruction);
		if (spread != Spread::kNowhere &&
		    (instruction.flow == Flow::kBranch || instruction.flow == Flow::kJump))
			bring(now, index_of(instruction.target),
			      spread == Spread::kWidened && instruction.target <= instruction.offset);
		if (ends_path(instruction))
			return Nothing{};
		if (code_[i + 1].block) {
			if (spread != Spread::kNowhere)
				bring(now, i + 1, false);
			return Nothing{};
		}
	}
}

/*
 * To a fixed point: a block is walked again when less became known before it, so its
 * last walk is the one that holds on every path; what an earlier walk refuses, the last
 * would refuse too. Nothing is known in blocks that no path leads to.
 */
Result<> Verifier::check_flow()
{
	blocks_[0].changed = blocks_[0].before.join(State::entry(), false);
	bool again = true;

	for (int pass = 0; again; pass++) {
		if (pass == kMaxPasses)
			return refuse(0, "the values in registers do not become stable");
		again = false;
		for (Block &block : blocks_) {
			if (!block.changed)
				continue;
			block.changed = false;
			again = true;
			TRY(walk(block, pass < kWidenAfter ? Spread::kOn : Spread::kWidened));
		}
	}
	for (const Block &block : blocks_)
		if (!block.before.reached)
			TRY(walk(block, Spread::kNowhere));
	return Nothing{};
}

Result<> Verifier::run()
{
	TRY(check_bounds());
	TRY(decode());
	TRY(link());
	TRY(check_polls());
	TRY(check_faults());
	TRY(check_flow());
	return Nothing{};
}

} // namespace

Result<VerifiedImage> verify(const Image &image, const Contract &contract, Arena &arena, Refusal *refusal)
{
	Refusal ignored;
	Verifier verifier(image, contract, arena, refusal ? *refusal : ignored);

	TRY(verifier.run());
	return VerifiedImage(image, verifier.uses_fpu());
}

} // namespace ub::sfi
