/*
 * Modes: a kernel that goes through the modes of the processor one after the other, and then makes a mistake.
 *
 * Read modes.asm first: from the boot loader to real mode and up again to here. Here the kernel runs a program in
 * ring 3 (user.c), which comes back by SYSCALL (gates.asm). Then it wants to read a letter, and its own page table
 * says that there is none: a page fault in C. Left alone, the kernel mends the table. Whoever stops at the fault with
 * a debugger can be faster: set what is missing in *letter_entry, go on, and no fault will have been seen.
 */
#include "kernel.h"

#include "../entry/ports.h"

#define PRESENT (1ull << 0)
#define WRITABLE (1ull << 1)
#define USER (1ull << 2)
#define NO_EXECUTE (1ull << 63)

#define PAGE_FAULT 14
#define INTERRUPT_GATE 0x8E /* present, DPL 0, interrupts off */

#define MSR_STAR 0xC0000081
#define MSR_LSTAR 0xC0000082
#define MSR_FMASK 0xC0000084
#define RFLAGS_TF (1 << 8)
#define RFLAGS_IF (1 << 9)

/* ACPI 6.5, 4.8.3.2.1: the sleep type of S5 with SLP_EN powers off. QEMU's S5 has type 0, Ringside's 5. */
#define PM1A_CONTROL 0x604
#define SLP_EN (1 << 13)
#define SLP_TYP(type) ((type) << 10)

extern uint64_t page_directory_pointers[512]; /* modes.asm */
extern char user_program_frame[];             /* where the boot loader put the program: modes.ld */

/* For the second gigabyte, of which its first 2 MB are enough. */
static uint64_t directory[512] __attribute__((aligned(PAGE_SIZE)));
static uint64_t table[512] __attribute__((aligned(PAGE_SIZE)));
static char user_stack_frame[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static char letter_frame[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE))) = "Dear kernel, you found it. Signed: ?";

/* The entry of the last level for an address; its place in the table is bits 20 to 12 of the address. */
#define ENTRY(address) (&table[(address) >> 12 & 511])

static uint64_t *letter_entry = ENTRY(LETTER);
static uint64_t page_faults;

static void print(const char *text) {
  while (*text) serial_character(*text++);
}

static void power_off(void) {
  outw(PM1A_CONTROL, SLP_EN | SLP_TYP(0));
  outw(PM1A_CONTROL, SLP_EN | SLP_TYP(5));
  for (;;) __asm__ volatile("cli; hlt");
}

static void write_msr(uint32_t number, uint64_t value) {
  __asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void map_second_gigabyte(void) {
  *ENTRY(USER_CODE) = (uint64_t)user_program_frame | PRESENT | USER;
  *ENTRY(USER_STACK_TOP - PAGE_SIZE) = (uint64_t)user_stack_frame | PRESENT | WRITABLE | USER | NO_EXECUTE;
  /* The mistake: the frame is right, and nothing says that it is there. */
  *letter_entry = (uint64_t)letter_frame | NO_EXECUTE; // #forgotten
  directory[0] = (uint64_t)table | PRESENT | WRITABLE | USER;
  page_directory_pointers[1] = (uint64_t)directory | PRESENT | WRITABLE | USER; // #map
}

/*
 * Nothing interrupts this kernel, and its program does nothing wrong: one gate is enough, and no task-state segment
 * names a stack for exceptions from ring 3.
 */
static void open_gates(void) {
  static struct __attribute__((packed)) {
    uint16_t offset_low, selector;
    uint8_t interrupt_stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
  } gates[PAGE_FAULT + 1];
  uint64_t entry = (uint64_t)page_fault_entry;
  gates[PAGE_FAULT].offset_low = (uint16_t)entry;
  gates[PAGE_FAULT].offset_middle = (uint16_t)(entry >> 16);
  gates[PAGE_FAULT].offset_high = (uint32_t)(entry >> 32);
  gates[PAGE_FAULT].selector = KERNEL_CODE_SELECTOR;
  gates[PAGE_FAULT].type = INTERRUPT_GATE;
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } pointer = {sizeof gates - 1, (uint64_t)gates};
  __asm__ volatile("lidt %0" : : "m"(pointer));

  /* SDM vol. 3, 5.8.8: SYSCALL takes CS from bits 47 to 32, SYSRET from bits 63 to 48. */
  write_msr(MSR_STAR, (uint64_t)SYSRET_BASE_SELECTOR << 48 | (uint64_t)KERNEL_CODE_SELECTOR << 32);
  write_msr(MSR_LSTAR, (uint64_t)system_call_entry);
  write_msr(MSR_FMASK, RFLAGS_TF | RFLAGS_IF);
}

void kernel_main(void) {
  print("modes: 64-bit mode, ring 0\n"); // #kernel
  map_second_gigabyte();
  open_gates();
  print("modes: to ring 3\n");
  enter_user(USER_CODE, USER_STACK_TOP); // #enter-user
}

/* CR2 says where; the error code says what kind of access it was (SDM vol. 3, 4.7). */
void handle_page_fault(struct frame *frame) {
  uint64_t address;
  __asm__ volatile("mov %%cr2, %0" : "=r"(address));
  page_faults++; // #handler
  print(frame->error_code & 2 ? "modes: page fault, a write" : "modes: page fault, a read");
  if (address / PAGE_SIZE != LETTER / PAGE_SIZE) {
    print(" of nobody's page\n");
    power_off();
  }
  *letter_entry |= PRESENT | (frame->error_code & 2 ? WRITABLE : 0);
  __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
  print("; the kernel mends its table\n");
}

static void read_letter(const char *letter) {
  char first = *letter; // #read-fault
  print("modes: the letter begins with ");
  serial_character(first);
  print("\n");
}

static void sign_letter(char *letter) {
  while (*letter != '?') letter++;
  *letter = 'K'; // #write-fault
  print("modes: signed\n");
}

/* The program is over; its memory stays mapped, and the letter is next to it. */
static void look_at_letter(void) {
  read_letter((const char *)LETTER);
  sign_letter((char *)LETTER); // #sign
  print(page_faults == 0 ? "modes: the end, without a page fault\n" : "modes: the end, after page faults\n"); // #end
  power_off();
}

/* What it puts into `frame->rax` is the program's result. */
void handle_system_call(struct frame *frame) {
  switch (frame->rax) { // #system-call
    case SYSTEM_CALL_PRINT:
      print((const char *)frame->rdi);
      break;
    case SYSTEM_CALL_DOUBLE:
      frame->rax = frame->rdi * 2;
      break;
    case SYSTEM_CALL_EXIT:
      look_at_letter();
  }
}
