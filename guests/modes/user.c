/* The program in ring 3. Everything that it needs is in its one page, which it may not write to. */
#include "kernel.h"

static uint64_t system_call(uint64_t number, uint64_t argument) {
  uint64_t result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(argument) : "rcx", "r11", "memory"); // #syscall
  return result; // #back-in-ring-3
}

/* First in the page: the kernel starts here. */
__attribute__((section(".text.user_start"), noreturn)) void user_main(void) {
  system_call(SYSTEM_CALL_PRINT, (uint64_t)"user: hello from ring 3\n"); // #user
  uint64_t answer = system_call(SYSTEM_CALL_DOUBLE, 21);                 // #double
  const char *verdict = answer == 42 ? "user: the kernel doubles\n" : "user: the kernel can't double\n"; // #answer
  system_call(SYSTEM_CALL_PRINT, (uint64_t)verdict);
  system_call(SYSTEM_CALL_EXIT, 0);
  __builtin_unreachable();
}
