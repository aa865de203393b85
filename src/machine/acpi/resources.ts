/** Resource descriptors, the contents of `_CRS` (ACPI 6.5, 6.4). */

import { buffer, type Term } from './aml.ts'
import { ByteList } from './byte-list.ts'

const IO_TAG = 0x47
const IRQ_TAG = 0x22
const END_TAG = 0x79
const MEMORY32_FIXED_TAG = 0x86
const DWORD_ADDRESS_TAG = 0x87
const WORD_ADDRESS_TAG = 0x88

const EXTENDED_INTERRUPT_TAG = 0x89

const INTERRUPT_CONSUMER = 1 << 0
const INTERRUPT_EDGE = 1 << 1
const INTERRUPT_SHARED = 1 << 3

const TYPE_MEMORY = 0
const TYPE_IO = 1
const TYPE_BUS = 2
/** Minimum and maximum are fixed, decoding is positive, the device passes the range on to its children. */
const PRODUCER_FIXED = 0x0c
const IO_ENTIRE_RANGE = 3
const MEMORY_READ_WRITE = 1
const DECODE_16_BITS = 1

/** A resource template: the descriptors with an end tag, in a buffer. */
export function resources(...descriptors: readonly Term[]): Term {
  return buffer([...descriptors.flat(), END_TAG, 0])
}

/** Ports that a device decodes. */
export function ports(first: number, count: number): Term {
  return [...new ByteList().u8(IO_TAG, DECODE_16_BITS).u16(first, first).u8(1, count).toBytes()]
}

/** An ISA interrupt: edge-triggered, active high, not shared. */
export function interrupt(irq: number): Term {
  return [
    ...new ByteList()
      .u8(IRQ_TAG)
      .u16(1 << irq)
      .toBytes(),
  ]
}

/** An input of the I/O APIC, active high (6.4.3.6): shared and level-triggered, or neither. */
export function wideInterrupt(input: number, shared: boolean): Term {
  const flags = INTERRUPT_CONSUMER | (shared ? INTERRUPT_SHARED : INTERRUPT_EDGE)
  return [...new ByteList().u8(EXTENDED_INTERRUPT_TAG).u16(6).u8(flags, 1).u32(input).toBytes()]
}

export function memory(base: number, size: number): Term {
  return [...new ByteList().u8(MEMORY32_FIXED_TAG).u16(9).u8(MEMORY_READ_WRITE).u32(base, size).toBytes()]
}

/** A range of bus numbers behind a host bridge. */
export function busWindow(first: number, last: number): Term {
  return wordWindow(TYPE_BUS, 0, first, last)
}

/** Ports that a host bridge passes on. */
export function portWindow(first: number, last: number): Term {
  return wordWindow(TYPE_IO, IO_ENTIRE_RANGE, first, last)
}

/** Memory below 4 GiB that a host bridge passes on. */
export function memoryWindow(first: number, last: number): Term {
  const list = new ByteList().u8(DWORD_ADDRESS_TAG).u16(0x17).u8(TYPE_MEMORY, PRODUCER_FIXED, MEMORY_READ_WRITE)
  return [...list.u32(0, first, last, 0, last - first + 1).toBytes()]
}

function wordWindow(type: number, flags: number, first: number, last: number): Term {
  const list = new ByteList().u8(WORD_ADDRESS_TAG).u16(0x0d).u8(type, PRODUCER_FIXED, flags)
  return [...list.u16(0, first, last, 0, last - first + 1).toBytes()]
}
