/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Emitter: the state of emit, shared by its files.
 *
 *	emit.cc			the walk over the layout, exit stubs, fault entries
 *	emit_operand.cc		addresses and their guards
 *	emit_step.cc		data instructions, push, pop, writes to the user's rsp
 *	emit_string.cc		string instructions
 *	emit_control.cc		how blocks end: branches, calls, returns, compare chains
 *
 * Invariants between two guest instructions: r10 holds the mask, r11 the user's rsp
 * within kStackWindow of a masked value, r9 whatever `copy_` says; flags and the
 * other registers are the user's. At an instruction that may fault all user state is
 * as before the guest instruction, so its stub has nothing to repair.
 */
#pragma once

#include "sfi/state.h"
#include "translator/address_map.h"
#include "translator/assembler.h"
#include "translator/emit.h"
#include "translator/layout.h"
#include "translator/rewrite.h"

namespace ub::translator {

class Emitter {
public:
	Emitter(const Region &region, Plan &plan, const Layout &layout, const sfi::Contract &contract,
		KernelAddr address, uint32_t capacity, Arena &arena);
	Result<Emission> run();

private:
	using Exit = sfi::Exit;
	using Reason = sfi::ExitReason;

	/* What r9 holds, if it is worth knowing: masked(base + index * scale) of the user's
	 * registers as they were when that was `moved` less, a constant address, or what is in the slot of
	 * the user's `base`. Of a base without an index a second register may be a copy, too: it is `twin_moved`
	 * ahead. `value` is what the verifier knows of it. */
	struct Copy {
		enum class Of : uint8_t { kNothing, kSum, kConstant, kSlot };
		Of of = Of::kNothing;
		Gpr base = kNoGpr;
		Gpr index = kNoGpr;
		uint8_t scale = 1;
		Gpr twin = kNoGpr;
		int64_t moved = 0;
		int64_t twin_moved = 0;
		uint64_t constant = 0;
		sfi::Value value;

		bool operator==(const Copy &) const = default;
	};

	/* What the edges that lead to a block and are written already agree on. */
	struct Arrival {
		uint32_t edges = 0;
		Copy copy;
	};

	/* emit.cc */
	void block(uint32_t index);
	void poll(UserAddr ip, bool flags_live);
	void arrive(uint32_t at);
	void finish_stubs();
	void find_places();
	/* The number of an exit; two with the same reason, `from` and variant are one, if what can be
	 * learned by them is the same. */
	uint32_t exit(Reason reason, UserAddr ip, UserAddr from, UserAddr to, uint32_t variant);
	uint32_t exit(Reason reason, UserAddr ip) { return exit(reason, ip, ip, UserAddr(0), 0); }
	/* Ends a straight line with an exit: its stub right here, or a jump to it. */
	void leave_by(uint32_t exit);
	/* The next instruction emitted may fault. */
	void may_fault(const Insn &insn);

	/* emit_operand.cc */
	NewMemory operand(const Insn &insn, const Step &step);
	void touched(const Insn &insn, const NewMemory &memory);
	void sum(const MemOperand &m, Gpr to, bool wide, int32_t disp);
	void mask_r9(bool flags_dead);
	void load_operand(const Insn &insn, const Step &step);
	const int64_t *copy_serves(const MemOperand &m) const;
	bool takes_over(const Insn &insn);
	void forget_r9() { copy_ = Copy(); }
	void wrote(const Insn &insn);
	void load_slot(Gpr to, Gpr user) { as_.load(to, kFrame, slot_of(user)); }
	void store_slot(Gpr user, Gpr from);
	bool r9_is(Gpr user) const { return copy_.of == Copy::Of::kSlot && copy_.base == user; }
	/* r9 = the user's register */
	void bring_slot(Gpr user);
	/* Whether a constant of 64 bits is so near the one in r9 that lea is shorter than mov. */
	bool near_r9(uint64_t constant) const;
	/* r9 = the constant */
	void bring_constant(uint64_t constant);
	void reload_mask();
	static int32_t slot_of(Gpr user);

	/* emit_step.cc */
	void step(const Insn &insn, const Step &step);
	void copy(const Insn &insn, const Step &step);
	void operate(const Insn &insn, const Step &step);
	void high_byte(const Insn &insn, const Step &step);
	void in_slot(const Insn &insn);
	void lea(const Insn &insn);
	void lea_constant(const Insn &insn);
	void push(const Insn &insn, const Step &step);
	static bool pushes_plainly(const Insn &insn);
	size_t push_run(std::span<const Insn> insns);
	void pop(const Insn &insn, const Step &step);
	void pop_to_memory(const Insn &insn, const Step &step);
	void xlat(const Insn &insn);
	void leave(const Insn &insn, const Step &step);
	void stack_shift(const Insn &insn, const Step &step);
	void stack_write(const Insn &insn, const Step &step);
	void check_stack(const Insn &insn, bool flags_dead);
	void keep_stack(UserAddr ip, int64_t window, bool flags_dead);
	void move_stack(int32_t by);
	void fill_homes(const Insn &insn, const Step &step);
	void empty_homes(const Insn &insn, const Step &step);
	void put(const Insn &insn, const Rewrite &rewrite);
	static Gpr home_of(const Step &step, Gpr user);

	/* emit_string.cc */
	void string(const Insn &insn, const Step &step);
	void string_element(const Insn &insn);
	void string_loop(const Insn &insn, bool flags_dead);
	void string_difference(const Insn &insn);
	void string_search(const Insn &insn);
	void check_string(const Insn &insn, Label slow);
	void string_steps(const Insn &insn, int32_t step, bool flags_dead, Label done);
	void jrcxz_far(Label far);
	void spread_value(uint8_t bytes);
	void advance(const Insn &insn, int32_t by);
	void mask_pointer(Gpr to, Gpr from);

	/* emit_control.cc */
	void control(const Block &block, const Insn &last, const Step &step);
	void fall_through(const Block &block, const Insn *last);
	void go(uint32_t to);
	uint32_t cold_exit(const Insn &branch, const Successor &to, uint32_t variant);
	void branch(const Block &block, const Insn &insn);
	void counted_branch(const Block &block, const Insn &insn);
	void call(const Block &block, const Insn &insn);
	void push_return_address(const Insn &insn);
	void load_target(const Insn &insn, const Step &step);
	void chain(const Insn &insn, std::span<const Successor> targets);
	void compare(const Successor &target, const Successor *previous, Label hit);
	void hit(const Insn &insn, const Successor &target, bool at_end);
	void miss(const Insn &insn, bool rcx_saved);
	bool falls_into(uint32_t block) const { return block != kNoBlock && block == after_; }

	const Region &region_;
	Plan &plan_;
	const Layout &layout_;
	const sfi::Contract &contract_;
	Arena &arena_;
	Assembler as_;
	Label *labels_;			/* by block */
	Arrival *arrivals_;		/* by block */
	AddressMap exit_index_;		/* (reason and variant, address) → exit */
	Table<Exit> exits_;
	Table<Label> stubs_;		/* by exit: mov r9d, number; jmp leave */
	Table<sfi::FaultEntry> faults_;	/* `stub` is an exit's number until finish_stubs() */
	sfi::Value stack_;		/* what the verifier knows of r11 */
	Copy copy_;
	uint32_t context_ = 0;		/* of the current block */
	uint32_t after_ = kNoBlock;	/* the block laid out behind the current one */
	bool failed_ = false;		/* an instruction could not be encoded */
};

} // namespace ub::translator
