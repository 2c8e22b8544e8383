// SPDX-License-Identifier: GPL-2.0
/*
 * Libraries at work, natively and as images: compression, hashes and ciphers, a database
 * and an interpreter, and what of glibc keeps state. Each call is made in two processes,
 * and all memory that it could have written is compared (real.h). The instructions of
 * calls are counted too, so that the share that runs translated is known.
 */
#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include <lua5.4/lua.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <zlib.h>

#include "instance.h"
#include "real.h"

namespace host {
namespace {

/* Of a library's instructions no more may be left to the CPU than one in so many. */
constexpr unsigned long kTranslatedAtLeast = 500;

class RealLibraries : public testing::Test {
protected:
	void SetUp() override
	{
#ifdef __SANITIZE_ADDRESS__
		GTEST_SKIP() << "ASan does not know of libraries in namespaces of their own";
#endif
	}

	/* Makes the call on both sides; returns its result. One call in some is counted, too. */
	uint64_t call(const char *what, const void *function, std::vector<uint64_t> arguments)
	{
		const RealCode::Call call{function, std::move(arguments)};
		const uint64_t seed = ++calls_;
		uint64_t result = 0;

		if (!function) {
			ADD_FAILURE() << "there is no " << what;
			return 0;
		}
		const bool counts = calls_ % kCountedOneIn == 1;
		const unsigned long before = code_.follower.native_steps;
		const unsigned long instructions = counts ? code_.count(call, seed) : 0;
		if (auto why = code_.compare(call, seed, &result))
			if (shown_++ < 5)
				ADD_FAILURE() << what << ": " << *why;
		if (instructions) {
			counted_ += instructions;
			left_ += code_.follower.native_steps - before;
		}
		return result;
	}

	template <typename... Arguments>
	uint64_t call(const Library &library, const char *name, Arguments... arguments)
	{
		return call(name, library.find(name), {(uint64_t)(arguments)...});
	}

	void finish()
	{
		const Tally &tally = code_.differential.tally;
		const Follower &follower = code_.follower;

		EXPECT_EQ(tally.mismatches, 0u);
		EXPECT_EQ(code_.differential.last_rejected, "");
		EXPECT_EQ(follower.spurious_faults, 0u);
		EXPECT_GT(counted_, 1000u);
		EXPECT_LE(left_ * kTranslatedAtLeast, counted_);
		printf("             %s; %s; of %lu instructions counted %lu not translated\n", tally.text().c_str(),
		       follower.text().c_str(), counted_, left_);
	}

