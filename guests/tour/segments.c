/*
 * Segments. Long mode ignores their bases and limits; what is left of a segment is its privilege level and, for
 * code, whether it is 64-bit code. SYSCALL and SYSRET dictate the order of the table (SDM vol. 3, 5.8.8).
 */
#include "kernel.h"

/* SDM vol. 3, 8.7: the 64-bit task-state segment holds no task, only the stacks that the processor switches to. */
static struct __attribute__((packed)) {
  uint32_t reserved0;
  uint64_t ring_stack[3];
  uint64_t reserved1;
  uint64_t interrupt_stack[7];
  uint64_t reserved2;
  uint16_t reserved3, io_map_base;
} task;

/* Bits 40 to 47 are the access byte: present, DPL, type. Bit 53 (L) makes code 64-bit. */
static uint64_t segments[8] = {
    0,
    0x00209B0000000000, /* 0x08: kernel code, DPL 0 */
    0x0000930000000000, /* 0x10: kernel data, DPL 0 */
    0,                  /* 0x18: would be 32-bit user code */
    0x0000F30000000000, /* 0x20: user data, DPL 3 */
    0x0020FB0000000000, /* 0x28: user code, DPL 3 */
    0, 0,               /* 0x30: the task-state segment, twice as long as the others */
};

void load_segments(void) {
  uint64_t base = (uint64_t)&task, limit = sizeof task - 1;
  /* From ring 3 the processor comes here with an interrupt. */
  task.ring_stack[0] = (uint64_t)kernel_stack_top;
  /* A double fault gets a stack of its own: the current one may be what is broken. */
  task.interrupt_stack[0] = (uint64_t)fault_stack_top;
  task.io_map_base = sizeof task; /* no port for ring 3 */
  segments[6] = limit | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24 & 0xFF) << 56;
  segments[7] = base >> 32;

  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } pointer = {sizeof segments - 1, (uint64_t)segments};
  __asm__ volatile("lgdt %0" : : "m"(pointer));
  reload_segments();
  load_task(TASK_SELECTOR);
}
