// SPDX-License-Identifier: GPL-2.0
/*
 * docs/coverage.md: what becomes of every instruction, as a table made of the rule table, the forms of instructions.py
 * and the translator's own decisions, on a machine that has everything. The test fails when the file is stale;
 * UB_BLESS=1 writes it anew.
 */
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include <Zydis/Zydis.h>

#include "host.h"
#include "instance.h"
#include "sfi/rules.h"
#include "translator/sanitize.h"

namespace host {
namespace {

using ub::translator::Form;
using ub::translator::Guard;
using ub::translator::Insn;

constexpr const char kPath[] = UB_SOURCE_ROOT "/docs/coverage.md";

constexpr const char kIntroduction[] =
	"<!-- SPDX-License-Identifier: GPL-2.0 -->\n"
	"# Coverage: what becomes of each instruction\n"
	"\n"
	"Made by `UB_BLESS=1 build/host/ub_tests --gtest_filter='Coverage.*'` from the rule table\n"
	"([rules.inc](../src/sfi/rules.inc)), the operand forms that the assembler knows for its rows, and the\n"
	"translator's decisions. Every form below runs beside the CPU in `make differential`.\n"
	"\n"
	"- *copied*: byte for byte.\n"
	"- *guarded*: re-encoded with a masked address ([tour](tour.md)).\n"
	"- *rewritten*: replaced by other instructions.\n"
	"- *dropped*: has no effect that a program could see.\n"
	"- *exit*: the thread goes back to user mode in front of it, where the CPU executes it. Always right, never fast.\n"
	"\n"
	"A form that names `rsp`, `r9`, `r10` or `r11` is re-encoded too: other registers hold the user's values\n"
	"([frame.h](../src/sfi/frame.h)). Operands: `r8`–`r64` registers, `m8`–`m512` memory, `i` an immediate, `x` `y` `z`\n"
	"vectors, `k` a mask register, `b` one element of memory, broadcast; `{k}` under a mask, `{z}` with zeroing, `{er}`\n"
	"with rounding or exceptions off. A slash separates what may stand in one place.\n";

/* Transfers of control, which no instance is. */
struct Transfer {
	const char *name, *form;
	uint8_t bytes[5];
};
constexpr Transfer kTransfers[] = {
	{"call", "rel32", {0xe8, 0, 0, 0, 0}}, {"call", "r64", {0xff, 0xd0}},	   {"call", "m64", {0xff, 0x10}},
	{"ret", "", {0xc3}},		       {"ret", "i16", {0xc2, 8, 0}},	   {"jmp", "r64", {0xff, 0xe0}},
	{"jmp", "m64", {0xff, 0x20}},	       {"syscall", "", {0x0f, 0x05}},
};

/* What may stand in each place of a form, by its number of operands. */
struct Forms {
	std::map<size_t, std::vector<std::map<size_t, std::string>>> places;
	std::set<std::string> extras;
	bool plain = false;
};

struct Row {
	Forms forms;
	std::set<std::string> decisions;
	std::map<std::string, std::string> exits;	/* why → one form */
};

std::string replaced(std::string text, const std::string &what, const std::string &by)
{
	for (size_t at; (at = text.find(what)) != std::string::npos;)
		text.replace(at, what.size(), by);
	return text;
}

/* What stands in one place of a form: the kind of operand, or the operand itself. */
std::string operand_name(std::string text)
{
	text = replaced(text, " ", "");
	if (text[0] == '{')
		text = text.substr(1, text.find('}') - 1);
	if (text[0] == 'b' && text.size() == 2)
		return "b";
	if ((text[0] == 'i' && isdigit(text[1])) || isdigit(text[0]) || text[0] == '-')
		return "i";
	if (text == "a" || text[0] == '[')
		return "address";
	if (text.starts_with("qword"))
		return "m64";
	static const std::map<std::string, std::string> kSame = {{"X", "x"}, {"e", "y"}, {"x64", "r64"}, {"s64", "rsp"}, {"esp", "r32"}};
	const auto same = kSame.find(text);
	return same == kSame.end() ? text : same->second;
}

/* The order within a place. */
size_t rank(const std::string &operand)
{
	static constexpr const char *kOrder[] = {"r8", "r16", "r32", "r64", "rsp", "x", "y", "z", "k", "m8", "m16", "m32", "m64",
						 "m128", "m256", "m512", "b", "address", "rel", "cl", "i"};
	const auto at = std::find(std::begin(kOrder), std::end(kOrder), operand);
	return size_t(at - std::begin(kOrder));
}

/* "{x}{{k}}{z}, {b4}{1to4}, {i7}" → places x, b, i; extras {k}, {z} */
void take_form(std::string form, Forms &forms)
{
	if (form.find("{{k}}{z}") != std::string::npos)
		forms.extras.insert("{z}"), form = replaced(form, "{{k}}{z}", "{{k}}");
	if (form.find("{{k}}") != std::string::npos)
		forms.extras.insert("{k}"), form = replaced(form, "{{k}}", "");
	if (const size_t at = form.find("sae}"); at != std::string::npos)
		forms.extras.insert("{er}"), form.resize(form.rfind(',', at));
	if (form.find(';') != std::string::npos)
		form = "rel";
	std::vector<std::string> operands;
	std::istringstream stream(form);
	for (std::string operand; std::getline(stream, operand, ',');)
		operands.push_back(operand_name(operand));
	if (operands.empty()) {
		forms.plain = true;
		return;
	}
	auto &places = forms.places[operands.size()];
	places.resize(operands.size());
	for (size_t i = 0; i < operands.size(); i++)
		places[i].insert({rank(operands[i]), operands[i]});
}

std::string text_of(const Forms &forms)
{
	std::string text = forms.plain ? "–" : "";

	for (const auto &[count, places] : forms.places) {
		text += text.empty() ? "" : "; ";
		for (size_t i = 0; i < places.size(); i++) {
			text += i ? ", " : "";
			for (const auto &[rank, operand] : places[i])
				text += (rank == places[i].begin()->first ? "" : "/") + operand;
		}
	}
	for (const std::string &extra : forms.extras)
		text += " " + extra;
	return text;
}

const char *name_of(Form form, Guard guard)
{
	switch (form) {
	case Form::kNothing: return "dropped";
	case Form::kCopy: return "copied";
	case Form::kOperate: return guard == Guard::kNone ? "copied" : "guarded";
	case Form::kInSlot: return "copied";
	case Form::kExit: return "exit";
	case Form::kLea: return "copied";
	case Form::kHighByte: return "guarded";
	default: return "rewritten";
	}
}

class Coverage {
public:
	Coverage() : memory_(new char[1 << 20]), arena_(memory_.get(), 1 << 20), decoder_(arena_)
	{
		contract_.avx = contract_.avx512 = true;
	}

