/* What the parts of the tour's kernel offer each other. */
#pragma once
#include <stdint.h>

/* Selectors of the segments in segments.c. The low two bits of a user selector ask for ring 3. */
#define KERNEL_CODE_SELECTOR 0x08
#define KERNEL_DATA_SELECTOR 0x10
#define USER_DATA_SELECTOR (0x20 | 3)
#define USER_CODE_SELECTOR (0x28 | 3)
#define TASK_SELECTOR 0x30

/* Where the user program finds itself. Its code is linked for this address (tour.ld). */
#define USER_CODE 0x40000000u
#define USER_STACK_TOP 0x40008000u
/* Nothing is mapped here until the program touches it. */
#define USER_HEAP 0x40010000u
#define USER_HEAP_END 0x40020000u

#define PAGE_SIZE 4096

/* kernel.c */
void print(const char *text);
void print_hexadecimal(uint64_t value);
void power_off(void) __attribute__((noreturn));

/* segments.c */
void load_segments(void);

/* interrupts.c */
void load_interrupt_table(void);
void start_timer(void);
extern volatile uint64_t timer_ticks;

/* paging.c */
uint64_t page_table_root(void);
void map_user_program(void);
int give_page(uint64_t address);

/* system-calls.c */
void enable_system_calls(void);

/* interrupts.asm */
extern const uint64_t interrupt_stubs[48];
extern char kernel_stack_top[], fault_stack_top[];
void load_task(uint16_t selector);
void reload_segments(void);
void enter_user(uint64_t instruction, uint64_t stack) __attribute__((noreturn));
void system_call_entry(void);
