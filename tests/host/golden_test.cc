// SPDX-License-Identifier: GPL-2.0
/*
 * The translator's golden files, kunit/golden: what is emitted for a few instructions, to
 * be read in diffs. A file holds blocks split by `---`:
 *
 *	# the guest's assembly and what to look at
 *	guest 48 8b 07 0f 05
 *	learned 7f0000001000 7f0000001002	(any number of them)
 *	the dump: guest | decision | emitted, then the exits
 *
 * UB_BLESS=1 writes the dumps anew; the diff is reviewed by people.
 */
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "host.h"
#include "kernel/services.h"
#include "translator/translate.h"

namespace {

constexpr uint64_t kGuest = 0x7f0000001000;
/* Of the image and of `leave`, so that stubs look the same in every run. */
constexpr uint64_t kLeaveAfter = 1 << 20;

struct Block {
	std::vector<std::string> given;	/* comments, guest, learned */
	std::vector<std::string> dump;
};

struct Lines final : ub::translator::DumpSink {
	void line(const char *text) override { lines.push_back(text); }
	std::vector<std::string> lines;
};

bool starts_with(const std::string &line, const char *word)
{
	return line.rfind(word, 0) == 0;
}

std::vector<Block> read_blocks(const std::filesystem::path &path)
{
	std::vector<Block> blocks(1);
	std::ifstream file(path);

	for (std::string line; std::getline(file, line);) {
		Block &block = blocks.back();
		if (line == "---")
			blocks.emplace_back();
		else if (starts_with(line, "#") || starts_with(line, "guest ") || starts_with(line, "learned "))
			block.given.push_back(line);
		else if (!line.empty())
			block.dump.push_back(line);
	}
	return blocks;
}

void write_blocks(const std::filesystem::path &path, const std::vector<Block> &blocks)
{
	std::ofstream file(path);
	const char *separator = "";

	for (const Block &block : blocks) {
		file << separator;
		for (const std::string &line : block.given)
			file << line << '\n';
		for (const std::string &line : block.dump)
			file << line << '\n';
		separator = "---\n";
	}
}

std::vector<std::string> dump_of(const Block &block)
{
	std::vector<unsigned char> code;
	std::vector<ub::Observation> learned;

	for (const std::string &line : block.given) {
		std::istringstream words(line);
		std::string word;
		words >> word >> std::hex;
		uint64_t a, b;
		if (word == "guest")
			while (words >> a)
				code.push_back(static_cast<unsigned char>(a));
		else if (word == "learned" && words >> a >> b)
			learned.push_back({ub::UserAddr(a), ub::UserAddr(b)});
	}

	std::unique_ptr<char[]> memory(new char[ub::translator::kArenaBytes]);
	ub::Arena arena(memory.get(), ub::translator::kArenaBytes);
	const uint64_t at = ubk_code_reserve(ub::sfi::kImageMaxBytes);
	ub::sfi::Contract contract;
	contract.leave = ub::KernelAddr(at + kLeaveAfter);
	contract.poll_mask = 0x2000e;
	contract.avx = contract.avx512 = true;
	ub::translator::Request request;
	request.start = ub::UserAddr(kGuest);
	request.learned = learned;
	ub::sfi::Refusal refusal;
	Lines lines;

	host::add_guest_code(kGuest, code.data(), code.size());
	const auto result = ub::translator::translate(request, {ub::KernelAddr(at), ub::sfi::kImageMaxBytes}, contract,
						      arena, &lines, &refusal);
	host::remove_guest_code(kGuest);
	ubk_code_release(at, ub::sfi::kImageMaxBytes);
	if (!result)
		lines.lines.push_back(std::string("fault ") + key(result.fault()) +
				      (refusal.why ? std::string(": ") + refusal.why : ""));
	/* Columns are padded; lines end without spaces. */
	for (std::string &line : lines.lines)
		line.erase(line.find_last_not_of(' ') + 1);
	return lines.lines;
}

TEST(Golden, translator)
{
	const char *bless = getenv("UB_BLESS");
	unsigned int files = 0;

	for (const auto &entry : std::filesystem::directory_iterator(UB_SOURCE_ROOT "/kunit/golden")) {
		if (entry.path().extension() != ".txt")
			continue;
		files++;
		std::vector<Block> blocks = read_blocks(entry.path());
		for (Block &block : blocks) {
			const std::vector<std::string> now = dump_of(block);
			if (!bless) {
				EXPECT_EQ(now, block.dump) << entry.path() << ": "
							   << (block.given.empty() ? "" : block.given.front());
			}
			block.dump = now;
		}
		if (bless)
			write_blocks(entry.path(), blocks);
	}
	EXPECT_GT(files, 0u);
}

} // namespace
