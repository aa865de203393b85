/*
 * Ringside's hypercalls for guests in C, 32- and 64-bit: how a kernel speaks to the hypervisor below it.
 *
 * VMCALL leaves the guest like any other exit. RAX says what is wanted and brings the result, which is negative for an
 * error; RBX, RCX, RDX and RSI have the arguments. On another hypervisor, or on none, VMCALL may mean something else
 * or fault: ask ringside_present() first.
 */
#ifndef RINGSIDE_H
#define RINGSIDE_H

#include <stddef.h>
#include <stdint.h>

/* Text for the debug console; ring 0. At most 4096 bytes. */
#define RINGSIDE_CONSOLE 0
/* Another processor's turn; ring 0. */
#define RINGSIDE_YIELD 1
/* An event for the debugger: a name of at most 64 characters, at most 8 values; any ring. */
#define RINGSIDE_EVENT 2

#define RINGSIDE_EPERM -1
#define RINGSIDE_EFAULT -14
#define RINGSIDE_EINVAL -22
#define RINGSIDE_ENOSYS -38

/* CPUID leaf 0x40000000 names the hypervisor, 0x40000001 tells which calls there are: bit n of EAX for call n. */
static inline uint32_t ringside_calls(void)
{
	uint32_t eax = 0x40000000, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	/* "RingsideVMM " */
	if (ebx != 0x676e6952 || ecx != 0x65646973 || edx != 0x204d4d56 || eax < 0x40000001)
		return 0;
	eax = 0x40000001;
	ecx = 0;
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return eax;
}

static inline int ringside_present(void)
{
	return ringside_calls() != 0;
}

static inline long ringside_call(long number, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t s)
{
	long result;

	__asm__ volatile("vmcall" : "=a"(result) : "a"(number), "b"(b), "c"(c), "d"(d), "S"(s) : "memory");
	return result;
}

static inline long ringside_console(const char *text, size_t length)
{
	return ringside_call(RINGSIDE_CONSOLE, (uintptr_t)text, length, 0, 0);
}

static inline long ringside_yield(void)
{
	return ringside_call(RINGSIDE_YIELD, 0, 0, 0, 0);
}

static inline long ringside_event(const char *name, size_t length, const uint64_t *values, size_t count)
{
	return ringside_call(RINGSIDE_EVENT, (uintptr_t)name, length, (uintptr_t)values, count);
}

#endif
