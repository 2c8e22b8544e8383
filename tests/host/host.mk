# SPDX-License-Identifier: GPL-2.0
#
# The core as an ordinary user-space library, and the tests that run it.
#
#   make -f tests/host/host.mk [SANITIZE=1|LIBFUZZER=1] lib|tests|fuzz|replay|proof|bench|check|differential|clean
#
# From the project's root. SANITIZE=1 builds everything with ASan and UBSan beside
# the plain build, LIBFUZZER=1 the fuzz targets with clang, ASan and libFuzzer. sources.list,
# which the module's Kbuild reads too, names the core's
# files; they get the kernel's language flags here as well, so that what only works
# in user space fails on the host first.

ifdef LIBFUZZER
OUT := build/host-libfuzzer
CC := clang
CXX := clang++
# What g++ does not warn about.
sanitizers := -fsanitize=address -Wno-constant-logical-operand
covered := -fsanitize=fuzzer-no-link
else ifdef SANITIZE
OUT := build/host-asan
sanitizers := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
OUT := build/host
sanitizers :=
frame_limit := -Wframe-larger-than=1536
endif
ifndef LIBFUZZER
no_floating_point := -mgeneral-regs-only
endif

CC  ?= gcc
CXX ?= g++

core_sources  := $(shell sed -e 's/[ \t]*\#.*//' -e '/^$$/d' sources.list 2>/dev/null)
case_sources  := $(sort $(wildcard kunit/cases_*.cc))
zydis_sources := $(addprefix third_party/zydis/src/,Decoder.c DecoderData.c SharedData.c Register.c)
mnemonic_names := third_party/zydis/src/Mnemonic.c
host_sources  := $(addprefix tests/host/,services.cc code_memory.cc guest.cc)
fuzz_sources  := $(addprefix tests/host/,fuzz_input.cc fuzz_code.cc fuzz_image.cc)
programs      := $(fuzz_sources) $(addprefix tests/host/,fuzz_main.cc fuzz_libfuzzer.cc differential_main.cc) bench/replay/replay.cc
test_sources  := $(sort $(filter-out $(programs) $(host_sources),$(wildcard tests/host/*.cc)))
asm_sources   := src/runtime/enter.S tests/host/native.S

# Every instance of every instruction form, as assembly: see instructions.py.
generated := $(OUT)/instructions.S

zydis_flags := -Ithird_party/zydis/include -Ithird_party/zydis/src -Ithird_party/zycore/include \
	-DZYAN_NO_LIBC -DZYCORE_STATIC_BUILD -DZYDIS_STATIC_BUILD -DZYDIS_DISABLE_ENCODER \
	-DZYDIS_DISABLE_FORMATTER -DZYDIS_DISABLE_SEGMENT -DZYDIS_DISABLE_KNC -DZYAN_CUSTOM_LIBC \
	-DZYAN_MEMSET=__builtin_memset -DZYAN_MEMCPY=__builtin_memcpy
base_flags := -O2 -g -funsigned-char -MMD -MP $(sanitizers)
warnings   := -Wall -Wextra -Werror
cxx_flags  := -std=gnu++20 $(base_flags) $(warnings) -Isrc -Ikunit -Itests/host
core_flags := $(cxx_flags) $(zydis_flags) -ffreestanding -fno-exceptions -fno-rtti \
	-fno-threadsafe-statics -fno-use-cxa-atexit -D__builtin_abort=__builtin_trap \
	$(no_floating_point) $(frame_limit) $(covered)
test_flags := $(cxx_flags) $(zydis_flags) -I$(OUT) -DUB_SOURCE_ROOT='"$(CURDIR)"'

object = $(patsubst %,$(OUT)/%.o,$(1))
core_objects := $(call object,$(core_sources) src/runtime/enter.S)
lib_objects  := $(core_objects) $(call object,$(zydis_sources))
host_objects := $(call object,$(host_sources) tests/host/native.S)
test_objects := $(call object,$(test_sources) $(case_sources)) \
	$(call object,$(mnemonic_names)) $(OUT)/instructions.S.o $(OUT)/functions.o $(OUT)/vector_functions.o
proof_objects := $(call object,$(addprefix tests/host/,differential_main.cc differential.cc instance.cc program.cc shrink.cc)) \
	$(OUT)/instructions.S.o $(call object,$(mnemonic_names))
fuzz_objects := $(call object,$(fuzz_sources) $(addprefix tests/host/,differential.cc image_sample.cc instance.cc mutation.cc \
	oracle.cc oracle_insn.cc program.cc)) $(OUT)/instructions.S.o $(OUT)/functions.o $(OUT)/vector_functions.o \
	$(call object,$(mnemonic_names)) $(host_objects)
bench_sources := $(sort $(wildcard bench/host/*.cc))
real_objects := $(call object,$(addprefix tests/host/,real.cc follow.cc differential.cc instance.cc)) \
	$(call object,bench/host/learned_kernels.cc) $(OUT)/instructions.S.o
objects := $(lib_objects) $(host_objects) $(test_objects) $(call object,$(programs) $(bench_sources))

.PHONY: lib tests fuzz replay proof bench check differential clean
.DELETE_ON_ERROR:
tests: $(OUT)/ub_tests
lib: $(OUT)/libub.a
ifdef LIBFUZZER
fuzz: $(OUT)/ub_fuzz_code $(OUT)/ub_fuzz_image
else
fuzz: $(OUT)/ub_fuzz
endif
replay: $(OUT)/ub_replay $(OUT)/ub_record
proof: $(OUT)/ub_differential
bench: $(addprefix $(OUT)/,bench_translate bench_sandbox kernels.so)

$(OUT)/libub.a: $(lib_objects)
	@echo "  AR      $@"
	@rm -f $@ && ar rcs $@ $^

$(OUT)/ub_tests: $(test_objects) $(host_objects) $(OUT)/libub.a
	@echo "  LD      $@"
	@$(CXX) $(sanitizers) -Wl,-z,now -o $@ $^ -lgtest -lcapstone -lpthread -ldl

$(OUT)/ub_fuzz: $(call object,tests/host/fuzz_main.cc) $(fuzz_objects) $(OUT)/libub.a
	@echo "  LD      $@"
	@$(CXX) $(sanitizers) -o $@ $^ -lcapstone -lpthread

$(OUT)/ub_fuzz_%: $(OUT)/libfuzzer_%.o $(fuzz_objects) $(OUT)/libub.a
	@echo "  LD      $@"
	@$(CXX) $(sanitizers) -fsanitize=fuzzer -o $@ $^ -lcapstone -lpthread

$(OUT)/libfuzzer_%.o: tests/host/fuzz_libfuzzer.cc $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  CXX     $@"
	@$(CXX) $(test_flags) -DUB_FUZZ_TARGET=$*_target -c -o $@ $<

$(OUT)/ub_replay: $(call object,bench/replay/replay.cc) $(OUT)/libub.a
	@echo "  LD      $@"
	@$(CXX) $(sanitizers) -o $@ $^

$(OUT)/ub_record: bench/replay/record.c
	@echo "  CC      $<"
	@$(CC) -O2 $(warnings) -D_GNU_SOURCE -o $@ $<

$(OUT)/ub_differential: $(proof_objects) $(host_objects) $(OUT)/libub.a
	@echo "  LD      $@"
	@$(CXX) $(sanitizers) -o $@ $^ -lcapstone -lpthread

$(OUT)/bench_%: $(OUT)/bench/host/%.cc.o $(real_objects) $(host_objects) $(OUT)/libub.a
	@echo "  LD      $@"
	@$(CXX) -o $@ $^ -lbenchmark -lpthread -ldl

# What is measured, as a distribution compiles it.
$(OUT)/kernels.so: $(wildcard bench/host/*.c bench/host/*.h) $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) -std=gnu11 -g -O2 $(warnings) -fPIC -shared -o $@ $(filter %.c,$^) -llua5.4 -lsqlite3 -lz -lcrypto

$(call object,$(core_sources) $(case_sources)): $(OUT)/%.cc.o: %.cc $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  CXX     $<"
	@$(CXX) $(core_flags) -c -o $@ $<

$(call object,$(sort $(test_sources) $(host_sources) $(programs) $(bench_sources))): $(OUT)/%.cc.o: %.cc $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  CXX     $<"
	@$(CXX) $(test_flags) -c -o $@ $<

$(call object,$(zydis_sources) $(mnemonic_names)): $(OUT)/%.c.o: %.c $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(base_flags) $(zydis_flags) -c -o $@ $<

$(call object,$(asm_sources)): $(OUT)/%.S.o: %.S $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  AS      $<"
	@$(CC) -g -MMD -MP -Isrc -c -o $@ $<

$(OUT)/instructions.S: tests/host/instructions.py tests/host/row_forms.py src/sfi/rules.inc $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  GEN     $@"
	@python3 $< >$@

$(OUT)/instructions.S.o: $(OUT)/instructions.S
	@echo "  AS      $<"
	@gcc -g -c -o $@ $<

# Guest functions as compilers make them: never instrumented.
function_flags := -std=gnu11 -g -MMD -MP $(warnings) -fno-stack-protector -fcf-protection=full
$(OUT)/functions.o: function_flags += -O2 -mgeneral-regs-only -DFUNCTIONS=ub_functions
$(OUT)/vector_functions.o: function_flags += -O3 -mavx2 -DFUNCTIONS=ub_vector_functions
$(OUT)/functions.o $(OUT)/vector_functions.o: tests/host/functions.c $(MAKEFILE_LIST)
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@gcc $(function_flags) -c -o $@ $<

# CASES bounds each kind of case.
check: tests
	@$(OUT)/ub_tests --gtest_brief=1 --gtest_output=json:$(OUT)/ub_tests.json

# CASES is the number of cases, SEED moves them all.
differential: proof
	@mkdir -p build/results
	@COMMIT=$$(git rev-parse --short HEAD 2>/dev/null) $(OUT)/ub_differential build/results/differential.json

clean:
	rm -rf $(OUT)

-include $(objects:.o=.d)
