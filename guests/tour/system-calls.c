/* SYSCALL: from ring 3 to one place in ring 0, which model-specific registers name (SDM vol. 3, 5.8.8). */
#include "system-calls.h"

#include "kernel.h"

#define MSR_STAR 0xC0000081
#define MSR_LSTAR 0xC0000082
#define MSR_FMASK 0xC0000084
#define RFLAGS_TF (1 << 8)
#define RFLAGS_IF (1 << 9)
#define RFLAGS_DF (1 << 10)

static void write_msr(uint32_t number, uint64_t value) {
  __asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

void enable_system_calls(void) {
  /* SYSRET loads SS from the upper selector plus 8 and CS from it plus 16. */
  uint64_t sysret_base = (USER_DATA_SELECTOR & ~3) - 8;
  write_msr(MSR_STAR, (sysret_base | 3) << 48 | (uint64_t)KERNEL_CODE_SELECTOR << 32);
  write_msr(MSR_LSTAR, (uint64_t)system_call_entry);
  write_msr(MSR_FMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF);
}

/* A program may name any address, the kernel's too: only its own pages are read for it. */
static int is_user_memory(uint64_t address, uint64_t length) {
  return address >= USER_CODE && address < USER_HEAP_END && length <= USER_HEAP_END - address;
}

static uint64_t write_text(uint64_t address, uint64_t length) {
  if (!is_user_memory(address, length)) return (uint64_t)-1;
  for (uint64_t i = 0; i < length; i++) {
    char text[2] = {((const char *)address)[i], 0};
    print(text);
  }
  return length;
}

uint64_t handle_system_call(uint64_t number, uint64_t first, uint64_t second) {
  switch (number) {
    case SYSTEM_CALL_WRITE:
      return write_text(first, second);
    case SYSTEM_CALL_TICKS:
      return timer_ticks;
    case SYSTEM_CALL_EXIT:
      print("tour: the program ended with status ");
      print_hexadecimal(first);
      print(", powering off\n");
      power_off();
    default:
      return (uint64_t)-1;
  }
}
