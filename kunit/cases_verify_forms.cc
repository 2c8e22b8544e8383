// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions the verifier refuses wherever they stand: what the rule table does not
 * allow, prefixes, operands, frame slots.
 */
#include "verify_rows.h"

namespace {

using namespace ub::testing;

constexpr Row kPrivileged[] = {
	{"hlt", "\xf4"},
	{"cli", "\xfa"},
	{"sti", "\xfb"},
	{"stac", "\x0f\x01\xcb"},
	{"clac", "\x0f\x01\xca"},
	{"in al,dx", "\xec"},
	{"out dx,al", "\xee"},
	{"insb", "\x6c"},
	{"lgdt [rax]", "\x0f\x01\x10"},
	{"sgdt [rax]", "\x0f\x01\x00"},
	{"sidt [rax]", "\x0f\x01\x08"},
	{"sldt eax", "\x0f\x00\xc0"},
	{"str eax", "\x0f\x00\xc8"},
	{"smsw eax", "\x0f\x01\xe0"},
	{"lar eax,ecx", "\x0f\x02\xc1"},
	{"verw ax", "\x0f\x00\xe8"},
	{"rdmsr", "\x0f\x32"},
	{"wrmsr", "\x0f\x30"},
	{"rdpmc", "\x0f\x33"},
	{"invlpg [rax]", "\x0f\x01\x38"},
	{"swapgs", "\x0f\x01\xf8"},
	{"sysretq", "\x48\x0f\x07"},
	{"wbinvd", "\x0f\x09"},
	{"vmcall", "\x0f\x01\xc1"},
	{"vmmcall", "\x0f\x01\xd9"},
	{"wrpkru", "\x0f\x01\xef"},
	{"rdpkru", "\x0f\x01\xee"},
};

UB_CASE(verify_refuses, privileged)
{
	CHECK_CALL(refuse_all(test, kPrivileged, "privileged in user mode, or shows or changes the machine's state in kernel mode"));
}

constexpr Row kFlagsWord[] = {
	{"pushfq", "\x9c"},
	{"popfq", "\x9d"},
	{"pushf", "\x9c"},
	{"popf", "\x9d"},
};

UB_CASE(verify_refuses, flags_word)
{
	CHECK_CALL(refuse_all(test, kFlagsWord, "reads or writes the whole flags word: the kernel's IF, AC, TF would show or change"));
}

constexpr Row kSegments[] = {
	{"rdfsbase rax", "\xf3\x48\x0f\xae\xc0"},
	{"rdgsbase rax", "\xf3\x48\x0f\xae\xc8"},
	{"wrfsbase rax", "\xf3\x48\x0f\xae\xd0"},
	{"wrgsbase rax", "\xf3\x48\x0f\xae\xd8"},
	{"lss eax,[rax]", "\x0f\xb2\x00"},
	{"lfs eax,[rax]", "\x0f\xb4\x00"},
};

UB_CASE(verify_refuses, segments)
{
	CHECK_CALL(refuse_all(test, kSegments, "reads or writes a segment register or its base"));
}

constexpr Row kForeignRegisters[] = {
	{"mov eax,ds", "\x8c\xd8"},
	{"mov ds,eax", "\x8e\xd8"},
	{"mov rax,cr0", "\x0f\x20\xc0"},
	{"mov cr3,rax", "\x0f\x22\xd8"},
	{"mov rax,dr7", "\x0f\x21\xf8"},
	{"mov dr7,rax", "\x0f\x23\xf8"},
	{"movq mm0,rax", "\x48\x0f\x6e\xc0"},
	{"paddb mm0,mm1", "\x0f\xfc\xc1"},
};

UB_CASE(verify_refuses, foreign_registers)
{
	CHECK_CALL(refuse_all(test, kForeignRegisters, "a register that is not the program's own: segment, control, debug, x87, MMX"));
}

constexpr Row kCallsAndReturns1[] = {
	{"call stub", "\xe8\x00\x00\x00\x00"},
	{"call rax", "\xff\xd0"},
	{"call [rax]", "\xff\x10"},
	{"ret", "\xc3"},
	{"ret 8", "\xc2\x08\x00"},
	{"iretq", "\x48\xcf"},
	{"syscall", "\x0f\x05"},
	{"sysenter", "\x0f\x34"},
	{"loop stub", "\xe2\x00"},
	{"retf", "\xcb"},
	{"jecxz stub", "\x67\xe3\x00"},
};

constexpr Row kCallsAndReturns2[] = {
	{"jmp rax", "\xff\xe0"},
	{"jmp [rax]", "\xff\x20"},
	{"jmp [rsp]", "\xff\x24\x24"},
	{"jmp fword ptr [rax]", "\xff\x28"},
};

UB_CASE(verify_refuses, calls_and_returns)
{
	CHECK_CALL(refuse_all(test, kCallsAndReturns1, "calls, returns or jumps through a register, memory or far pointer"));
	CHECK_CALL(refuse_all(test, kCallsAndReturns2, "an indirect or far branch"));
}

constexpr Row kPushesAndPops[] = {
	{"push rax", "\x50"},
	{"pop rax", "\x58"},
	{"push 5", "\x6a\x05"},
	{"push qword ptr [r11]", "\x41\xff\x33"},
	{"pop qword ptr [r11]", "\x41\x8f\x03"},
	{"leave", "\xc9"},
	{"enter 8,0", "\xc8\x08\x00\x00"},
};

UB_CASE(verify_refuses, pushes_and_pops)
{
	CHECK_CALL(refuse_all(test, kPushesAndPops, "uses the physical stack pointer, which is the kernel's"));
}

constexpr Row kKernelStackPointer[] = {
	{"mov rax,rsp", "\x48\x89\xe0"},
	{"mov rsp,rax", "\x48\x89\xc4"},
	{"lea rax,[rsp+8]", "\x48\x8d\x44\x24\x08"},
	{"lea rax,[rsp+rax*1]", "\x48\x8d\x04\x04"},
	{"add rsp,8", "\x48\x83\xc4\x08"},
	{"mov spl,al", "\x40\x88\xc4"},
	{"mov ax,sp", "\x66\x89\xe0"},
	{"xchg rax,rsp", "\x48\x94"},
	{"cmp rsp,rax", "\x48\x39\xc4"},
	{"and esp,-16", "\x83\xe4\xf0"},
	{"movd xmm0,esp", "\x66\x0f\x6e\xc4"},
};

UB_CASE(verify_refuses, kernel_stack_pointer)
{
	CHECK_CALL(refuse_all(test, kKernelStackPointer, "the physical stack pointer as an operand"));
}

constexpr Row kStringInstructions1[] = {
	{"movsb", "\xa4"},
	{"rep movsb", "\xf3\xa4"},
	{"rep stosq", "\xf3\x48\xab"},
	{"lodsb", "\xac"},
	{"scasb", "\xae"},
	{"repne scasb", "\xf2\xae"},
	{"cmpsb", "\xa6"},
	{"stosd", "\xab"},
};

constexpr Row kStringInstructions2[] = {
	{".byte 0xa5", "\xa5"},
	{".byte 0xf3,0xa5", "\xf3\xa5"},
	{".byte 0xa7", "\xa7"},
};

constexpr Row kDirection[] = {
	{"std", "\xfd"},
};

UB_CASE(verify_refuses, string_instructions)
{
	CHECK_CALL(refuse_all(test, kStringInstructions1, "accesses memory through rsi or rdi implicitly"));
	CHECK_CALL(refuse_all(test, kDirection, "images count on strings going upwards, and are entered only so"));
	CHECK_CALL(refuse_all(test, kStringInstructions2, "a string instruction that shares its name with a vector instruction"));
}

constexpr Row kImplicitMemory1[] = {
	{"xlatb", "\xd7"},
	{"maskmovdqu xmm0,xmm1", "\x66\x0f\xf7\xc1"},
	{"clzero", "\x0f\x01\xfc"},
	{"monitor", "\x0f\x01\xc8"},
	{"vmaskmovdqu xmm0,xmm1", "\xc5\xf9\xf7\xc1"},
	{"movdir64b rax,[rbx]", "\x66\x0f\x38\xf8\x03"},
};

constexpr Row kImplicitMemory2[] = {
	{"vpgatherdd ymm0,[r11+ymm1*4],ymm2", "\xc4\xc2\x6d\x90\x04\x8b"},
	{"vgatherqpd zmm0{k1},[r11+zmm1*4]", "\x62\xd2\xfd\x49\x93\x04\x8b"},
	{"vpscatterdd [r11+zmm1*4]{k1},zmm0", "\x62\xd2\x7d\x49\xa0\x04\x8b"},
};

UB_CASE(verify_refuses, implicit_memory)
{
	CHECK_CALL(refuse_all(test, kImplicitMemory1, "accesses memory through a register the encoding does not name"));
	CHECK_CALL(refuse_all(test, kImplicitMemory2, "accesses memory once per lane at addresses of its own"));
}

constexpr Row kOtherState1[] = {
	{"fld qword ptr [r11]", "\x41\xdd\x03"},
	{"emms", "\x0f\x77"},
	{"fldcw [r11]", "\x41\xd9\x2b"},
	{"fnstsw [r11]", "\x41\xdd\x3b"},
	{"movdq2q mm0,xmm1", "\xf2\x0f\xd6\xc1"},
};

constexpr Row kOtherState2[] = {
	{"fadd st,st(1)", "\xd8\xc1"},
};

constexpr Row kOtherState3[] = {
	{"xsave [r11]", "\x41\x0f\xae\x23"},
	{"xrstor [r11]", "\x41\x0f\xae\x2b"},
	{"fxsave [r11]", "\x41\x0f\xae\x03"},
	{"xgetbv", "\x0f\x01\xd0"},
	{"xsetbv", "\x0f\x01\xd1"},
	{"xsavec [r11]", "\x41\x0f\xc7\x23"},
};

UB_CASE(verify_refuses, other_state)
{
	CHECK_CALL(refuse_all(test, kOtherState1, "x87 and MMX state is not kept"));
	CHECK_CALL(refuse_all(test, kOtherState2, "the rule table has no row for this instruction"));
	CHECK_CALL(refuse_all(test, kOtherState3, "saves or restores extended state"));
}

constexpr Row kTraps[] = {
	{"int3", "\xcc"},
	{"int 0x80", "\xcd\x80"},
	{"ud2", "\x0f\x0b"},
	{".byte 0xf1", "\xf1"},
};

UB_CASE(verify_refuses, traps)
{
	CHECK_CALL(refuse_all(test, kTraps, "raises an exception by design"));
}

constexpr Row kTheMachine1[] = {
	{"cpuid", "\x0f\xa2"},
	{"mwait", "\x0f\x01\xc9"},
	{"serialize", "\x0f\x01\xe8"},
	{"tpause eax", "\x66\x0f\xae\xf0"},
};

constexpr Row kTheMachine2[] = {
	{"rdpru", "\x0f\x01\xfd"},
};

constexpr Row kTheMachine3[] = {
	{"cldemote [r11]", "\x41\x0f\x1c\x03"},
};

constexpr Row kTheMachine4[] = {
	{"xbegin stub", "\xc7\xf8\x00\x00\x00\x00"},
	{"xend", "\x0f\x01\xd5"},
	{"xtest", "\x0f\x01\xd6"},
};

UB_CASE(verify_refuses, the_machine)
{
	CHECK_CALL(refuse_all(test, kTheMachine1, "serialises, or tells about or waits for the machine"));
	CHECK_CALL(refuse_all(test, kTheMachine2, "may be disabled for the thread"));
	CHECK_CALL(refuse_all(test, kTheMachine3, "acts on the cache, not on memory"));
	CHECK_CALL(refuse_all(test, kTheMachine4, "transactional memory"));
}

constexpr Row kUnlisted1[] = {
	{"vaddph zmm0,zmm1,zmm2", "\x62\xf5\x74\x48\x58\xc2"},
	{"vp2intersectd k0,zmm1,zmm2", "\x62\xf2\x77\x48\x68\xc2"},
	{"tileloadd tmm0,[r11+rax*1]", "\xc4\xc2\x7b\x4b\x04\x03"},
	{".byte 0x8f,0xe9,0x78,0x01,0xc8", "\x8f\xe9\x78\x01\xc8"},
};

constexpr Row kUnlisted2[] = {
	{".byte 0x06", "\x06"},
};

constexpr Row kUnlisted3[] = {
	{".byte 0x0f,0xff,0xc0", "\x0f\xff\xc0"},
};

constexpr Row kUnlisted4[] = {
	{".byte 0x8f,0xea,0x78,0x10,0xc0,0,0,0,0", "\x8f\xea\x78\x10\xc0\x00\x00\x00\x00"},
};

constexpr Row kUnlisted5[] = {
	{".byte 0xc5,0xfa,0xbd,0xfa", "\xc5\xfa\xbd\xfa"},
};

UB_CASE(verify_refuses, unlisted)
{
	CHECK_CALL(refuse_all(test, kUnlisted1, "the rule table has no row for this instruction"));
	CHECK_CALL(refuse_all(test, kUnlisted2, "not an instruction"));
	CHECK_CALL(refuse_all(test, kUnlisted3, "raises an exception by design"));
	CHECK_CALL(refuse_all(test, kUnlisted4, "an encoding that is neither legacy, VEX nor EVEX"));
	CHECK_CALL(refuse_all(test, kUnlisted5, "a VEX form no CPU of ours has"));
}

constexpr Row kPrefixes1[] = {
	{"mov eax,[edi]", "\x67\x8b\x07"},
	{".byte 0x67; nop", "\x67\x90"},
	{".byte 0x67; mov rax,rbx", "\x67\x48\x89\xd8"},
};

constexpr Row kPrefixes2[] = {
	{".byte 0x2e; mov rax,rbx", "\x2e\x48\x89\xd8"},
	{".byte 0x3e; mov rax,[r11]", "\x3e\x49\x8b\x03", {0}},
	{"mov rax,gs:0", "\x65\x48\x8b\x04\x25\x00\x00\x00\x00", {0}},
	{"mov rax,gs:[r11]", "\x65\x49\x8b\x03", {0}},
	{".byte 0x65; mov rax,rbx", "\x65\x48\x89\xd8"},
	{".byte 0x65; vmovdqu ymm0,[r11]", "\x65\xc4\xc1\x7e\x6f\x03", {0}},
	{".byte 0x2e; jz stub", "\x2e\x74\x00"},
};

constexpr Row kPrefixes3[] = {
	{".byte 0x64; mov rax,rbx", "\x64\x48\x89\xd8"},
	{".byte 0x64; lea rax,[rbx]", "\x64\x48\x8d\x03"},
	{".byte 0x64,0x64; mov rax,ds:0x1000", "\x64\x64\x48\x8b\x04\x25\x00\x10\x00\x00", {0}},
};

constexpr Row kPrefixes4[] = {
	{".byte 0xf3; mov [r11],rax", "\xf3\x49\x89\x03", {0}},
	{".byte 0xf2; add rax,rbx", "\xf2\x48\x01\xd8"},
	{".byte 0xf3; popcnt rax,rbx", "\xf3\xf3\x48\x0f\xb8\xc3", {0}},
	{"xacquire lock add dword ptr [r11],1", "\xf2\xf0\x41\x83\x03\x01", {0}},
	{"xrelease mov [r11],eax", "\xf3\x41\x89\x03", {0}},
	{".byte 0xf2; bsf rax,rbx", "\xf2\x48\x0f\xbc\xc3"},
	{".byte 0xf2; jmp stub", "\xf2\xeb\x00"},
};

constexpr Row kPrefixes5[] = {
	{".byte 0xf0; mov rax,rbx", "\xf0\x48\x89\xd8"},
	{".byte 0xf0; add rax,rbx", "\xf0\x48\x01\xd8"},
	{".byte 0x40,0xc5,0xf8,0x77", "\x40\xc5\xf8\x77"},
	{".byte 0x66,0xc5,0xf8,0x77", "\x66\xc5\xf8\x77"},
};

constexpr Row kPrefixes6[] = {
	{".byte 0xf0,0xf0,0x41,0x01,0x03", "\xf0\xf0\x41\x01\x03", {0}},
};

constexpr Row kPrefixes7[] = {
	{".byte 0x66; mov ax,bx", "\x66\x66\x89\xd8"},
	{".byte 0x66; mov rax,rbx", "\x66\x48\x89\xd8"},
	{".byte 0x66; movss xmm0,xmm1", "\x66\xf3\x0f\x10\xc1"},
};

constexpr Row kPrefixes8[] = {
	{".byte 0x48,0x66,0x89,0xd8", "\x48\x66\x89\xd8"},
	{".byte 0x48,0x48,0x89,0xd8", "\x48\x48\x89\xd8"},
};

constexpr Row kPrefixes9[] = {
	{".byte 0x66,0x0f,0x84,0,0,0,0", "\x66\x0f\x84\x00\x00\x00\x00"},
	{".byte 0x48; jz stub", "\x48\x74\x00"},
};

constexpr Row kPrefixes10[] = {
	{".byte 0x67,0xe3,0", "\x67\xe3\x00"},
};

constexpr Row kPrefixes11[] = {
	{".byte 0xf3,0x0f,0x1e,0xc0", "\xf3\x0f\x1e\xc0"},
	{".byte 0x0f,0x1d,0", "\x0f\x1d\x00"},
	{".byte 0x0f,0x1f,0xc8", "\x0f\x1f\xc8"},
};

UB_CASE(verify_refuses, prefixes)
{
	CHECK_CALL(refuse_all(test, kPrefixes1, "an address-size prefix"));
	CHECK_CALL(refuse_all(test, kPrefixes2, "a segment prefix other than fs"));
	CHECK_CALL(refuse_all(test, kPrefixes3, "an fs prefix without a meaning"));
	CHECK_CALL(refuse_all(test, kPrefixes4, "a repeat or hint prefix"));
	CHECK_CALL(refuse_all(test, kPrefixes5, "not an instruction"));
	CHECK_CALL(refuse_all(test, kPrefixes6, "a lock prefix that locks nothing"));
	CHECK_CALL(refuse_all(test, kPrefixes7, "an operand-size prefix without a meaning"));
	CHECK_CALL(refuse_all(test, kPrefixes8, "a REX prefix that is not the last prefix"));
	CHECK_CALL(refuse_all(test, kPrefixes9, "a branch with a prefix"));
	CHECK_CALL(refuse_all(test, kPrefixes10, "calls, returns or jumps through a register, memory or far pointer"));
	CHECK_CALL(refuse_all(test, kPrefixes11, "a reserved nop"));
}

constexpr Row kOperands1[] = {
	{"mov rax,[rip+0x100]", "\x48\x8b\x05\x00\x01\x00\x00", {0}},
	{"lea rax,[rip+0x100]", "\x48\x8d\x05\x00\x01\x00\x00"},
};

constexpr Row kOperands2[] = {
	{"and rdi,r10; mov rax,[rdi+rsi*1]", "\x4c\x21\xd7\x48\x8b\x04\x37", {3}},
	{"mov rax,[r11+rsi*8]", "\x49\x8b\x04\xf3", {0}},
	{"mov rax,[rsi*8+0x1000]", "\x48\x8b\x04\xf5\x00\x10\x00\x00", {0}},
	{"mov rax,[rsp+rsi*8]", "\x48\x8b\x04\xf4", {0}},
	{"mov rax,fs:[rsi*1+0]", "\x64\x48\x8b\x04\x35\x00\x00\x00\x00", {0}},
};

constexpr Row kOperands3[] = {
	{"mov rax,fs:[r11]", "\x64\x49\x8b\x03", {0}},
	{"mov rax,fs:[rsp]", "\x64\x48\x8b\x04\x24", {0}},
};

constexpr Row kOperands4[] = {
	{"mov al,fs:[0xffffffffffe0003f]", "\x64\x8a\x04\x25\x3f\x00\xe0\xff", {0}},
	{"mov al,fs:0x7fffffff", "\x64\x8a\x04\x25\xff\xff\xff\x7f", {0}},
	{"mov al,fs:[0xffffffff80000000]", "\x64\x8a\x04\x25\x00\x00\x00\x80", {0}},
};

constexpr Row kOperands5[] = {
	{"mov rax,ds:0", "\x48\x8b\x04\x25\x00\x00\x00\x00", {0}},
	{"mov rax,ds:0xffff", "\x48\x8b\x04\x25\xff\xff\x00\x00", {0}},
	{"mov rax,ds:0x7ffffff9", "\x48\x8b\x04\x25\xf9\xff\xff\x7f", {0}},
	{"mov rax,[0xffffffff81000000]", "\x48\x8b\x04\x25\x00\x00\x00\x81", {0}},
	{"movabs rax,ds:0xffff888000000000", "\x48\xa1\x00\x00\x00\x00\x80\x88\xff\xff", {0}},
	{"movabs rax,ds:0x7f0000000000", "\x48\xa1\x00\x00\x00\x00\x00\x7f\x00\x00", {0}},
};

constexpr Row kOperands6[] = {
	{"and rdi,r10; bt [rdi],rax", "\x4c\x21\xd7\x48\x0f\xa3\x07", {3}},
	{"and rdi,r10; bts [rdi],rax", "\x4c\x21\xd7\x48\x0f\xab\x07", {3}},
	{"and rdi,r10; btr [rdi],rax", "\x4c\x21\xd7\x48\x0f\xb3\x07", {3}},
	{"and rdi,r10; btc [rdi],rax", "\x4c\x21\xd7\x48\x0f\xbb\x07", {3}},
};

UB_CASE(verify_refuses, operands)
{
	CHECK_CALL(refuse_all(test, kOperands1, "a rip-relative operand"));
	CHECK_CALL(refuse_all(test, kOperands2, "an index register in a memory access"));
	CHECK_CALL(refuse_all(test, kOperands3, "an fs access with a base register"));
	CHECK_CALL(refuse_all(test, kOperands4, "an fs displacement outside the holes around the user half"));
	CHECK_CALL(refuse_all(test, kOperands5, "an absolute address outside [64 KiB, 2 GiB)"));
	CHECK_CALL(refuse_all(test, kOperands6, "a bit string in memory"));
}

constexpr Row kFrameSlots1[] = {
	{"mov rax,[rsp-8]", "\x48\x8b\x44\x24\xf8"},
	{"mov [rsp-8],rax", "\x48\x89\x44\x24\xf8"},
	{"mov rax,[rsp+80]", "\x48\x8b\x44\x24\x50"},
	{"mov rax,[rsp+0x1000]", "\x48\x8b\x84\x24\x00\x10\x00\x00"},
	{"mov rax,[rsp+4]", "\x48\x8b\x44\x24\x04"},
	{"mov eax,[rsp+5]", "\x8b\x44\x24\x05"},
	{"mov ax,[rsp+15]", "\x66\x8b\x44\x24\x0f"},
	{"lock cmpxchg16b [rsp]", "\xf0\x48\x0f\xc7\x0c\x24", {0}},
	{"mov rax,[rsp+76]", "\x48\x8b\x44\x24\x4c"},
	{"mov rax,[rsp-0x7fffffff]", "\x48\x8b\x84\x24\x01\x00\x00\x80"},
};

constexpr Row kFrameSlots2[] = {
	{"mov rax,[rsp+64]", "\x48\x8b\x44\x24\x40"},
	{"mov r9,[rsp+64]", "\x4c\x8b\x4c\x24\x40"},
	{"mov [rsp+64],rax", "\x48\x89\x44\x24\x40"},
	{"mov eax,[rsp+64]", "\x8b\x44\x24\x40"},
	{"mov al,[rsp+71]", "\x8a\x44\x24\x47"},
	{"mov rax,[rsp+72]", "\x48\x8b\x44\x24\x48"},
	{"mov [rsp+72],rax", "\x48\x89\x44\x24\x48"},
	{"add rax,[rsp+64]", "\x48\x03\x44\x24\x40"},
	{"mov r9,[rsp+64]; nop; test dword ptr [r9],0x2000e; jnz stub", "\x4c\x8b\x4c\x24\x40\x90\x41\xf7\x01\x0e\x00\x02\x00\x0f\x85\x00\x00\x00\x00"},
	{"cmp qword ptr [rsp+72],rax", "\x48\x39\x44\x24\x48"},
};

constexpr Row kFrameSlots3[] = {
	{"mov [rsp+48],rax", "\x48\x89\x44\x24\x30"},
	{"mov [rsp+56],rax", "\x48\x89\x44\x24\x38"},
	{"mov byte ptr [rsp+56],0", "\xc6\x44\x24\x38\x00"},
	{"add qword ptr [rsp+56],1", "\x48\x83\x44\x24\x38\x01"},
	{"xchg [rsp+56],rax", "\x48\x87\x44\x24\x38"},
	{"cmpxchg [rsp+56],rax", "\x48\x0f\xb1\x44\x24\x38"},
	{"bts qword ptr [rsp+56],47", "\x48\x0f\xba\x6c\x24\x38\x2f"},
	{"setz [rsp+63]", "\x0f\x94\x44\x24\x3f"},
};

constexpr Row kFrameSlots4[] = {
	{"movq xmm0,[rsp]", "\xf3\x0f\x7e\x04\x24", {0}},
	{"movups [rsp],xmm0", "\x0f\x11\x04\x24", {0}},
	{"vmovdqu ymm0,[rsp+24]", "\xc5\xfe\x6f\x44\x24\x18", {0}},
	{"prefetcht0 [rsp]", "\x0f\x18\x0c\x24", {0}},
	{"stmxcsr [rsp]", "\x0f\xae\x1c\x24", {0}},
	{"ldmxcsr [rsp]", "\x0f\xae\x14\x24", {0}},
	{"fnstcw [rsp]", "\xd9\x3c\x24", {0}},
	{"clflush [rsp]", "\x0f\xae\x3c\x24", {0}},
	{"vpexpandd zmm0{k1},[rsp]", "\x62\xf2\x7d\x49\x89\x04\x24", {0}},
};

UB_CASE(verify_refuses, frame_slots)
{
	CHECK_CALL(refuse_all(test, kFrameSlots1, "a frame access outside one slot"));
	CHECK_CALL(refuse_all(test, kFrameSlots2, "a kernel pointer's frame slot outside of a poll"));
	CHECK_CALL(refuse_all(test, kFrameSlots3, "a write to a frame slot that is only read"));
	CHECK_CALL(refuse_all(test, kFrameSlots4, "a frame slot accessed by other than an integer instruction"));
}

} // namespace
