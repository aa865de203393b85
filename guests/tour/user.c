/*
 * The program in ring 3. It is linked for its own page at USER_CODE; of the kernel it knows only system calls.
 * Everything it needs must be in that page, which it may not write to.
 */
#include <stdint.h>

#include "kernel.h"
#include "system-calls.h"

static uint64_t system_call(uint64_t number, uint64_t first, uint64_t second) {
  uint64_t result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second)
                   : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory");
  return result;
}

static void say(const char *text) {
  uint64_t length = 0;
  while (text[length]) length++;
  system_call(SYSTEM_CALL_WRITE, (uint64_t)text, length);
}

/* The kernel interrupts this loop, and the loop does not notice. */
static void wait_for_ticks(uint64_t count) {
  uint64_t start = system_call(SYSTEM_CALL_TICKS, 0, 0);
  while (system_call(SYSTEM_CALL_TICKS, 0, 0) - start < count) {
  }
}

/* The first access faults, the kernel maps a page, and the access happens as if it had been there always. */
static void touch_new_memory(void) {
  volatile uint64_t *word = (volatile uint64_t *)USER_HEAP;
  *word = 42; /* one store for the program, a long way for the kernel */
  say(*word == 42 ? "user: wrote to new memory and read it back\n" : "user: memory forgot\n"); // #read-back
}

/* First in the page: the kernel starts here. */
__attribute__((section(".text.user_start"), noreturn)) void user_main(void) {
  uint16_t code_selector;
  __asm__ volatile("mov %%cs, %0" : "=r"(code_selector));
  say((code_selector & 3) == 3 ? "user: hello from ring 3\n" : "user: not in ring 3?\n");
  wait_for_ticks(3);
  say("user: three timer interrupts came and went\n");
  touch_new_memory();
  system_call(SYSTEM_CALL_EXIT, 0, 0);
  __builtin_unreachable();
}