	static constexpr unsigned long kCountedOneIn = 5;
	RealCode code_;
	unsigned long calls_ = 0, counted_ = 0, left_ = 0;
	unsigned int shown_ = 0;
};

/* Words, numbers and repetition: compressible, but not all alike. */
void fill_text(unsigned char *to, size_t bytes, uint64_t seed)
{
	Random random(seed);

	for (size_t at = 0; at < bytes;) {
		if (at > 200 && random.chance(3)) {
			const size_t back = 1 + random.below(at < 30000 ? at : 30000), count = 3 + random.below(60);
			for (size_t i = 0; i < count && at < bytes; i++, at++)
				to[at] = to[at - back];
		} else {
			for (size_t i = 1 + random.below(9); i-- && at < bytes; at++)
				to[at] = uint8_t("etaoin shrdlu\n0123456789"[random.below(24)]);
		}
	}
}

TEST_F(RealLibraries, zlib)
{
	const Library zlib("libz.so.1");
	constexpr size_t kBytes = 64 << 10;
	unsigned char *const text = code_.buffer(kBytes), *const packed = code_.buffer(2 * kBytes),
			    *const again = code_.buffer(kBytes);
	auto *const stream = reinterpret_cast<z_stream *>(code_.buffer(4096));

	for (unsigned int i = 0; i < cases(6); i++) {
		Random random(i);
		const size_t bytes = i ? random.below(i % 4 ? 2000 : kBytes) : kBytes;
		const int level = int(i % 10);
		fill_text(text, bytes, i);
		if (i % 4 == 3)
			for (size_t at = 0; at < bytes; at++)
				text[at] = uint8_t(random.next());
		call(zlib, "crc32", i, text, bytes);
		call(zlib, "adler32", i, text + i % 16, bytes);
		call(zlib, "crc32_combine", random.next() & ~0u, random.next() & ~0u, bytes);

		memset(stream, 0, sizeof(*stream));
		call(zlib, "deflateInit2_", stream, level, Z_DEFLATED, i % 2 ? 15 : 9 + 16, 1 + i % 9, i % 5, ZLIB_VERSION,
		     sizeof(*stream));
		stream->next_in = text, stream->avail_in = uint32_t(bytes);
		stream->next_out = packed, stream->avail_out = 2 * kBytes;
		ASSERT_EQ(call(zlib, "deflate", stream, Z_FINISH), uint64_t(Z_STREAM_END));
		const auto packed_bytes = uint32_t(stream->total_out);
		call(zlib, "deflateEnd", stream);

		memset(stream, 0, sizeof(*stream));
		call(zlib, "inflateInit2_", stream, 15 + 32, ZLIB_VERSION, sizeof(*stream));
		stream->next_in = packed, stream->next_out = again;
		/* In pieces, and a wrong bit in some. */
		const bool broken = i % 6 == 5 && packed_bytes > 100;
		if (broken)
			packed[100] ^= 4;
		uint64_t result = Z_OK;
		while (result == Z_OK && (stream->total_out < bytes || !stream->avail_out)) {
			stream->avail_in = uint32_t(packed_bytes - stream->total_in);
			stream->avail_out = uint32_t(std::min<size_t>(kBytes - stream->total_out, kBytes / 4 + 1));
			result = call(zlib, "inflate", stream, Z_NO_FLUSH);
		}
		EXPECT_TRUE(broken || !memcmp(text, again, bytes)) << "level " << level;
		call(zlib, "inflateEnd", stream);
	}
	finish();
}

TEST_F(RealLibraries, libcrypto)
{
	const Library crypto("libcrypto.so.3");
	constexpr size_t kBytes = 16 << 10;
	unsigned char *const text = code_.buffer(kBytes + 64), *const out = code_.buffer(2 * kBytes);
	auto *const length = reinterpret_cast<int *>(code_.buffer(4096));
	static const char *const kDigests[] = {"EVP_md5", "EVP_sha1", "EVP_sha256", "EVP_sha512", "EVP_sha3_256",
					       "EVP_blake2b512"};
	static const char *const kCiphers[] = {"EVP_aes_128_cbc", "EVP_aes_256_ctr", "EVP_aes_128_gcm", "EVP_aes_256_xts",
					       "EVP_chacha20", "EVP_chacha20_poly1305", "EVP_camellia_128_cbc"};

	fill_text(text, kBytes, 1);
	for (unsigned int i = 0; i < cases(3); i++) {
		Random random(i);
		const size_t bytes = i ? random.below(2000) : kBytes, from = random.below(64);
		for (const char *name : kDigests) {
			const EVP_MD *md = crypto.native<const EVP_MD *()>(name)();
			/* The first time it looks for who provides it, which is a long way. */
			crypto.native<decltype(EVP_Digest)>("EVP_Digest")(text, 1, out, nullptr, md, nullptr);
			call(crypto, "EVP_Digest", text + from, bytes, out, length, md, nullptr);
		}
		for (const char *name : kCiphers) {
			const EVP_CIPHER *cipher = crypto.native<const EVP_CIPHER *()>(name)();
			EVP_CIPHER_CTX *context = crypto.native<EVP_CIPHER_CTX *()>("EVP_CIPHER_CTX_new")();
			crypto.native<decltype(EVP_CipherInit_ex)>("EVP_CipherInit_ex")(context, cipher, nullptr, text, text, 1);
			for (const bool encrypt : {true, false}) {
				call(crypto, "EVP_CipherInit_ex", context, cipher, nullptr, text + 64 * i, text + 100, encrypt);
				call(crypto, "EVP_CipherUpdate", context, encrypt ? out : out + kBytes, length,
				     encrypt ? text + from : out, bytes & ~15ul);
				call(crypto, "EVP_CipherFinal_ex", context, out + kBytes, length);
			}
			crypto.native<void(EVP_CIPHER_CTX *)>("EVP_CIPHER_CTX_free")(context);
		}
	}
	finish();
}

TEST_F(RealLibraries, sqlite)
{
	const Library sqlite("libsqlite3.so.0");
	auto *const place = reinterpret_cast<uint64_t *>(code_.buffer(4096));
	static const char *const kSetUp[] = {
		"create table people(id integer primary key, name text, age int, score real)",
		"create index by_age on people(age)",
		"with recursive n(i) as (select 1 union all select i + 1 from n where i < 200)"
		" insert into people select i, 'name' || (i * 7919 % 1000), i * 31 % 90, i / 7.0 from n",
		"create table words(w text, person int)",
		"insert into words select substr(name, 3) || age, id % 100 from people",
	};
	static const char *const kQueries[] = {
		"select count(*), sum(age), avg(score), max(name) from people where age between 20 and 60",
		"select p.name, count(*) c from people p join words w on w.person = p.id group by p.name order by c desc, 1 limit 7",
		"select upper(name), length(name), replace(name, 'a', 'bb'), round(score, 2) from people where name like '%9_' order by score",
		"select printf('%d %s %.3f %x', id, name, score, age) from people order by name limit 20",
		"update people set score = score * 1.5, name = name || '!' where id % 3 = 0",
		"delete from words where person in (select id from people where age > 80)",
		"select group_concat(distinct w), hex(randomblob(0)), instr(w, '9') from words where w glob '*7*'",
		"select json_extract('{\"a\":[1,2,{\"b\":3}]}', '$.a[2].b'), abs(-5), nullif(1, 1), date(1e9, 'unixepoch')",
	};

	/* Drawn from the kernel the first time. */
	sqlite.native<void(int, void *)>("sqlite3_randomness")(8, place);
	ASSERT_EQ(call(sqlite, "sqlite3_open", ":memory:", place), uint64_t(SQLITE_OK));
	for (const char *text : kSetUp)
		ASSERT_EQ(sqlite.native<decltype(sqlite3_exec)>("sqlite3_exec")(reinterpret_cast<sqlite3 *>(*place), text,
										 nullptr, nullptr, nullptr), SQLITE_OK) << text;
	for (unsigned int i = 0; i < cases(4); i++) {
		const char *const text = kQueries[i % std::size(kQueries)];
		ASSERT_EQ(call(sqlite, "sqlite3_prepare_v2", *place, text, -1, place + 1, nullptr), uint64_t(SQLITE_OK)) << text;
		uint64_t step;
		unsigned int rows = 0;
		while ((step = call(sqlite, "sqlite3_step", place[1])) == SQLITE_ROW && rows < 6) {
			call(sqlite, "sqlite3_column_text", place[1], 0);
			rows++;
		}
		EXPECT_TRUE(step == SQLITE_DONE || step == SQLITE_ROW) << text << ": " << step;
		call(sqlite, "sqlite3_finalize", place[1]);
	}
	EXPECT_EQ(call(sqlite, "sqlite3_close", *place), uint64_t(SQLITE_OK));
	finish();
}

TEST_F(RealLibraries, lua)
{
	const Library lua("liblua5.4.so.0");
	static const char *const kScripts[] = {
		"local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end return fib(15)",
		"local t = {} for i = 1, 300 do t[i] = (i * 7919) % 1009 end table.sort(t) local s = 0"
		" for i, v in ipairs(t) do s = s + i * v end return s",
		"local t = {} for i = 1, 200 do t['k' .. i] = i / 3 end local s = 0 for k, v in pairs(t) do s = s + #k * v end return s",
		"local s = '' for i = 1, 60 do s = s .. string.format('%d:%5.2f:%s;', i, i / 7, ('x'):rep(i % 5)) end"
		" return s:gsub('%d+', function(d) return '<' .. d .. '>' end)",
		"local o = setmetatable({}, {__index = function(t, k) return k .. k end, __add = function(a, b) return 42 end})"
		" return o.abc, o + 1, select('#', table.unpack({1, 2, 3})), 7 // 2, 2 ^ 0.5, 7 % -3, 1 << 40, 5 ~ 3, 'a' < 'b'",
		"local co = coroutine.wrap(function(a) for i = 1, 20 do a = a + coroutine.yield(a * i) end end)"
		" local s = co(1) for i = 1, 19 do s = s + co(i) end return s",
		"return pcall(function() local t = nil; return t.x end), pcall(error, {code = 3}), tostring(12345.678), tonumber('0x1p4')",
		"local words = {} for w in ('the quick brown fox jumps over the lazy dog'):gmatch('%a+') do words[#words + 1] = w:upper() end"
		" goto done ::done:: return table.concat(words, ','), #words, math.max(1, 5, 3), string.pack('<i4d', 7, 1.5):byte(1, -1)",
	};

	/* Their seeds come from the clock. */
	lua_State *const state = lua.native<lua_State *()>("luaL_newstate")();
	ASSERT_TRUE(state);
	lua.native<void(lua_State *)>("luaL_openlibs")(state);
	for (unsigned int i = 0; i < cases(4); i++) {
		const char *const script = kScripts[i % std::size(kScripts)];
		ASSERT_EQ(call(lua, "luaL_loadstring", state, script), uint64_t(LUA_OK)) << script;
		EXPECT_EQ(call(lua, "lua_pcallk", state, 0, LUA_MULTRET, 0, 0, nullptr), uint64_t(LUA_OK)) << script;
		call(lua, "luaL_tolstring", state, -1, nullptr);
		call(lua, "lua_settop", state, 0);
		if (i % 4 == 3)
			call(lua, "lua_gc", state, LUA_GCCOLLECT);
	}
	call(lua, "lua_close", state);
	finish();
}

TEST_F(RealLibraries, of_glibc_that_keep_state)
{
	const Library libc("libc.so.6");
	unsigned char *const text = code_.buffer(64 << 10);
	std::vector<uint64_t> blocks;

	for (unsigned int i = 0; i < cases(15); i++) {
		Random random(i);
		const uint64_t bytes = random.chance(10) ? random.below(400000) : random.below(3000);
		blocks.push_back(call(libc, "malloc", bytes));
		blocks.push_back(call(libc, "calloc", 1 + random.below(20), 1 + random.below(100)));
		uint64_t &some = blocks[random.below(blocks.size())];
		some = call(libc, "realloc", some, 1 + random.below(random.chance(9) ? 300000 : 2000));
		if (random.chance(2)) {
			const size_t which = random.below(blocks.size());
			call(libc, "free", blocks[which]);
			blocks.erase(blocks.begin() + long(which));
		}
		*reinterpret_cast<time_t *>(text) = time_t(random.next() >> 24);
		call(libc, "gmtime_r", text, text + 64);
		call(libc, "strftime", text + 256, 200, "%Y-%m-%d %H:%M:%S %A %B %j %U", text + 64);
		call(libc, "mktime", text + 64);
		call(libc, "random");
		call(libc, "setenv", "UB_TEST", i % 2 ? "one" : "another value", 1);
		call(libc, "getenv", "UB_TEST");
		fill_text(text + 1024, 500, i);
		call(libc, "strtok", i % 7 ? nullptr : text + 1024, " \n");
		call(libc, "hcreate", 100);
		call(libc, "hdestroy");
		call(libc, "asprintf", text + 8, "%s %d %Lf", "text", i);
		call(libc, "inet_pton", 2, "192.168.17.254", text + 600);
		call(libc, "getuid");
		call(libc, "qsort", text + 4096, 400, 24, libc.find("strcmp"));
	}
	finish();
}

} // namespace
} // namespace host
