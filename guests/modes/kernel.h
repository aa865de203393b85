/* What the parts of this kernel have in common. */
#pragma once
#include <stdint.h>

/* Selectors of the table in modes.asm. */
#define KERNEL_CODE_SELECTOR 0x08
#define SYSRET_BASE_SELECTOR (0x18 | 3)

#define PAGE_SIZE 4096

/* Behind the first gigabyte, which is mapped to itself. The program is linked for its address (modes.ld). */
#define USER_CODE 0x40000000u
#define USER_STACK_TOP 0x40008000u
#define LETTER 0x40010000u

/* The number goes in RAX, the argument in RDI; the result comes in RAX. */
#define SYSTEM_CALL_PRINT 1  /* (address of a text in the program) */
#define SYSTEM_CALL_DOUBLE 2 /* (number) twice the number */
#define SYSTEM_CALL_EXIT 3   /* () */

/* What gates.asm has pushed at the bottom; from the error code on as the processor does for an exception. */
struct frame {
  uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
  uint64_t error_code;
  uint64_t rip, cs, rflags, rsp, ss;
};

/* gates.asm */
void page_fault_entry(void);
void system_call_entry(void);
void enter_user(uint64_t instruction, uint64_t stack) __attribute__((noreturn));
