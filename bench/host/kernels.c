// SPDX-License-Identifier: GPL-2.0
/*
 * The kernels that glibc, zlib, libcrypto, sqlite and lua do the work of. Compiled into a
 * shared library with those in programs.c, and loaded into a namespace of its own
 * (tests/host/real.h), so that they may be left in the middle.
 */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lua5.4/lauxlib.h>
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <zlib.h>

#include "programs.h"

static unsigned char from[1 << 16], to[1 << 16], packed[1 << 16];
static char text[4096];
static unsigned long packed_bytes;

static void fill(void)
{
	unsigned long x = 88172645463325252ul;

	for (size_t i = 0; i < sizeof(from); i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		from[i] = "etaoin shrdlu cmfwyp"[x % 20];
	}
	memcpy(text, from, sizeof(text) - 1);
	packed_bytes = sizeof(packed);
	compress(packed, &packed_bytes, from, 20000);
}

#define SIZED(function, size, rounds, call)				\
	static unsigned long function##_##size(void)			\
	{								\
		unsigned long sum = 0;					\
		for (unsigned int i = 0; i < (rounds); i++) {		\
			sum += (unsigned long)(call);			\
			__asm__ volatile("" : : : "memory");		\
		}							\
		return sum & 0xff;					\
	}
SIZED(memcpy, 64, 5000, (memcpy(to + i % 64, from + i % 32, 64), to[i % 100]))
SIZED(memcpy, 1024, 2000, (memcpy(to + i % 64, from + i % 32, 1024), to[i % 100]))
SIZED(memcpy, 16384, 200, (memcpy(to + i % 64, from + i % 32, 16384), to[i % 100]))
SIZED(memset, 256, 5000, (memset(to + i % 64, (int)i, 256), to[i % 100]))
SIZED(memcmp, 200, 5000, memcmp(from, text, 200) != 0)
SIZED(strlen, 20, 8000, strlen(text + sizeof(text) - 21 - i % 8))
SIZED(strlen, 1000, 2000, strlen(text + sizeof(text) - 1001 - i % 8))
SIZED(strchr, 100, 5000, strchr(text + i % 64, 'p' + (int)(i % 8)) != NULL)
SIZED(memchr, 4000, 1000, memchr(text, 'z', 4000) == NULL)
SIZED(strcmp, 100, 5000, strcmp(text + sizeof(text) - 100, (char *)from + sizeof(text) - 100) > 0)
SIZED(strstr, 4000, 30, strstr(text, "shrdlux") == NULL)

static int compare_ints(const void *a, const void *b)
{
	const int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

static unsigned long sort(void)
{
	memcpy(to, from, 4 * 1000);
	qsort(to, 1000, 4, compare_ints);
	return to[77];
}

static unsigned long print_integers(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < 500; i++)
		sum += (unsigned long)snprintf(text, 100, "%d %s %08x", i * 77, "word", i);
	return sum;
}

static unsigned long print_doubles(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < 200; i++)
		sum += (unsigned long)snprintf(text, 100, "%.17g", i * 0.37);
	return sum;
}

static unsigned long parse_doubles(void)
{
	double sum = 0;

	for (int i = 0; i < 1000; i++)
		sum += strtod(i & 1 ? "3.14159265" : "-271.828e-2", NULL);
	return (unsigned long)(long)sum;
}

static unsigned long parse_integers(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < 4000; i++)
		sum += strtoul(i & 1 ? "123456789" : "42", NULL, 10);
	return sum;
}

static unsigned long allocate(void)
{
	void *kept[32] = { 0 };
	unsigned long count = 0;

	for (unsigned int i = 0; i < 3000; i++) {
		free(kept[i % 32]);
		kept[i % 32] = malloc(16 + i * 7 % 500);
		count += kept[i % 32] != NULL;
	}
	for (int i = 0; i < 32; i++)
		free(kept[i]);
	return count;
}

static unsigned long zlib_inflate(void)
{
	unsigned long bytes = sizeof(to);

	uncompress(to, &bytes, packed, packed_bytes);
	return bytes;
}

static unsigned long zlib_deflate(void)
{
	unsigned long bytes = sizeof(to);

	compress2(to, &bytes, from, 4000, 6);
	return bytes;
}

static unsigned long zlib_crc32(void)
{
	return crc32(0, from, sizeof(from));
}

static unsigned long zlib_adler32(void)
{
	return adler32(1, from, sizeof(from));
}

static unsigned long digest(const EVP_MD *md)
{
	unsigned char out[EVP_MAX_MD_SIZE];

	EVP_Digest(from, 20000, out, NULL, md, NULL);
	return out[0];
}

static unsigned long md5(void)
{
	return digest(EVP_md5());
}

