/* Port I/O, and the devices that every guest here talks to. */
#pragma once
#include <stdint.h>

#define COM1 0x3F8
#define COM1_LINE_STATUS (COM1 + 5)
#define LINE_STATUS_TRANSMITTER_EMPTY 0x20
#define DEBUG_EXIT 0xF4

static inline void outb(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void outw(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }

static inline uint8_t inb(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void serial_character(char character) {
  while (!(inb(COM1_LINE_STATUS) & LINE_STATUS_TRANSMITTER_EMPTY)) {
  }
  outb(COM1, (uint8_t)character);
}

static inline void outl(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }

static inline uint32_t inl(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
