/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text of the dump, without a C library: hex bytes of the guest's instruction and of
 * what was emitted for it, the decision between them.
 *
 *	block 3 context 1 at 00007ffff7e3a210
 *	00007ffff7e3a213  48 8b 07 | guarded sum | 49 89 f9 4d 21 d1 49 8b 01
 */
#include "translator/dump.h"

namespace ub::translator {

namespace {

class Line {
public:
	Line &text(const char *s)
	{
		while (*s)
			put(*s++);
		return *this;
	}
	Line &hex(uint64_t value, int digits)
	{
		while (digits-- > 0)
			put("0123456789abcdef"[value >> 4 * digits & 0xf]);
		return *this;
	}
	Line &number(uint64_t value)
	{
		char digits[20];
		int n = 0;
		do {
			digits[n++] = char('0' + value % 10);
			value /= 10;
		} while (value);
		while (n-- > 0)
			put(digits[n]);
		return *this;
	}
	Line &bytes(const uint8_t *bytes, size_t count)
	{
		for (size_t i = 0; i < count; i++) {
			if (i)
				put(' ');
			hex(bytes[i], 2);
		}
		return *this;
	}
	/* Spaces up to a column. */
	Line &column(size_t at)
	{
		while (size_ < at)
			put(' ');
		return *this;
	}
	void to(DumpSink &sink)
	{
		text_[size_] = 0;
		sink.line(text_);
		size_ = 0;
	}

private:
	void put(char c)
	{
		if (size_ + 1 < sizeof(text_))
			text_[size_++] = c;
	}

	char text_[512];
	size_t size_ = 0;
};

const char *name(Form form)
{
	switch (form) {
	case Form::kNothing: return "nothing";
	case Form::kCopy: return "copy";
	case Form::kOperate: return "operate";
	case Form::kHighByte: return "high byte";
	case Form::kInSlot: return "in slot";
	case Form::kLea: return "lea";
	case Form::kStackShift: return "stack shift";
	case Form::kStackWrite: return "stack write";
	case Form::kPush: return "push";
	case Form::kPop: return "pop";
	case Form::kLeave: return "leave";
	case Form::kXlat: return "xlat";
	case Form::kString: return "string";
	case Form::kControl: return "control";
	case Form::kExit: return "exit";
	}
	return "?";
}

const char *name(Guard guard)
{
	switch (guard) {
	case Guard::kNone: return "";
	case Guard::kStack: return " stack";
	case Guard::kSum: return " sum";
	case Guard::kWhole: return " whole";
	case Guard::kConstant: return " constant";
	case Guard::kAbsolute: return " absolute";
	case Guard::kFs: return " fs";
	case Guard::kFsWhole: return " fs whole";
	}
	return "?";
}

const char *name(sfi::ExitReason reason)
{
	switch (reason) {
#define EXIT_REASON(name, key) case sfi::ExitReason::name: return #key;
#include "exit_reasons.inc"
#undef EXIT_REASON
	}
	return "?";
}

void dump_step(const Insn &insn, const Step &step, const sfi::Image &image, DumpSink &sink)
{
	Line line;

	line.hex(insn.address.value, 12).text("  ").bytes(insn.bytes, insn.length).column(48);
	line.text(" | ").text(name(step.how.form)).text(name(step.how.guard));
	if (step.how.guard != Guard::kNone && !step.flags_dead_before)
		line.text(", flags live");
	if (step.how.why)
		line.text(": ").text(step.how.why);
	line.column(78).text(" | ").bytes(image.bytes.data() + step.offset, step.bytes);
	line.to(sink);
}

} // namespace

void dump(const Region &region, const Plan &plan, const Emission &emission, DumpSink &sink)
{
	Line line;

	for (uint32_t b : emission.order) {
		const Block &block = region.blocks[b];
		line.text("block ").number(b).text(" context ").number(block.context);
		line.text(" at ").hex(block.start.value, 12).to(sink);
		for (uint32_t i = 0; i < block.count; i++)
			dump_step(region.of(block)[i], plan.of(b, i), emission.image, sink);
	}
	for (size_t i = 0; i < emission.image.exits.size(); i++) {
		const sfi::Exit &exit = emission.image.exits[i];
		line.text("exit ").number(i).text(" ").text(name(exit.reason)).text(" at ").hex(exit.ip.value, 12);
		if (exit.from != exit.ip)
			line.text(" from ").hex(exit.from.value, 12);
		if (exit.to.value)
			line.text(" to ").hex(exit.to.value, 12);
		line.to(sink);
	}
}

} // namespace ub::translator
