/** Offsets and fields of the local APIC's registers (SDM vol. 3, table 11-1); in x2APIC mode MSR 0x800 + offset / 16. */

export const APIC_ID = 0x020
export const APIC_VERSION = 0x030
export const APIC_TPR = 0x080
export const APIC_APR = 0x090
export const APIC_PPR = 0x0a0
export const APIC_EOI = 0x0b0
export const APIC_RRD = 0x0c0
export const APIC_LDR = 0x0d0
export const APIC_DFR = 0x0e0
export const APIC_SVR = 0x0f0
export const APIC_ISR = 0x100
export const APIC_TMR = 0x180
export const APIC_IRR = 0x200
export const APIC_ESR = 0x280
export const APIC_ICR = 0x300
export const APIC_ICR_HIGH = 0x310
export const APIC_LVT_TIMER = 0x320
export const APIC_LVT_THERMAL = 0x330
export const APIC_LVT_PERFORMANCE = 0x340
export const APIC_LVT_LINT0 = 0x350
export const APIC_LVT_LINT1 = 0x360
export const APIC_LVT_ERROR = 0x370
export const APIC_TIMER_INITIAL = 0x380
export const APIC_TIMER_CURRENT = 0x390
export const APIC_TIMER_DIVIDE = 0x3e0
/** x2APIC only. */
export const APIC_SELF_IPI = 0x3f0

export const SVR_ENABLED = 1 << 8
/** The end of a level-triggered interrupt is not broadcast: software tells the I/O APIC itself. */
export const SVR_SUPPRESS_EOI_BROADCAST = 1 << 12
/** Vector, enable, focus checking (without effect) and suppression. */
export const SVR_WRITABLE = 0x13ff
export const LVT_MASKED = 1 << 16
export const LVT_LEVEL = 1 << 15

/** Bits 10:8 of ICR and LVT. */
export const DELIVERY_FIXED = 0
export const DELIVERY_NMI = 4
export const DELIVERY_INIT = 5
export const DELIVERY_EXTINT = 7
export const deliveryMode = (entry: number): number => (entry >> 8) & 7

export const ICR_LOGICAL = 1 << 11
export const ICR_ASSERT = 1 << 14
export const ICR_LEVEL = 1 << 15
/** Of the low half: not delivery status, and what is reserved. */
export const ICR_WRITABLE = 0xccfff

export const ESR_SEND_ILLEGAL_VECTOR = 1 << 5
export const ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6
export const ESR_ILLEGAL_REGISTER = 1 << 7

/** IA32_APIC_BASE (SDM vol. 3, 11.4.4). */
export const APIC_BASE_BSP = 1 << 8
export const APIC_BASE_X2APIC = 1 << 10
export const APIC_BASE_ENABLED = 1 << 11
export const APIC_BASE_DEFAULT = 0xfee00000
