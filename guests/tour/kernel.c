/*
 * The tour: a kernel small enough to read in one sitting, which does once what every kernel does.
 * It turns paging into address spaces, takes interrupts, runs a program in ring 3, serves its system calls, gives it
 * memory when it touches some, and powers the machine off. A debugger can stop at each of the functions named here.
 *
 * Read in this order: entry/entry.asm (from the boot loader to here), this file, segments.c, interrupts.c and
 * interrupts.asm, paging.c, system-calls.c, user.c.
 */
#include "kernel.h"

#include "../entry/ports.h"

/* ACPI 6.5, 4.8.3.2.1: writing the sleep type of S5 with SLP_EN to PM1a control powers off. QEMU's S5 has type 0, Ringside's 5. */
#define PM1A_CONTROL 0x604
#define SLP_EN (1 << 13)
#define SLP_TYP(type) ((type) << 10)

void print(const char *text) {
  while (*text) serial_character(*text++);
}

void print_hexadecimal(uint64_t value) {
  char digits[17];
  char *first = digits + sizeof digits - 1;
  *first = 0;
  do *--first = "0123456789abcdef"[value & 15];
  while (value >>= 4);
  print("0x");
  print(first);
}

void power_off(void) {
  outw(PM1A_CONTROL, SLP_EN | SLP_TYP(0));
  outw(PM1A_CONTROL, SLP_EN | SLP_TYP(5));
  for (;;) __asm__ volatile("cli; hlt");
}

void kernel_main(void) {
  print("tour: 64-bit kernel in ring 0, page tables at ");
  print_hexadecimal(page_table_root()); // #page-tables
  print("\n");

  load_segments();
  load_interrupt_table();
  start_timer();
  enable_system_calls();
  map_user_program();

  print("tour: entering ring 3 at ");
  print_hexadecimal(USER_CODE);
  print("\n");
  enter_user(USER_CODE, USER_STACK_TOP);
}
