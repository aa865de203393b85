/* Interrupts and exceptions: the table, the timer, and what the kernel does about each. */
#include "kernel.h"

#include "../entry/ports.h"

#define PAGE_FAULT 14
#define DOUBLE_FAULT 8
#define FIRST_IRQ 32
#define TIMER (FIRST_IRQ + 0)

/* 8259A: two controllers in cascade, eight lines each. */
#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xA0
#define PIC2_DATA 0xA1
#define PIC_END_OF_INTERRUPT 0x20

/* 8254: counts down from a divisor at 1193182 Hz. */
#define PIT_CHANNEL0 0x40
#define PIT_COMMAND 0x43
#define PIT_RATE_GENERATOR 0x34
#define PIT_HERTZ 1193182
#define TICKS_A_SECOND 1000

/* What interrupts.asm pushes, then what the processor pushed (SDM vol. 3, figure 6-9). */
struct frame {
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
  uint64_t vector, error_code;
  uint64_t rip, cs, rflags, rsp, ss;
};

volatile uint64_t timer_ticks;

/* A gate says where to go; its type 0xE also turns interrupts off. */
static struct __attribute__((packed)) {
  uint16_t offset_low, selector;
  uint8_t interrupt_stack, type;
  uint16_t offset_middle;
  uint32_t offset_high, reserved;
} gates[48];

void load_interrupt_table(void) {
  for (int vector = 0; vector < 48; vector++) {
    uint64_t stub = interrupt_stubs[vector];
    gates[vector].offset_low = (uint16_t)stub;
    gates[vector].offset_middle = (uint16_t)(stub >> 16);
    gates[vector].offset_high = (uint32_t)(stub >> 32);
    gates[vector].selector = KERNEL_CODE_SELECTOR;
    gates[vector].interrupt_stack = vector == DOUBLE_FAULT; /* number of a stack in the TSS; 0: that of ring 0 */
    gates[vector].type = 0x8E; /* present, for ring 0, interrupts off */
  }
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } pointer = {sizeof gates - 1, (uint64_t)gates};
  __asm__ volatile("lidt %0" : : "m"(pointer));
}

void start_timer(void) {
  /* The controllers come up with vectors that collide with exceptions: move them to 32, only the timer unmasked. */
  outb(PIC1_COMMAND, 0x11); /* three words of initialisation follow on the data port */
  outb(PIC2_COMMAND, 0x11);
  outb(PIC1_DATA, FIRST_IRQ); /* the vector of its first line */
  outb(PIC2_DATA, FIRST_IRQ + 8);
  outb(PIC1_DATA, 1 << 2); /* the other controller is at line 2 */
  outb(PIC2_DATA, 2);
  outb(PIC1_DATA, 1); /* as in a PC */
  outb(PIC2_DATA, 1);
  outb(PIC1_DATA, 0xFE); /* a mask from now on: line 0 may come */
  outb(PIC2_DATA, 0xFF);

  uint16_t divisor = PIT_HERTZ / TICKS_A_SECOND;
  outb(PIT_COMMAND, PIT_RATE_GENERATOR);
  outb(PIT_CHANNEL0, (uint8_t)divisor);
  outb(PIT_CHANNEL0, (uint8_t)(divisor >> 8));
}

static void timer_interrupt(void) {
  timer_ticks++;
  outb(PIC1_COMMAND, PIC_END_OF_INTERRUPT);
}

/* CR2 holds the address, the error code says what kind of access it was (SDM vol. 3, 4.7). */
static void page_fault(struct frame *frame) {
  uint64_t address;
  __asm__ volatile("mov %%cr2, %0" : "=r"(address));
  print("tour: page fault at ");
  print_hexadecimal(address);
  print(frame->cs & 3 ? " from ring 3" : " from ring 0");
  print(frame->error_code & 2 ? ", a write" : ", a read");
  print(frame->error_code & 1 ? " that the page forbids\n" : " where nothing is mapped\n");
  if (!(frame->error_code & 1) && give_page(address)) return; /* to the instruction that faulted */
  print("tour: not ours to mend\n");
  power_off();
}

void handle_interrupt(struct frame *frame) {
  switch (frame->vector) {
    case TIMER:
      timer_interrupt();
      break;
    case PAGE_FAULT:
      page_fault(frame);
      break;
    default:
      print("tour: unexpected exception ");
      print_hexadecimal(frame->vector);
      print(" at ");
      print_hexadecimal(frame->rip);
      print("\n");
      power_off();
  }
}
