// SPDX-License-Identifier: GPL-2.0
/* The generator of random guest programs: see program.h. */
#include "program.h"

#include <array>

#include "instance.h"

namespace host {
namespace {

/* Locals of each function, for instances that name [rsp + …]. */
constexpr int32_t kLocals = 0x900;
constexpr unsigned int kFunctions = 5;
/* Code bytes; rip-relative instances reach the guest's data from there. */
constexpr size_t kMaxBytes = 0x3000;

/* CPUs leave undefined flags as they were before, or not; a program that reads them may
 * tell a translation from the original. */
bool leaves_flags_undefined(const Instance &instance)
{
	for (const char *name : {"div ", "mul ", "bt ", "bts ", "btr ", "btc ", "bsf ", "bsr ", "shld ", "shrd "})
		if (strstr(instance.text, name))
			return true;
	return false;
}

/* A program is worth little when its first statement leaves the image for good. */
bool mostly_exits(const Instance &instance)
{
	for (const char *name : {"pushf", "enter", "gather", "scatter", "ldmxcsr", "std"})
		if (strstr(instance.text, name))
			return true;
	return false;
}

class Generator {
public:
	Generator(const Guest &guest, Random &random, const std::function<bool(const Instance &)> &wanted)
		: guest_(guest), random_(random), wanted_(wanted), code_(guest.code()), counters_(guest.data() + 0x7800) {}

	Code make()
	{
		for (Code::Label &function : functions_)
			function = code_.label();

		code_.move_stack(-kLocals);
		block(0, 3);
		code_.move_stack(kLocals);
		code_.syscall();
		for (unsigned int i = 0; i < kFunctions; i++) {
			code_.bind(functions_[i]);
			code_.move_stack(-kLocals);
			block(i + 1, 2);
			code_.move_stack(kLocals);
			code_.ret();
		}
		for (const auto &table : tables_) {
			code_.bind(table.at);
			for (const Code::Label &to : table.targets)
				if (table.relative)
					code_.distance(to, table.at);
				else
					code_.pointer(to);
		}
		code_.finish();
		return std::move(code_);
	}

private:
	struct Table {
		Code::Label at;
		std::vector<Code::Label> targets;
		bool relative;
	};

	/* A few statements; calls reach functions from `first` on, so there is no cycle. */
	void block(unsigned int first, unsigned int depth)
	{
		for (uint64_t count = 1 + random_.below(4); count; count--)
			statement(first, depth);
	}

	void statement(unsigned int first, unsigned int depth)
	{
		straight();
		if (!depth || code_.size() > kMaxBytes)
			return;
		switch (random_.below(10)) {
		case 0: case 1: return either(first, depth - 1);
		case 2: return loop(first, depth - 1);
		case 3: case 4: return call(first);
		case 5: return switch_over(first, depth - 1);
		case 6: return stack();
		case 7: return early_end();
		case 8: return first ? call(first) : return_without_call();
		case 9: return recursion();
		}
	}

	void straight()
	{
		const auto all = instances();

		for (uint64_t count = 1 + random_.below(5); count;) {
			/* Mostly of the common forms, which come first. */
			const Instance &instance = all[random_.below(random_.chance(4) ? all.size() : common_)];
			if (instance.kinds & kStack || strstr(instance.text, "push") || strstr(instance.text, "pop ") ||
			    strstr(instance.text, " rsp,") ||
			    strstr(instance.text, "ud2") || strstr(instance.text, "hlt") || strstr(instance.text, "cr0") ||
			    strstr(instance.text, "cli") || strstr(instance.text, "clts") || strstr(instance.text, "wbinvd") ||
			    strstr(instance.text, "in al"))
				continue;
			if (!fits(instance, guest_) || !is_known_here(instance) || instance.kinds & kVaries ||
			    (wanted_ && !wanted_(instance)))
				continue;
			if ((instance.kinds & kDivides || mostly_exits(instance)) && !random_.chance(16))
				continue;
			for (unsigned int i = 0; i < 16; i++) {
				if (instance.pointers >> i & 1)
					code_.mov(Register(i), guest_.data() + 0x2000 + 64 * random_.below(0xc0));
				else if (instance.indexes >> i & 1)
					code_.zero_extend_byte(Register(i));
			}
			if (instance.kinds & kCounts)
				code_.mov(RCX, random_.below(40));
			code_.raw(instance.bytes());
			if (leaves_flags_undefined(instance))
				code_.raw({0x85, 0xc0});	/* test eax, eax */
			count--;
		}
	}

	void either(unsigned int first, unsigned int depth)
	{
		const auto otherwise = code_.label(), end = code_.label();

		code_.jcc(unsigned(random_.below(16)), otherwise);
		block(first, depth);
		if (random_.chance(2)) {
			code_.jmp(end);
			code_.bind(otherwise);
			block(first, depth);
		} else {
			code_.bind(otherwise);
		}
		code_.bind(end);
	}

