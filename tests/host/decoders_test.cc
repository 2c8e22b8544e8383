// SPDX-License-Identifier: GPL-2.0
/*
 * A second opinion on where instructions start: objdump's. The verifier's decoder is
 * trusted with that, so another one, of other people, reads every accepted image, too.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "image_sample.h"
#include "instance.h"

namespace host {
namespace {

/* Where objdump says that instructions start in these bytes. */
std::vector<uint32_t> objdump(const std::vector<uint8_t> &bytes)
{
	const std::string name = std::filesystem::temp_directory_path() / ("ub-images." + std::to_string(getpid()));
	std::vector<uint32_t> starts;

	std::ofstream(name, std::ios::binary).write(reinterpret_cast<const char *>(bytes.data()), bytes.size());
	const std::string command = "LC_ALL=C objdump -D -w -z --no-show-raw-insn -b binary -m i386:x86-64 " + name;
	if (FILE *output = popen(command.c_str(), "r")) {
		char line[512];
		uint32_t at;
		char colon;
		while (fgets(line, sizeof(line), output))
			if (line[0] == ' ' && sscanf(line, " %" SCNx32 "%c", &at, &colon) == 2 && colon == ':')
				starts.push_back(at);
		pclose(output);
	}
	std::filesystem::remove(name);
	return starts;
}

/* An exit stub and the two polls are one instruction to the verifier: what they hold. */
std::vector<uint32_t> inside(const Start &start)
{
	if (start.exit)
		return {0, 6};
	if (!start.poll)
		return {0};
	if (start.length == 18)
		return {0, 5, 12};
	return {0, 5, 8, 13, 18, 23, 25, 30, 35};
}

TEST(Decoders, agree_on_every_boundary)
{
	const std::vector<KeptImage> images = sample_images(cases(300), ub::sfi::kImageMaxBytes);
	std::vector<uint8_t> all;
	std::vector<uint32_t> ours;

	for (const KeptImage &kept : images) {
		for (const Start &start : verified_starts(kept.image()))
			for (uint32_t offset : inside(start))
				ours.push_back(uint32_t(all.size()) + start.offset + offset);
		all.insert(all.end(), kept.bytes.begin(), kept.bytes.end());
	}
	const std::vector<uint32_t> theirs = objdump(all);
	ASSERT_GT(ours.size(), 1000u);
	const auto [a, b] = std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end());
	if (a != ours.end() || b != theirs.end()) {
		const uint32_t at = std::min(a == ours.end() ? ~0u : *a, b == theirs.end() ? ~0u : *b);
		std::string bytes;
		for (uint32_t i = at > 4 ? at - 4 : 0; i < at + 16 && i < all.size(); i++) {
			char byte[8];
			snprintf(byte, sizeof(byte), i == at ? " |%02x" : " %02x", all[i]);
			bytes += byte;
		}
		ADD_FAILURE() << "only one of them has a start at |:" << bytes;
	}
	printf("             %zu images, %zu bytes, %zu instructions\n", images.size(), all.size(), ours.size());
}

} // namespace
} // namespace host
