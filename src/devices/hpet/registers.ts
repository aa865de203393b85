/** High precision event timers (IA-PC HPET Specification 1.0a, section 2.3). */

export const HPET_BASE = 0xfed00000
export const HPET_SIZE = 0x400

export const HPET_TIMERS = 3

/** Length of a tick in femtoseconds: 10 ns, as QEMU's. */
export const HPET_PERIOD_FEMTOSECONDS = 10_000_000
export const HPET_TICK_NANOSECONDS = HPET_PERIOD_FEMTOSECONDS / 1e6

export const HPET_CAPABILITIES = 0x000
export const HPET_CONFIGURATION = 0x010
export const HPET_STATUS = 0x020
export const HPET_COUNTER = 0x0f0
export const HPET_TIMER_0 = 0x100
/** Distance of one timer's registers from the next's. */
export const HPET_TIMER_STRIDE = 0x20
export const HPET_TIMER_CONFIGURATION = 0x00
export const HPET_TIMER_COMPARATOR = 0x08

/** Revision 1, three timers, 64 bits, legacy replacement, vendor Intel; the upper half is the period. */
export const HPET_CAPABILITIES_LOW = 0x8086a201

export const HPET_ENABLE = 0x01
export const HPET_LEGACY = 0x02

export const TIMER_LEVEL = 1 << 1
export const TIMER_INTERRUPT = 1 << 2
export const TIMER_PERIODIC = 1 << 3
export const TIMER_PERIODIC_CAPABLE = 1 << 4
export const TIMER_64_BIT_CAPABLE = 1 << 5
export const TIMER_VALUE_SET = 1 << 6
export const TIMER_32_BIT = 1 << 8
export const TIMER_ROUTE_SHIFT = 9
export const TIMER_ROUTE = 0x1f << TIMER_ROUTE_SHIFT
export const TIMER_WRITABLE =
  TIMER_LEVEL | TIMER_INTERRUPT | TIMER_PERIODIC | TIMER_VALUE_SET | TIMER_32_BIT | TIMER_ROUTE