	void loop(unsigned int first, unsigned int depth)
	{
		const auto head = code_.label();
		const uint64_t counter = counters_ += 4;

		code_.store_word(counter, uint32_t(1 + random_.below(5)));
		code_.bind(head);
		block(first, depth);
		code_.decrement_word(counter);
		code_.jcc(5, head);	/* jnz */
	}

	void call(unsigned int first)
	{
		if (first >= kFunctions)
			return;
		const Code::Label callee = functions_[first + random_.below(kFunctions - first)];
		const auto pointer = code_.label();

		switch (random_.below(4)) {
		case 0:
		case 1:
			code_.call(callee);
			break;
		case 2:
			code_.lea(RAX, callee);
			code_.call_reg(RAX);
			break;
		case 3:
			tables_.push_back({pointer, {callee}, false});
			code_.call_through(pointer);
			break;
		}
	}

	/* What compilers make of a switch, relative and absolute. */
	void switch_over(unsigned int first, unsigned int depth)
	{
		Table table{code_.label(), {}, random_.chance(2)};
		const auto end = code_.label();

		for (int i = 0; i < 4; i++)
			table.targets.push_back(code_.label());
		code_.raw({0x83, 0xe0, 0x03});				/* and eax, 3 */
		code_.lea(RDX, table.at);
		if (table.relative) {
			code_.raw({0x48, 0x63, 0x04, 0x82});		/* movsxd rax, [rdx + rax * 4] */
			code_.raw({0x48, 0x01, 0xd0});			/* add rax, rdx */
			code_.raw({0x3e, 0xff, 0xe0});			/* notrack jmp rax */
		} else {
			code_.raw({0xff, 0x24, 0xc2});			/* jmp [rdx + rax * 8] */
		}
		for (const Code::Label &target : table.targets) {
			code_.bind(target);
			block(first, depth ? depth - 1 : 0);
			code_.jmp(end);
		}
		code_.bind(end);
		tables_.push_back(table);
	}

	void stack()
	{
		const Register from = any_register(), to = any_register();

		switch (random_.below(3)) {
		case 0:
			code_.push(from);
			code_.pop(to);
			break;
		case 1:
			code_.push(from);
			straight();
			code_.move_stack(8);
			break;
		case 2:
			code_.raw({0x55, 0x48, 0x89, 0xe5});		/* push rbp; mov rbp, rsp */
			code_.raw({0x48, 0x83, 0xec, 0x20});		/* sub rsp, 0x20 */
			code_.raw({0x48, 0x83, 0xe4, 0xf0});		/* and rsp, -16 */
			code_.raw({0x48, 0x89, 0x45, 0xf8});		/* mov [rbp - 8], rax */
			code_.raw({0xc9});				/* leave */
			break;
		}
	}

	void early_end()
	{
		const auto on = code_.label();

		if (!random_.chance(4))
			return;
		code_.jcc(unsigned(random_.below(16)), on);
		code_.syscall();
		code_.bind(on);
	}

	/* A return to a caller from before the gap: the address was pushed, not called. */
	void return_without_call()
	{
		const auto on = code_.label();

		code_.lea(RAX, on);
		code_.push(RAX);
		code_.ret();
		code_.bind(on);
	}

	void recursion()
	{
		const auto self = code_.label(), out = code_.label(), on = code_.label();
		const uint64_t counter = counters_ += 4;

		code_.store_word(counter, uint32_t(1 + random_.below(6)));
		code_.call(self);
		code_.jmp(on);
		code_.bind(self);
		code_.decrement_word(counter);
		code_.jcc(4, out);	/* jz */
		code_.raw({0x48, 0x83, 0xec, 0x08});			/* sub rsp, 8 */
		code_.call(self);
		code_.raw({0x48, 0x83, 0xc4, 0x08});			/* add rsp, 8 */
		code_.bind(out);
		code_.ret();
		code_.bind(on);
	}

	Register any_register()
	{
		for (;;) {
			const auto reg = Register(random_.below(16));
			if (reg != RSP)
				return reg;
		}
	}

	static size_t count_common()
	{
		size_t count = 0;
		for (const Instance &instance : instances())
			count += !(instance.kinds & kRow);
		return count;
	}

	const Guest &guest_;
	Random &random_;
	const std::function<bool(const Instance &)> &wanted_;
	const size_t common_ = count_common();
	Code code_;
	uint64_t counters_;
	std::array<Code::Label, kFunctions> functions_;
	std::vector<Table> tables_;
};

} // namespace

Code random_program(const Guest &guest, Random &random, const std::function<bool(const Instance &)> &wanted)
{
	return Generator(guest, random, wanted).make();
}

} // namespace host