static unsigned long sha256(void)
{
	return digest(EVP_sha256());
}

static unsigned long sha512(void)
{
	return digest(EVP_sha512());
}

static EVP_CIPHER_CTX *aes, *chacha;

static void set_up_ciphers(void)
{
	fill();
	aes = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(aes, EVP_aes_128_ctr(), NULL, from, from);
	chacha = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(chacha, EVP_chacha20(), NULL, from, from);
}

static unsigned long encrypt(EVP_CIPHER_CTX *context)
{
	int length = 0;

	for (int i = 0; i < 4; i++)
		EVP_EncryptUpdate(context, to, &length, from, 32768);
	return (unsigned long)length;
}

static unsigned long aes_ctr(void)
{
	return encrypt(aes);
}

static unsigned long chacha20(void)
{
	return encrypt(chacha);
}

static sqlite3_stmt *query;

static void set_up_sqlite(void)
{
	sqlite3 *db;

	sqlite3_open(":memory:", &db);
	sqlite3_exec(db, "create table t(id integer primary key, name text, age int);"
			 "with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)"
			 " insert into t select i, 'name' || i, i * 31 % 90 from n", NULL, NULL, NULL);
	sqlite3_prepare_v2(db, "select count(*), sum(age) from t where age > 20 and name <> 'name7'", -1, &query, NULL);
}

static unsigned long sqlite_query(void)
{
	unsigned long sum = 0;

	while (sqlite3_step(query) == SQLITE_ROW)
		sum += (unsigned long)sqlite3_column_int(query, 0);
	sqlite3_reset(query);
	return sum;
}

static lua_State *lua;

static void set_up_lua(void)
{
	lua = luaL_newstate();
	luaL_openlibs(lua);
	luaL_dostring(lua, "function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end "
			   "local t = {} for i = 1, 100 do t[i] = i end "
			   "function sum() local s = 0 for j = 1, 20 do for i = 1, 100 do s = s + t[i] * i end end return s end");
}

static unsigned long call_lua(const char *name, int argument)
{
	unsigned long result;

	lua_getglobal(lua, name);
	lua_pushinteger(lua, argument);
	lua_pcall(lua, 1, 1, 0);
	result = (unsigned long)lua_tointeger(lua, -1);
	lua_settop(lua, 0);
	return result;
}

static unsigned long lua_fib(void)
{
	return call_lua("fib", 12);
}

static unsigned long lua_loop(void)
{
	return call_lua("sum", 0);
}

const struct ub_kernel ub_kernels[] = {
	{ "memcpy-64", fill, memcpy_64 },
	{ "memcpy-1024", fill, memcpy_1024 },
	{ "memcpy-16384", fill, memcpy_16384 },
	{ "memset-256", fill, memset_256 },
	{ "memcmp-200", fill, memcmp_200 },
	{ "strlen-20", fill, strlen_20 },
	{ "strlen-1000", fill, strlen_1000 },
	{ "strchr-100", fill, strchr_100 },
	{ "memchr-4000", fill, memchr_4000 },
	{ "strcmp-100", fill, strcmp_100 },
	{ "strstr-4000", fill, strstr_4000 },
	{ "qsort", fill, sort },
	{ "printf-integers", fill, print_integers },
	{ "printf-doubles", fill, print_doubles },
	{ "strtod", fill, parse_doubles },
	{ "strtoul", fill, parse_integers },
	{ "malloc", fill, allocate },
	{ "inflate", fill, zlib_inflate },
	{ "deflate", fill, zlib_deflate },
	{ "crc32", fill, zlib_crc32 },
	{ "adler32", fill, zlib_adler32 },
	{ "md5", fill, md5 },
	{ "sha256", fill, sha256 },
	{ "sha512", fill, sha512 },
	{ "aes-ctr", set_up_ciphers, aes_ctr },
	{ "chacha20", set_up_ciphers, chacha20 },
	{ "sqlite-query", set_up_sqlite, sqlite_query },
	{ "lua-calls", set_up_lua, lua_fib },
	{ "lua-loop", set_up_lua, lua_loop },
	{ "dict", set_up_programs, dict_lookups },
	{ "http-headers", NULL, parse_headers },
	{ "utf8", set_up_programs, validate_utf8 },
	{ "base64", set_up_programs, encode_base64 },
	{ "checksum", set_up_programs, checksum },
	{ "pointer-chase", set_up_programs, chase_pointers },
	{ "recursion", NULL, recurse },
	{ "calls", NULL, call_much },
	{ "function-pointers", NULL, call_through_pointers },
	{ "interpreter", NULL, interpret },
	{ "insertion-sort", set_up_programs, insertion_sort },
	{ "matrix", set_up_programs, multiply_matrices },
	{ NULL, NULL, NULL },
};