	std::string text()
	{
		for (const Instance &instance : instances()) {
			const char *form = strchr(instance.form, ' ');
			add(instance.bytes(), instance.form, form ? form + 1 : "");
		}
		for (const Transfer &transfer : kTransfers)
			add(transfer.bytes, std::string(transfer.name) + " " + transfer.form, transfer.form);
		return kIntroduction + allowed() + refused();
	}

private:
	/* `full` is mnemonic and form, with the prefixes before them. */
	void add(std::span<const uint8_t> bytes, const std::string &full, std::string form)
	{
		Insn insn;
		uint8_t window[16] = {};

		memcpy(window, bytes.data(), std::min(bytes.size(), sizeof(window)));
		if (!decoder_.decode(ub::UserAddr(0x10000000), window, 15, insn))
			return;
		for (const char *prefix : {"lock ", "rep ", "repe ", "repne "})
			if (full.starts_with(prefix)) {
				const size_t second = full.find(' ', strlen(prefix));
				form = second == std::string::npos ? "" : full.substr(second + 1);
			}
		const ub::translator::Lowering how = lower(insn, contract_);
		Row &row = rows_[insn.mnemonic];
		if (how.form == Form::kExit) {
			row.exits.emplace(how.why, full);
			return;
		}
		take_form(form, row.forms);
		row.decisions.insert(name_of(how.form, how.guard));
		if (full.starts_with("lock "))
			row.forms.extras.insert("lock");
		if (full.starts_with("rep"))
			row.forms.extras.insert("rep");
	}

	/* Rows that read alike are one, in the order of the first. */
	std::string allowed() const
	{
		std::vector<std::pair<std::string, std::string>> lines;	/* what is said, of whom */
		std::string text = "\n## Translated\n\n| instructions | forms | in an image | exit, and why |\n|---|---|---|---|\n";

		for (const auto &[mnemonic, row] : rows_) {
			if (row.decisions.empty())
				continue;
			std::string said = "| " + replaced(text_of(row.forms), "|", "/") + " | ";
			for (const std::string &decision : row.decisions)
				said += (said.ends_with("| ") ? "" : ", ") + decision;
			said += " | ";
			for (const auto &[why, form] : row.exits)
				said += (said.ends_with("| ") ? "" : "; ") + why;
			const auto known = std::find_if(lines.begin(), lines.end(), [&](auto &line) { return line.first == said; });
			const std::string name = ZydisMnemonicGetString(ZydisMnemonic(mnemonic));
			if (known == lines.end())
				lines.emplace_back(said, name);
			else
				known->second += " " + name;
		}
		for (const auto &[said, names] : lines)
			text += "| " + names + " " + said + " |\n";
		return text;
	}

	/* The other rows by reason: what lower() says of an instance, else the table's own. */
	std::string refused() const
	{
		std::map<std::string, std::string> by_reason;
		std::string text = "\n## Always an exit\n\nSo is every instruction without a row.\n\n| why | instructions |\n|---|---|\n";

		for (int m = ZYDIS_MNEMONIC_INVALID + 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
			const ub::sfi::Rule &rule = ub::sfi::rule(uint16_t(m));
			const auto row = rows_.find(uint16_t(m));
			if (!ub::sfi::why(rule) || rule.reason == ub::sfi::Reason::kUnlisted)
				continue;
			if (row != rows_.end() && !row->second.decisions.empty())
				continue;
			by_reason[ub::sfi::why(rule)] += std::string(" ") + ZydisMnemonicGetString(ZydisMnemonic(m));
		}
		for (const auto &[why, names] : by_reason)
			text += "| " + why + " |" + names + " |\n";
		return text;
	}

	std::unique_ptr<char[]> memory_;
	ub::Arena arena_;
	ub::translator::Decoder decoder_;
	ub::sfi::Contract contract_;
	std::map<uint16_t, Row> rows_;
};

} // namespace

TEST(Coverage, document_is_up_to_date)
{
	const std::string now = Coverage().text();

	if (getenv("UB_BLESS")) {
		std::ofstream(kPath) << now;
		return;
	}
	std::ifstream file(kPath);
	std::stringstream text;
	text << file.rdbuf();
	EXPECT_EQ(text.str(), now) << "docs/coverage.md is stale: UB_BLESS=1 writes it anew";
}

} // namespace host
